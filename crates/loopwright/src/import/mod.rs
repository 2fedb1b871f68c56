//! `loopwright import mlflow`: moves what an MLflow tracking server holds into this data directory.
//!
//! Everything goes in under the id that it had, so the same command again goes on where a killed one stopped. Each run and each
//! model is compared with its source as soon as it is here.

mod digest;
mod files;
mod http;
mod models;
mod progress;
mod report;
mod rest;
mod runs;
mod source;
mod stored;
mod survey;
mod tables;
mod versions;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use group_experiments::{Experiments, Imported};
use group_registry::Registry;
use platform_blobs::Blobs;
use platform_db::Db;
use platform_primitives::{ErrorKind, Fault};

use crate::cli::{CommandError, Place};
use crate::config::{Config, local_user};
use crate::lock::DirectoryLock;
use crate::{ports, server};
use progress::Screen;
use report::{Kind, Report};
use rest::Rest;
use source::{ForeignExperiment, Source};
use tables::Tables;

/// Runs, and logged models, at the same time.
const FETCHERS: usize = 4;

/// How an artifact that is here already is compared with its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Verify {
    /// By its size
    Size,
    /// By its bytes, which are read again
    Full,
}

pub struct Options {
    pub place: Place,
    pub from: String,
    pub artifact_root: Option<PathBuf>,
    /// Names; all when empty.
    pub experiments: Vec<String>,
    pub verify: Verify,
    pub dry_run: bool,
    pub json: bool,
}

/// Success when source and target agree on everything that was taken over.
pub async fn mlflow(options: Options) -> Result<ExitCode, CommandError> {
    let is_server = options.from.starts_with("http://") || options.from.starts_with("https://");
    let source = match is_server {
        true if options.artifact_root.is_some() => {
            return Err("--artifact-root is for databases: a server is asked for its files".into());
        }
        true => Source::Rest(Rest::open(&options.from).await?),
        false => Source::Tables(Tables::open(&options.from, options.artifact_root.clone()).await?),
    };
    let screen = Screen::new(!options.json);
    let report = match options.dry_run {
        true => survey::survey(&source, &options.experiments, &screen).await?,
        false => {
            let config = Config::from_place(&options.place)?;
            // A server that runs here would keep what it has read, and find other things written.
            let lock = DirectoryLock::take(&config.data_dir)?;
            let import = Import::open(&config, source, screen, &options).await?;
            import.everything(&options.experiments).await?;
            drop(lock);
            import.report.into_inner().unwrap_or_else(PoisonError::into_inner)
        }
    };
    report.show(options.json, options.dry_run)?;
    Ok(if report.has_mismatches() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

struct Import {
    source: Source,
    experiments: Experiments,
    registry: Registry,
    screen: Screen,
    report: Mutex<Report>,
    actor: String,
    verify: Verify,
    /// Only what belongs to some of the experiments is wanted.
    partial: bool,
}

impl Import {
    async fn open(
        config: &Config,
        source: Source,
        screen: Screen,
        options: &Options,
    ) -> Result<Self, CommandError> {
        // Opening the log brings every schema up to date; events are appended in the services' own transactions.
        let events = server::open_events(config).await?;
        let db = Db::open(&config.database).await?;
        let blobs = Blobs::local(&config.folder("blobs"))?;
        let experiments = Experiments::new(db.clone(), events.clone(), blobs);
        let logged = Arc::new(ports::LoggedRuns(experiments.clone()));
        let registry = Registry::new(db, events, logged);
        Ok(Self {
            source,
            experiments,
            registry,
            screen,
            report: Mutex::default(),
            actor: local_user(),
            verify: options.verify,
            partial: !options.experiments.is_empty(),
        })
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        // Counting cannot panic half-way.
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the rules of this server refuse is named and left out; every other error ends the import.
    fn refused<F: Fault>(&self, kind: Kind, what: &str, error: F) -> Result<(), CommandError> {
        if !is_refusal(error.kind()) {
            return Err(Box::new(error));
        }
        self.report().refuse(kind, what, error.to_string());
        Ok(())
    }

    async fn everything(&self, names: &[String]) -> Result<(), CommandError> {
        let wanted = selected(&self.source, names).await?;
        self.screen.say(&format!("Importing {} experiments.", wanted.len()));
        // Experiment 0 is there before any client asks for it; the source's own keeps its times.
        if !wanted.iter().any(|foreign| foreign.experiment.id == 0) {
            self.experiments.ensure_default_experiment().await?;
        }
        for foreign in wanted {
            let (name, there) = (foreign.experiment.name.clone(), foreign.id.clone());
            self.screen.at(&name);
            let Some(here) = self.place_experiment(foreign).await? else { continue };
            let runs = self.runs_of(&there, here).await?;
            let models = self.logged_models_of(&there, here).await?;
            self.screen.say(&format!("  {name}: {runs} runs, {models} logged models"));
        }
        self.screen.at("registry");
        let versions = self.registry_entries().await?;
        self.screen.say(&format!("  registry: {versions} versions"));
        self.screen.finish();
        Ok(())
    }

    /// The experiment's id here; `None` when it is refused.
    async fn place_experiment(&self, foreign: ForeignExperiment) -> Result<Option<i64>, CommandError> {
        let ForeignExperiment { id: there, mut experiment } = foreign;
        let name = experiment.name.clone();
        for error in experiment.take_refused() {
            self.refused(Kind::Tags, &format!("experiment {name}"), error)?;
        }
        let wanted = experiment.clone();
        let (here, outcome) = match self.experiments.import_experiment(&self.actor, experiment).await {
            Ok(placed) => placed,
            Err(error) => {
                self.report().count(Kind::Experiments).source += 1;
                self.refused(Kind::Experiments, &name, error)?;
                return Ok(None);
            }
        };
        let own = self.experiments.get_experiment(&here.to_string()).await?;
        let mut report = self.report();
        let new = outcome == Imported::New;
        report.add(Kind::Experiments, 1, new);
        report.add(Kind::Tags, wanted.tags.len(), outcome != Imported::Kept);
        if here.to_string() != there {
            report.moved(&name, &there, here);
        }
        let what = format!("experiment {name}");
        if own.deleted != wanted.deleted && own.id != 0 {
            report.mismatch(Kind::Experiments, &what, "deleted on one side only");
        }
        if let Some((key, _)) = wanted.tags.iter().find(|(key, value)| own.tags.get(*key) != Some(*value)) {
            report.mismatch(Kind::Tags, &what, format!("tag {key} differs"));
        }
        Ok(Some(here))
    }
}

/// The experiments of these names, or all, by id.
async fn selected(source: &Source, names: &[String]) -> Result<Vec<ForeignExperiment>, CommandError> {
    let mut wanted = Vec::new();
    let mut cursor = None;
    loop {
        let (page, next) = source.experiments(cursor).await?;
        let named =
            |foreign: &ForeignExperiment| names.is_empty() || names.contains(&foreign.experiment.name);
        wanted.extend(page.into_iter().filter(named));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    for name in names {
        if !wanted.iter().any(|foreign| foreign.experiment.name == *name) {
            return Err(format!("no experiment {name:?} at the source").into());
        }
    }
    Ok(wanted)
}

fn is_refusal(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::Invalid
        | ErrorKind::Conflict
        | ErrorKind::Forbidden
        | ErrorKind::TooLarge
        | ErrorKind::Unsupported => true,
        ErrorKind::Unauthenticated
        | ErrorKind::RateLimited
        | ErrorKind::Unavailable
        | ErrorKind::Timeout
        | ErrorKind::Internal => false,
    }
}

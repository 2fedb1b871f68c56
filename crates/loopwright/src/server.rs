//! Wiring: opens the platform, hands each group what it needs, mounts their surfaces, runs the controllers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use group_environments::Environments;
use group_evaluation::Evaluation;
use group_experiments::Experiments;
use group_explain::Explain;
use group_lineage::Lineage;
use group_loops::Loops;
use group_monitoring::Monitoring;
use group_pipelines::Pipelines;
use group_projects::Projects;
use group_registry::{Governance, Registry};
use group_serving::Serving;
use group_traces::Traces;
use group_webhooks::Webhooks;
use platform_auth::{Authenticator, Permission, Role};
use platform_blobs::Blobs;
use platform_db::{Db, MigrationSet};
use platform_events::Events;
use platform_jobs::{Jobs, ProcessEngine};
use platform_primitives::SystemClock;
use platform_signing::SigningKey;
use platform_telemetry::Metrics;
use platform_ui::Ui;
use platform_web::dialect::Dialect;
use platform_web::mlflow::KnownWorkspaces;
use platform_web::{Access, EdgeConfig, Group, Routes, Surface};
use tokio::sync::broadcast::error::RecvError;

use crate::cli::CommandError;
use crate::config::{Config, local_user};
use crate::lock::DirectoryLock;
use crate::ports;

/// Controllers look at least this often, whatever the events say.
const SETTLE_EVERY: Duration = Duration::from_secs(5);

/// A server that answers.
pub struct Running {
    pub url: String,
    pub jobs: Jobs,
    serving: tokio::task::JoinHandle<Result<(), platform_web::ServeError>>,
    stop: tokio::sync::oneshot::Sender<()>,
    _lock: DirectoryLock,
}

impl Running {
    /// Until Ctrl-C or a termination signal.
    pub async fn until_stopped(self) -> Result<(), CommandError> {
        let Self { serving, stop, .. } = self;
        stop_signal().await;
        finish(serving, stop).await
    }

    pub async fn stop(self) -> Result<(), CommandError> {
        let Self { serving, stop, .. } = self;
        finish(serving, stop).await
    }
}

async fn finish(
    serving: tokio::task::JoinHandle<Result<(), platform_web::ServeError>>,
    stop: tokio::sync::oneshot::Sender<()>,
) -> Result<(), CommandError> {
    // A closed channel means that serving ended by itself; its result follows.
    let _ = stop.send(());
    match tokio::time::timeout(Duration::from_secs(5), serving).await {
        Ok(Ok(result)) => Ok(result?),
        Ok(Err(error)) => Err(error.into()),
        // Streams of open pages never end by themselves.
        Err(_) => Ok(()),
    }
}

async fn stop_signal() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

fn migrations() -> [MigrationSet; 16] {
    [
        platform_events::MIGRATIONS,
        platform_auth::MIGRATIONS,
        platform_jobs::MIGRATIONS,
        group_projects::MIGRATIONS,
        group_experiments::MIGRATIONS,
        group_traces::MIGRATIONS,
        group_evaluation::MIGRATIONS,
        group_environments::MIGRATIONS,
        group_pipelines::MIGRATIONS,
        group_registry::MIGRATIONS,
        group_webhooks::MIGRATIONS,
        group_serving::MIGRATIONS,
        group_monitoring::MIGRATIONS,
        group_explain::MIGRATIONS,
        group_lineage::MIGRATIONS,
        group_loops::MIGRATIONS,
    ]
}

async fn open_db(config: &Config) -> Result<Db, CommandError> {
    let db = Db::open(&config.database).await?;
    db.migrate(&migrations()).await?;
    Ok(db)
}

pub async fn open_events(config: &Config) -> Result<Events, CommandError> {
    Ok(Events::new(open_db(config).await?, Arc::new(SystemClock)))
}

pub async fn create_token(config: &Config, name: &str, roles: &[Role]) -> Result<String, CommandError> {
    let authenticator = Authenticator::new(open_db(config).await?, Arc::new(SystemClock), &local_user());
    Ok(authenticator.create_token(name, roles, None).await?)
}

/// All services, wired.
struct Services {
    events: Events,
    authenticator: Authenticator,
    jobs: Jobs,
    metrics: Metrics,
    projects: Projects,
    experiments: Experiments,
    traces: Traces,
    evaluation: Evaluation,
    environments: Environments,
    pipelines: Pipelines,
    registry: Registry,
    webhooks: Webhooks,
    serving: Serving,
    monitoring: Monitoring,
    explain: Explain,
    lineage: Lineage,
    loops: Loops,
}

impl Services {
    async fn open(config: &Config, address: SocketAddr) -> Result<Self, CommandError> {
        let clock = Arc::new(SystemClock);
        let db = open_db(config).await?;
        let blobs = Blobs::local(&config.folder("blobs"))?;
        blobs.discard_unfinished()?;
        let events = Events::new(db.clone(), clock.clone());
        let authenticator = Authenticator::new(db.clone(), clock, &local_user());
        let metrics = Metrics::default();
        let engine = Arc::new(ProcessEngine::new(std::env::current_exe()?));
        let jobs = Jobs::new(
            db.clone(),
            events.clone(),
            blobs.clone(),
            engine,
            config.folder("jobs"),
            config.job_slots,
        );
        let (uploads, waiting_uploads) = ports::scanned_uploads(db.clone());
        let experiments =
            Experiments::new(db.clone(), events.clone(), blobs.clone()).with_uploads(Arc::new(uploads));
        let traces = Traces::new(
            db.clone(),
            events.clone(),
            Arc::new(ports::TracedExperiments(experiments.clone())),
            Arc::new(ports::UploadedFiles(experiments.clone())),
        );
        let evaluation = Evaluation::new(
            db.clone(),
            events.clone(),
            Arc::new(ports::TracedExperiments(experiments.clone())),
        );
        let logged = Arc::new(ports::LoggedRuns(experiments.clone()));
        let stored = ports::StoredVersions { experiments: experiments.clone(), blobs: blobs.clone() };
        let governance = Governance {
            files: Arc::new(stored),
            runs: Arc::new(ports::RecordedRuns(experiments.clone())),
            key: SigningKey::new(config.data_dir.join("signing.key")),
        };
        let registry = Registry::new(db.clone(), events.clone(), logged).with_governance(governance);
        tokio::spawn(waiting_uploads.scan(registry.clone()));
        let named = ports::NamedThings {
            experiments: experiments.clone(),
            registry: registry.clone(),
            evaluation: evaluation.clone(),
        };
        let projects = Projects::new(db.clone(), events.clone()).with_contents(Arc::new(named));
        let webhooks = Webhooks::new(
            db.clone(),
            events.clone(),
            config.data_dir.join("webhook.key"),
            config.webhook_hosts.clone(),
        );
        let environments =
            Environments::new(db.clone(), events.clone(), jobs.clone(), config.folder("environments"));
        let training = Arc::new(ports::TrackedRuns {
            experiments: experiments.clone(),
            authenticator: authenticator.clone(),
            url: format!("http://{address}"),
        });
        let pipelines = Pipelines::new(
            db.clone(),
            events.clone(),
            blobs.clone(),
            jobs.clone(),
            training,
            config.folder("work"),
        );
        let monitoring = Monitoring::new(db.clone(), events.clone(), blobs.clone());
        let source = ports::RegisteredFiles { registry: registry.clone(), experiments: experiments.clone() };
        let explained = ports::ExplainedPredictions::new(ports::LoggedPredictions(monitoring.clone()));
        let serving =
            Serving::new(db.clone(), events.clone(), Arc::new(source), Arc::new(explained.clone()), &metrics);
        let trained_on = ports::TrainingTables { monitoring: monitoring.clone(), blobs: blobs.clone() };
        let served = Arc::new(ports::ServedModels(serving.clone()));
        let explain = Explain::new(db.clone(), events.clone(), served).with_training(Arc::new(trained_on));
        explained.explain_by(&explain);
        serving.explain_by(Arc::new(ports::AnsweredRows(explain.clone())));
        let lineage = Lineage::new(db.clone(), events.clone());
        let loops = Loops::new(
            db,
            events.clone(),
            ports::loop_ports(ports::LoopServices {
                projects: projects.clone(),
                environments: environments.clone(),
                pipelines: pipelines.clone(),
                registry: registry.clone(),
                serving: serving.clone(),
                monitoring: monitoring.clone(),
                blobs,
            }),
        );
        Ok(Self {
            events,
            authenticator,
            jobs,
            metrics,
            projects,
            experiments,
            traces,
            evaluation,
            environments,
            pipelines,
            registry,
            webhooks,
            serving,
            monitoring,
            explain,
            lineage,
            loops,
        })
    }

    fn groups(&self, ui: &Ui) -> Vec<Group> {
        vec![
            group_projects::group(&self.projects, ui),
            group_experiments::group(&self.experiments, ui),
            group_traces::group(&self.traces),
            group_evaluation::group(&self.evaluation),
            group_environments::group(),
            group_pipelines::group(&self.pipelines),
            group_registry::group(&self.registry, ui),
            group_webhooks::group(&self.webhooks),
            group_serving::group(&self.serving, ui),
            group_monitoring::group(&self.monitoring, ui),
            group_explain::group(&self.explain, ui),
            group_lineage::group(&self.lineage),
            group_loops::group(&self.loops, ui),
        ]
    }

    fn surfaces(&self, config: &Config) -> Result<Vec<Surface>, CommandError> {
        // Templates are compiled into the shell first; the groups' surfaces then render with it.
        let names = Ui::new(&[])?;
        let templates: Vec<_> = self.groups(&names).iter().map(|group| group.templates).collect();
        let ui = Ui::new(&templates)?;
        let mut surfaces = vec![ui.surface(&self.events), metrics_surface(&self.metrics)];
        surfaces.extend(self.groups(&ui).into_iter().flat_map(|group| group.surfaces));
        surfaces.push(platform_graphql::surface(&surfaces));
        tracing::debug!(data_dir = %config.data_dir.display(), "surfaces are mounted");
        let projects = self.projects.clone();
        let known: KnownWorkspaces = Arc::new(move |name: &str| projects.has_workspace(name));
        Ok(surfaces.into_iter().map(|surface| surface.among(Arc::clone(&known))).collect())
    }

    /// Everything that may have become possible, done.
    async fn settle(&self) {
        let report = |what: &str, error: &dyn std::error::Error| tracing::error!(%error, what, "controller");
        if let Err(error) = self.environments.settle().await {
            report("environments", &error);
        }
        if let Err(error) = self.pipelines.settle().await {
            report("pipelines", &error);
        }
        if let Err(error) = self.loops.settle().await {
            report("loops", &error);
        }
        if let Err(error) = self.loops.tick(self.events.now()).await {
            report("loops", &error);
        }
        if let Err(error) = self.lineage.settle().await {
            report("lineage", &error);
        }
    }
}

fn metrics_surface(metrics: &Metrics) -> Surface {
    let text = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Routes::new(Dialect::Problem)
        .get(
            "/metrics",
            Access::Needs(Permission::Read),
            async move |axum::extract::State(metrics): axum::extract::State<Metrics>| {
                ([(axum::http::header::CONTENT_TYPE, text)], metrics.render())
            },
        )
        .with_state(metrics.clone())
}

/// Starts a server and returns once it answers.
pub async fn start(config: Config) -> Result<Running, CommandError> {
    let lock = DirectoryLock::take(&config.data_dir)?;
    let listener = platform_web::bind(config.listen).await?;
    let address = listener.local_addr()?;
    let services = Arc::new(Services::open(&config, address).await?);
    services.projects.load_workspaces().await?;
    services.experiments.ensure_default_experiment().await?;
    services.serving.load_all().await?;
    let surfaces = services.surfaces(&config)?;
    let edge = EdgeConfig {
        authenticator: services.authenticator.clone(),
        extra_hosts: config.hosts.clone().into(),
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(platform_web::serve(listener, surfaces, edge, async {
        // The sender gone means the same as a message.
        let _ = stopped.await;
    }));
    tokio::spawn(services.jobs.clone().run());
    tokio::spawn(services.experiments.clone().fold_points());
    tokio::spawn(services.experiments.clone().warm());
    tokio::spawn(services.experiments.clone().tend_uploads());
    tokio::spawn(services.webhooks.clone().run());
    tokio::spawn(control(Arc::clone(&services)));
    Ok(Running { url: format!("http://{address}"), jobs: services.jobs.clone(), serving, stop, _lock: lock })
}

/// Wakes the controllers when something they wait for has happened.
async fn control(services: Arc<Services>) {
    let mut events = services.events.listen();
    loop {
        services.settle().await;
        let deadline = tokio::time::Instant::now() + SETTLE_EVERY;
        loop {
            match tokio::time::timeout_at(deadline, events.recv()).await {
                Ok(Ok(event)) if concerns(&event.kind) => break,
                Ok(Ok(_)) => {}
                // Behind or silent: look at everything.
                Ok(Err(RecvError::Lagged(_))) | Err(_) => break,
                Ok(Err(RecvError::Closed)) => return,
            }
        }
    }
}

/// Events after which a controller may be able to go on.
fn concerns(kind: &str) -> bool {
    ["jobs.", "environments.", "pipelines.", "registry.", "loops."]
        .iter()
        .any(|prefix| kind.starts_with(prefix))
}

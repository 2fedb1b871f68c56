//! The controller between other groups that do as the test says.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use group_loops::{
    Approval, Assessment, BuildOutcome, Builds, ClockMode, GateVerdict, Loops, MIGRATIONS, Monitoring, Month,
    NewBaseline, NewBuild, NewTraffic, Paired, Phase, PortResult, Ports, Progress, ProjectFile, ProjectFiles,
    Serving, Standing, TrainingSet, Versions,
};
use platform_loopfile::LoopFile;
use platform_primitives::Timestamp;
use platform_testkit::both_engines;

const PROJECT: &str = "taxi";
const FILE: &str = include_str!("../../../../../examples/taxi/loopwright.yaml");

fn file() -> LoopFile {
    LoopFile::parse(FILE).unwrap()
}

/// A project whose first model trains well and is approved at once.
#[derive(Default)]
struct World {
    /// What is no longer as it was signed.
    changed: Mutex<Option<String>>,
    /// Champions that were given traffic, and versions that were promoted.
    traffic: Mutex<Vec<i64>>,
    promoted: Mutex<Vec<i64>>,
}

#[derive(Clone)]
struct Port(Arc<World>);

#[async_trait]
impl ProjectFiles for Port {
    async fn get(&self, _project: &str) -> PortResult<ProjectFile> {
        Ok(ProjectFile { directory: PathBuf::from("/nowhere"), file: file() })
    }

    async fn names(&self) -> PortResult<Vec<String>> {
        Ok(vec![PROJECT.to_owned()])
    }
}

#[async_trait]
impl Builds for Port {
    async fn environment(
        &self,
        _project: &str,
        _lock: PathBuf,
        _known: Option<&str>,
    ) -> PortResult<(String, Progress, Option<String>)> {
        Ok(("environment".to_owned(), Progress::Done, None))
    }

    async fn start(&self, build: NewBuild) -> PortResult<String> {
        Ok(build.id)
    }

    async fn find(&self, _pipeline_run: &str) -> PortResult<BuildOutcome> {
        let pipeline = file().pipeline;
        let files = [pipeline.training_set, pipeline.holdout].map(|path| (path, "0".repeat(64)));
        Ok(BuildOutcome {
            progress: Progress::Done,
            error: None,
            training_run: Some("run".to_owned()),
            files: BTreeMap::from(files),
        })
    }
}

#[async_trait]
impl Versions for Port {
    async fn claim(&self, _model: &str, _project: &str) -> PortResult<()> {
        Ok(())
    }

    async fn of_run(&self, _model: &str, _run: &str) -> PortResult<Option<i64>> {
        Ok(Some(1))
    }

    async fn standing(&self, _model: &str, _version: i64) -> PortResult<Standing> {
        Ok(Standing::Approved)
    }

    async fn record_gate(
        &self,
        _model: &str,
        _version: i64,
        _verdict: &GateVerdict,
        _digest: &str,
    ) -> PortResult<()> {
        Ok(())
    }

    async fn changed_since_signed(&self, _model: &str, _version: i64) -> PortResult<Option<String>> {
        Ok(self.0.changed.lock().unwrap().clone())
    }

    async fn promote(&self, _model: &str, version: i64, _reason: &str) -> PortResult<()> {
        self.0.promoted.lock().unwrap().push(version);
        Ok(())
    }

    async fn roll_back(&self, _model: &str, _version: i64, _reason: &str) -> PortResult<()> {
        Ok(())
    }

    async fn approval(&self, _model: &str, _version: i64) -> PortResult<Option<Approval>> {
        Ok(None)
    }
}

#[async_trait]
impl Serving for Port {
    async fn score(&self, _model: &str, _version: i64, _table: &str) -> PortResult<(Vec<f64>, String)> {
        Ok((vec![1.0, 2.0, 3.0], "0".repeat(64)))
    }

    async fn set_traffic(&self, traffic: NewTraffic) -> PortResult<()> {
        self.0.traffic.lock().unwrap().push(traffic.champion);
        Ok(())
    }
}

const NEVER: &str = "a first model is not compared with traffic";

#[async_trait]
impl Monitoring for Port {
    async fn configure(&self, _project: &str, _file: &LoopFile) -> PortResult<()> {
        Ok(())
    }

    async fn set_baseline(&self, _endpoint: &str, _baseline: NewBaseline) -> PortResult<()> {
        Ok(())
    }

    async fn assess(&self, _endpoint: &str, _champion: i64, _now: Timestamp) -> PortResult<Assessment> {
        panic!("{NEVER}")
    }

    async fn paired(&self, _endpoint: &str, _candidate: i64, _since: Timestamp) -> PortResult<Paired> {
        panic!("{NEVER}")
    }

    async fn labelled_rows(&self, _endpoint: &str, _from: Timestamp) -> PortResult<u64> {
        panic!("{NEVER}")
    }

    async fn training_set(
        &self,
        _file: &LoopFile,
        _template: &str,
        _from: Timestamp,
    ) -> PortResult<TrainingSet> {
        panic!("{NEVER}")
    }

    async fn months(&self, _endpoint: &str, _now: Timestamp) -> PortResult<Vec<Month>> {
        panic!("{NEVER}")
    }

    async fn drifting(&self, _endpoint: &str) -> PortResult<Vec<String>> {
        Ok(Vec::new())
    }

    async fn labels_of(&self, _file: &LoopFile, _table: &str) -> PortResult<Vec<f64>> {
        Ok(vec![1.0, 2.0, 3.5])
    }

    async fn keep_predictions(&self, _predictions: &[f64]) -> PortResult<String> {
        Ok("0".repeat(64))
    }
}

fn ports(world: &Arc<World>) -> Ports {
    let port = || Box::new(Port(Arc::clone(world)));
    Ports { projects: port(), builds: port(), versions: port(), serving: port(), monitoring: port() }
}

#[tokio::test]
async fn only_what_is_as_it_was_signed_gets_traffic() {
    let why = "the files of version taxi-price/1 are not the signed ones: model.txt was changed";
    for (changed, phase, given) in
        [(None, Phase::Promoted, vec![1]), (Some(why.to_owned()), Phase::Failed, Vec::new())]
    {
        for test in both_engines(&[MIGRATIONS]).await {
            let engine = test.db.engine();
            let world = Arc::new(World { changed: Mutex::new(changed.clone()), ..World::default() });
            let loops = Loops::new(test.db.clone(), test.events.clone(), ports(&world));
            let now = test.events.now();
            loops.build("ada", PROJECT, ClockMode::Replay, now).await.unwrap();
            loops.settle().await.unwrap();
            let (state, attempts, _) = loops.status(PROJECT).await.unwrap();
            let attempt = attempts.last().unwrap();
            assert_eq!(attempt.phase, phase, "{engine:?}: {attempt:?}");
            assert_eq!(attempt.error, changed, "{engine:?}");
            assert_eq!(*world.traffic.lock().unwrap(), given, "{engine:?}");
            assert_eq!(*world.promoted.lock().unwrap(), given, "{engine:?}");
            assert_eq!(state.champion, given.first().copied().unwrap_or(0), "{engine:?}");
        }
    }
}

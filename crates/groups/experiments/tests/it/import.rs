//! What another server held, taken over.

use group_experiments::{Imported, LoggedModel, LoggedModelStatus, RunStatus, kinds};
use platform_db::args;
use platform_events::EventFilter;

use crate::{Server, servers};

impl Server {
    /// Kind, actor and whether it was an update, of every event on the subject.
    async fn told_of(&self, subject: &str) -> Vec<(String, String, bool)> {
        let filter = EventFilter { subject: Some(subject.to_owned()), ..EventFilter::default() };
        let events = self.test.events.list(filter, 0, 100).await.unwrap();
        events
            .into_iter()
            .map(|event| (event.kind, event.actor, event.payload["updated"].as_bool().unwrap()))
            .collect()
    }
}

#[tokio::test]
async fn an_imported_run_and_model_are_told_when_they_come_and_when_they_change() {
    for server in servers().await {
        let engine = server.engine();
        let run = server.run().await;
        let mut record = (*server.experiments.get_record(&run).await.unwrap()).clone();
        record.run.id = "0123456789abcdef".to_owned();
        let now = server.test.events.now();
        let mut model = LoggedModel {
            id: "m-0123".to_owned(),
            experiment_id: record.run.experiment_id,
            run_id: record.run.id.clone(),
            name: "line".to_owned(),
            model_type: String::new(),
            status: LoggedModelStatus::Pending,
            status_message: String::new(),
            created: now,
            updated: now,
            tags: Default::default(),
            params: Default::default(),
            metrics: Vec::new(),
            artifact_root: String::new(),
        };
        for (finished, outcome) in [
            (false, Imported::New),
            (false, Imported::Kept),
            (true, Imported::Updated),
            (true, Imported::Kept),
        ] {
            if finished {
                record.run.status = RunStatus::Finished;
                model.status = LoggedModelStatus::Ready;
            }
            let imported = server.experiments.import_run("ada", record.clone()).await.unwrap();
            assert_eq!(imported, outcome, "{engine:?}");
            let imported = server.experiments.import_logged_model("ada", model.clone()).await.unwrap();
            assert_eq!(imported, outcome, "{engine:?}");
        }
        for (subject, kind) in
            [("run:0123456789abcdef", kinds::RUN_IMPORTED), ("logged_model:m-0123", kinds::MODEL_IMPORTED)]
        {
            let expected = [false, true].map(|updated| (kind.to_owned(), "ada".to_owned(), updated));
            assert_eq!(server.told_of(subject).await, expected, "{engine:?} {subject}");
        }
        let creator = server.experiments.creator_of_run("0123456789abcdef").await.unwrap();
        assert_eq!(creator, "", "{engine:?}: who imported a run did not make it");
    }
}

#[tokio::test]
async fn an_imported_experiment_takes_no_number_that_leads_to_somebody_elses_files() {
    for server in servers().await {
        let engine = server.engine();
        let run = server.run().await;
        let taken = server.experiments.get_run(&run).await.unwrap().experiment_id;
        let foreign = server.experiments.get_experiment(&taken.to_string()).await.unwrap();
        // As a build before workspaces let it be written.
        let folder = "INSERT INTO artifact_folders (path, parent) VALUES ($1, $2)";
        server.test.db.write(|tx| tx.execute(folder, args!["70", ""])).await.unwrap();
        let import = async |id: i64| {
            let named = group_experiments::Experiment { id, name: format!("from {id}"), ..foreign.clone() };
            server.experiments.import_experiment("ada", named).await.unwrap().0
        };
        assert_eq!(import(60).await, 60, "{engine:?}");
        for refused in [70, taken, -1, 1_000_000_000_000_000, i64::MAX] {
            assert_ne!(import(refused).await, refused, "{engine:?}");
        }
        let next: i64 = server.experiments.ensure_experiment("ada", "next").await.unwrap();
        assert!((61..1_000).contains(&next), "{engine:?}: {next}");
    }
}

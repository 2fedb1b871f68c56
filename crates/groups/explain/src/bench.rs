//! For tests: one endpoint that serves a model of LightGBM, on both engines.

use std::sync::Arc;

use async_trait::async_trait;
use kernel_trees::Ensemble;
use platform_db::Engine;
use platform_events::EventFilter;
use platform_primitives::{ErrorKind, Failure, Timestamp};
use platform_tables::Table;
use platform_testkit::{TestDb, both_engines};

use crate::{Endpoints, Explain, Input, MIGRATIONS, Served, TrainingData, TrainingTable};

pub(crate) const ENDPOINT: &str = "credit";

pub(crate) struct Bench {
    pub explain: Explain,
    test: TestDb,
}

impl Bench {
    pub(crate) fn engine(&self) -> Engine {
        self.test.db.engine()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.test.events.now()
    }

    /// A process that has kept nothing in memory.
    pub(crate) fn restarted(&self) -> Explain {
        Explain::new(self.test.db.clone(), self.test.events.clone(), Arc::new(One))
    }

    pub(crate) async fn event_kinds(&self) -> Vec<String> {
        let events = self.test.events.list(EventFilter::default(), 0, 100).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }
}

pub(crate) async fn benches() -> Vec<Bench> {
    let benches = both_engines(&[MIGRATIONS]).await.into_iter();
    benches
        .map(|test| Bench {
            explain: Explain::new(test.db.clone(), test.events.clone(), Arc::new(One)),
            test,
        })
        .collect()
}

pub(crate) fn inputs() -> Vec<Input> {
    let input = |place: usize| Input { name: format!("Column_{place}"), is_whole: false, is_required: false };
    (0..4).map(input).collect()
}

/// Version 1 on [`ENDPOINT`].
struct One;

impl Endpoints for One {
    fn served(&self, endpoint: &str, version: Option<&str>) -> Result<Served, Failure> {
        if endpoint != ENDPOINT || version.is_some_and(|version| version != "1") {
            return Err(Failure::new(ErrorKind::NotFound, "test/not-served", "is not served"));
        }
        let text = include_str!("../../../kernels/trees/tests/golden/binary.txt");
        Ok(Served {
            endpoint: endpoint.to_owned(),
            version: "1".to_owned(),
            ensemble: Arc::new(Ensemble::from_lightgbm_text(text).unwrap()),
            inputs: inputs(),
        })
    }
}

/// What version 1 was trained on, with the truth in `truth`.
pub(crate) struct Trained(pub Table);

#[async_trait]
impl TrainingData for Trained {
    async fn find(&self, _endpoint: &str, _version: &str) -> Result<Option<TrainingTable>, Failure> {
        Ok(Some(TrainingTable { digest: "training".to_owned(), label: "truth".to_owned() }))
    }

    async fn read(&self, _digest: &str) -> Result<Table, Failure> {
        Ok(self.0.clone())
    }
}

use std::collections::{BTreeSet, VecDeque};

use platform_db::Db;
use platform_events::{EventFilter, Events};
use serde::Serialize;

use crate::{LineageError, edges, store};

type Result<T> = std::result::Result<T, LineageError>;

const PAGE: usize = 1_000;
const MOST_EDGES: usize = 1_000;

#[derive(Debug, Clone, Serialize)]
pub struct Edge {
    pub source: String,
    pub target: String,
    pub relation: String,
}

#[derive(Clone)]
pub struct Lineage {
    db: Db,
    events: Events,
}

impl Lineage {
    pub fn new(db: Db, events: Events) -> Self {
        Self { db, events }
    }

    /// Reads the events since the last call into the graph.
    pub async fn settle(&self) -> Result<()> {
        loop {
            let after = store::cursor(&self.db).await?;
            let events = self.events.list(EventFilter::default(), after, PAGE).await?;
            let Some(last) = events.last().map(|event| event.seq) else { return Ok(()) };
            let found: Vec<_> = events
                .iter()
                .flat_map(|event| edges::of(event).into_iter().map(|edge| (event.seq, edge)))
                .collect();
            self.db.write(move |tx| store::add(tx, &found, last)).await?;
        }
    }

    /// Everything that went into `node`, nearest first, up to `depth` steps and a thousand edges.
    pub async fn upstream(&self, node: &str, depth: usize) -> Result<Vec<Edge>> {
        self.settle().await?;
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([node.to_owned()]);
        let mut queue = VecDeque::from([(node.to_owned(), 0)]);
        while let Some((target, steps)) = queue.pop_front() {
            if steps >= depth || found.len() >= MOST_EDGES {
                continue;
            }
            for edge in store::into(&self.db, &target, MOST_EDGES).await? {
                if seen.insert(edge.source.clone()) {
                    queue.push_back((edge.source.clone(), steps + 1));
                }
                found.push(edge);
            }
        }
        Ok(found)
    }
}

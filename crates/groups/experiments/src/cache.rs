//! Records of the runs that are asked for again and again: a client reads its run before every upload.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::RunRecord;

const SHARDS: usize = 64;
/// Per shard, so 48 MiB in all.
const SHARD_BYTES: usize = 768 * 1024;

/// Bounded by bytes. A record is only kept when no write to its shard came between reading and keeping it, so what is here is
/// never older than the last acknowledged write.
pub(crate) struct RecordCache {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    records: HashMap<String, Arc<RunRecord>>,
    bytes: usize,
    /// Counts the writes to runs of this shard.
    epoch: u64,
}

/// The state of a shard at the time of a read.
#[derive(Clone, Copy)]
pub(crate) struct Epoch(u64);

impl RecordCache {
    pub fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    fn shard(&self, id: &str) -> MutexGuard<'_, Shard> {
        let place = self.hasher.hash_one(id) as usize % SHARDS;
        // Nothing that can panic runs under the lock.
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, id: &str) -> Result<Arc<RunRecord>, Epoch> {
        let shard = self.shard(id);
        shard.records.get(id).cloned().ok_or(Epoch(shard.epoch))
    }

    /// Keeps what was read at `epoch`.
    pub fn put(&self, epoch: Epoch, record: &Arc<RunRecord>) {
        let mut shard = self.shard(&record.run.id);
        if shard.epoch != epoch.0 {
            return;
        }
        let bytes = approximate_bytes(record);
        if bytes > SHARD_BYTES {
            return;
        }
        if shard.bytes + bytes > SHARD_BYTES {
            // Sparing the hottest would cost bookkeeping on every read; they are back after one read each.
            shard.records.clear();
            shard.bytes = 0;
        }
        shard.bytes += bytes;
        if let Some(old) = shard.records.insert(record.run.id.clone(), Arc::clone(record)) {
            shard.bytes -= approximate_bytes(&old);
        }
    }

    /// After a commit and before its acknowledgement.
    pub fn forget(&self, id: &str) {
        let mut shard = self.shard(id);
        shard.epoch += 1;
        if let Some(old) = shard.records.remove(id) {
            shard.bytes -= approximate_bytes(&old);
        }
    }
}

fn approximate_bytes(record: &RunRecord) -> usize {
    let texts = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(key, value)| key.len() + value.len() + 64).sum::<usize>()
    };
    let inputs: usize = record
        .inputs
        .iter()
        .map(|input| {
            let long = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            input.source.len() + long(&input.schema) + long(&input.profile) + 256
        })
        .sum();
    512 + record.run.artifact_root.len()
        + texts(&record.tags)
        + texts(&record.params)
        + record.metrics.iter().map(|(key, _)| key.len() + 80).sum::<usize>()
        + inputs
        + record.outputs.len() * 80
}

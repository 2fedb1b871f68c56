//! The hash chain: hash = SHA-256(previous hash, then each field with its length in front).

use std::fmt;

use platform_db::{Db, args};
use sha2::{Digest, Sha256};

use crate::model::EventError;

pub(crate) const GENESIS: [u8; 32] = [0; 32];
const PAGE: i64 = 5_000;

pub(crate) struct Link<'a> {
    pub seq: i64,
    pub at_ms: i64,
    pub actor: &'a str,
    pub kind: &'a str,
    pub project: &'a str,
    pub subject: &'a str,
    pub cause: Option<i64>,
    pub payload: &'a str,
}

impl Link<'_> {
    pub(crate) fn hash(&self, prev_hash: &[u8]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(prev_hash);
        hasher.update(self.seq.to_be_bytes());
        hasher.update(self.at_ms.to_be_bytes());
        hasher.update(self.cause.unwrap_or(-1).to_be_bytes());
        for field in [self.actor, self.kind, self.project, self.subject, self.payload] {
            // The length in front keeps two neighbours from trading bytes unseen.
            hasher.update((field.len() as u64).to_be_bytes());
            hasher.update(field.as_bytes());
        }
        hasher.finalize().into()
    }
}

/// Where the log stopped being the one that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainBreak {
    /// This event is missing or out of order.
    Missing { seq: i64 },
    /// This event's fields do not give its hash, or do not follow the one before.
    Altered { seq: i64 },
    /// The chain is sound but ends before the recorded head.
    Truncated { last: i64, head: i64 },
    /// Events follow the recorded head that no append has put there.
    Unrecorded { last: i64, head: i64 },
}

impl fmt::Display for ChainBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { seq } => write!(f, "event {seq} is missing"),
            Self::Altered { seq } => write!(f, "event {seq} was altered"),
            Self::Truncated { last, head } => {
                write!(f, "events after {last} are missing; the head is {head}")
            }
            Self::Unrecorded { last, head } => {
                write!(f, "events up to {last} follow the head, which is {head}")
            }
        }
    }
}

/// Reads the head before the events and once more after them: a row and its head are committed together,
/// so the rows reach at least the first head and at most the second, however fast the log grows meanwhile.
pub(crate) async fn verify(db: &Db) -> Result<Result<i64, ChainBreak>, EventError> {
    let (head, head_hash) = read_head(db).await?;
    let mut last = 0i64;
    let mut prev_hash = GENESIS.to_vec();
    loop {
        let rows = db
            .read(
                "SELECT seq, at_ms, actor, kind, project, subject, cause, payload, prev_hash, hash \
                 FROM events WHERE seq > $1 ORDER BY seq LIMIT $2",
                args![last, PAGE],
            )
            .await?;
        for row in &rows {
            let seq = row.int(0)?;
            if seq != last + 1 {
                return Ok(Err(ChainBreak::Missing { seq: last + 1 }));
            }
            let link = Link {
                seq,
                at_ms: row.int(1)?,
                actor: row.text(2)?,
                kind: row.text(3)?,
                project: row.text(4)?,
                subject: row.text(5)?,
                cause: row.opt_int(6)?,
                payload: row.text(7)?,
            };
            let sound = row.bytes(8)? == prev_hash && row.bytes(9)? == link.hash(&prev_hash);
            if !sound {
                return Ok(Err(ChainBreak::Altered { seq }));
            }
            if seq == head && row.bytes(9)? != head_hash {
                return Ok(Err(ChainBreak::Altered { seq }));
            }
            prev_hash = row.bytes(9)?.to_vec();
            last = seq;
        }
        if rows.len() < PAGE as usize {
            break;
        }
    }
    if last < head {
        return Ok(Err(ChainBreak::Truncated { last, head }));
    }
    let (head, head_hash) = read_head(db).await?;
    if last > head {
        return Ok(Err(ChainBreak::Unrecorded { last, head }));
    }
    let is_altered = last == head && prev_hash != head_hash;
    Ok(if is_altered { Err(ChainBreak::Altered { seq: last }) } else { Ok(last) })
}

/// Number and hash of the last event; the start of the chain when there is none.
async fn read_head(db: &Db) -> Result<(i64, Vec<u8>), EventError> {
    match db.read_one("SELECT seq, hash FROM event_head WHERE id = 1", args![]).await? {
        Some(row) => Ok((row.int(0)?, row.bytes(1)?.to_vec())),
        None => Ok((0, GENESIS.to_vec())),
    }
}

//! Nouns that every storey shares: error kinds, ids, time, pages. No I/O.

mod error;
mod id;
pub mod json;
mod page;
mod time;

pub use error::{ErrorKind, Failure, Fault};
pub use id::{new_id, random_token};
pub use page::{Page, PageRequest};
pub use time::{Clock, InvalidTime, ManualClock, SystemClock, Timestamp};

//! Series of points as bytes, and what a chart needs of them.
//!
//! Three forms: a [`batch`](encode_batch) is what one request logged, a [`chunk`](encode_chunk) is for good, a
//! [`Summary`] is what lists show. Values are kept bit for bit. Cost: linear in the points, unless said otherwise.

mod bands;
mod batch;
mod chunk;
mod columns;
mod point;
mod summary;
mod wire;

pub use bands::{Band, bands};
pub use batch::{batch_keys, decode_batch, encode_batch};
pub use chunk::{Series, decode_chunk, encode_chunk, points_of_key};
pub use point::{Point, sort_points};
pub use summary::{Summaries, Summary};
pub use wire::DamagedBytes;

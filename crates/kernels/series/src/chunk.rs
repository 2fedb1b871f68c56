//! Many points of one or more keys, sorted, for good.

use crate::Point;
use crate::columns::{Shared, decode_integers, decode_reals, encode_integers, encode_reals};
use crate::wire::{DamagedBytes, Reader, put_text, put_unsigned};

const VERSION: u8 = 1;
/// More points in one chunk than any fold writes: bounds what damaged bytes can make us allocate.
const MAX_POINTS: u64 = 1 << 20;

/// The points of one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub key: String,
    pub points: Vec<Point>,
}

/// `series` must be sorted by key and each one's points by [`Point::order`]. Typically 1 to 4 bytes a point for what
/// people log; at most about 8.1 for values that are noise in every bit, with regular times and steps.
pub fn encode_chunk(series: &[Series]) -> Vec<u8> {
    let column = |of: fn(&Point) -> i64| -> Vec<Vec<i64>> {
        series.iter().map(|one| one.points.iter().map(of).collect()).collect()
    };
    let values: Vec<Vec<f64>> =
        series.iter().map(|one| one.points.iter().map(|point| point.value).collect()).collect();
    let times = encode_integers(&column(|point| point.at_ms));
    let steps = encode_integers(&column(|point| point.step));
    let values = encode_reals(&values);
    let mut bytes = vec![VERSION];
    put_unsigned(&mut bytes, series.len() as u64);
    for (place, one) in series.iter().enumerate() {
        put_text(&mut bytes, &one.key);
        put_unsigned(&mut bytes, one.points.len() as u64);
        [&times, &steps, &values].iter().for_each(|all| put_unsigned(&mut bytes, all[place].len() as u64));
    }
    for place in 0..series.len() {
        [&times, &steps, &values].iter().for_each(|all| bytes.extend_from_slice(&all[place]));
    }
    bytes
}

/// A key's place in the bytes.
struct Entry<'b> {
    key: &'b str,
    count: usize,
    times: &'b [u8],
    steps: &'b [u8],
    values: &'b [u8],
}

fn directory(bytes: &[u8]) -> Result<Vec<Entry<'_>>, DamagedBytes> {
    let mut reader = Reader::new(bytes, VERSION)?;
    let keys = reader.count(5)?;
    let mut heads = Vec::with_capacity(keys);
    let mut points = 0u64;
    for _ in 0..keys {
        let key = reader.text()?;
        let count = reader.unsigned()?;
        points = points.saturating_add(count);
        if points > MAX_POINTS {
            return Err(DamagedBytes("a chunk claims too many points"));
        }
        let mut length =
            || usize::try_from(reader.unsigned()?).map_err(|_| DamagedBytes("a length is too large"));
        let lengths = [length()?, length()?, length()?];
        heads.push((key, count as usize, lengths));
    }
    let mut entries: Vec<Entry<'_>> = Vec::with_capacity(keys);
    for (key, count, [times, steps, values]) in heads {
        let before = entries.last().map(|entry| (entry.times, entry.steps)).unwrap_or_default();
        let times = if times == 0 { before.0 } else { reader.bytes(times)? };
        let steps = if steps == 0 { before.1 } else { reader.bytes(steps)? };
        entries.push(Entry { key, count, times, steps, values: reader.bytes(values)? });
    }
    Ok(entries)
}

/// What the columns of each kind share.
struct Descriptions<'b> {
    times: Shared<'b>,
    steps: Shared<'b>,
    values: Shared<'b>,
}

impl<'b> Descriptions<'b> {
    fn of(entries: &[Entry<'b>]) -> Self {
        Self {
            times: Shared::of(entries.iter().map(|entry| entry.times)),
            steps: Shared::of(entries.iter().map(|entry| entry.steps)),
            values: Shared::of(entries.iter().map(|entry| entry.values)),
        }
    }
}

impl Entry<'_> {
    fn points(&self, shared: &Descriptions<'_>) -> Result<Vec<Point>, DamagedBytes> {
        let times = decode_integers(self.times, self.count, shared.times)?;
        let steps = decode_integers(self.steps, self.count, shared.steps)?;
        let values = decode_reals(self.values, self.count, shared.values)?;
        let zipped = times.into_iter().zip(steps).zip(values);
        Ok(zipped.map(|((at_ms, step), value)| Point { at_ms, step, value }).collect())
    }
}

/// All series of a chunk, by key.
pub fn decode_chunk(bytes: &[u8]) -> Result<Vec<Series>, DamagedBytes> {
    let entries = directory(bytes)?;
    let shared = Descriptions::of(&entries);
    let series = |entry: &Entry<'_>| Ok(Series { key: entry.key.to_owned(), points: entry.points(&shared)? });
    entries.iter().map(series).collect()
}

/// The points of one key; empty when the chunk has none. Decompresses only that key's columns.
pub fn points_of_key(bytes: &[u8], key: &str) -> Result<Vec<Point>, DamagedBytes> {
    let entries = directory(bytes)?;
    match entries.binary_search_by(|entry| entry.key.cmp(key)) {
        Ok(found) => entries[found].points(&Descriptions::of(&entries)),
        Err(_) => Ok(Vec::new()),
    }
}

//! Many points of one or more keys, sorted, for good.

use pco::ChunkConfig;
use pco::standalone::{simple_compress, simple_decompress};

use crate::Point;
use crate::wire::{DamagedBytes, Reader, put_signed, put_text, put_unsigned};

const VERSION: u8 = 1;
/// More points in one column than any fold writes: bounds what damaged bytes can make us allocate.
const MAX_POINTS: u64 = 1 << 26;

const CONSTANT: u8 = 0;
const PROGRESSION: u8 = 1;
const COMPRESSED: u8 = 2;

/// The points of one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub key: String,
    pub points: Vec<Point>,
}

/// `series` must be sorted by key and each one's points by [`Point::order`]. Typically 1 to 4 bytes a point for what
/// people log; at most about 8.1 for values that are noise in every bit, with regular times and steps.
pub fn encode_chunk(series: &[Series]) -> Vec<u8> {
    let mut directory = vec![VERSION];
    let mut columns: Vec<u8> = Vec::new();
    put_unsigned(&mut directory, series.len() as u64);
    let (mut last_times, mut last_steps) = (Vec::new(), Vec::new());
    for one in series {
        let times: Vec<i64> = one.points.iter().map(|point| point.at_ms).collect();
        let steps: Vec<i64> = one.points.iter().map(|point| point.step).collect();
        let values: Vec<f64> = one.points.iter().map(|point| point.value).collect();
        put_text(&mut directory, &one.key);
        put_unsigned(&mut directory, one.points.len() as u64);
        for (column, last) in [(times, &mut last_times), (steps, &mut last_steps)] {
            // Length 0 says: the same as the key before.
            let bytes = if column == *last { Vec::new() } else { encode_integers(&column) };
            put_unsigned(&mut directory, bytes.len() as u64);
            columns.extend(bytes);
            *last = column;
        }
        let bytes = encode_reals(&values);
        put_unsigned(&mut directory, bytes.len() as u64);
        columns.extend(bytes);
    }
    directory.append(&mut columns);
    directory
}

fn encode_integers(column: &[i64]) -> Vec<u8> {
    let stride = match column {
        [first, second, ..] => second.wrapping_sub(*first),
        _ => 0,
    };
    let mut out = Vec::new();
    if column.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == stride) {
        out.push(PROGRESSION);
        put_signed(&mut out, column.first().copied().unwrap_or(0));
        put_signed(&mut out, stride);
        return out;
    }
    out.push(COMPRESSED);
    // Numbers in memory always compress; only a writer could fail, and a Vec does not.
    out.extend(simple_compress(column, &ChunkConfig::default()).expect("whole numbers compress"));
    out
}

fn encode_reals(column: &[f64]) -> Vec<u8> {
    let first = column.first().copied().unwrap_or(0.0);
    let mut out = Vec::new();
    if column.iter().all(|value| value.to_bits() == first.to_bits()) {
        out.push(CONSTANT);
        out.extend_from_slice(&first.to_le_bytes());
        return out;
    }
    out.push(COMPRESSED);
    out.extend(simple_compress(column, &ChunkConfig::default()).expect("numbers compress"));
    out
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
    for _ in 0..keys {
        let key = reader.text()?;
        let count = reader.unsigned()?;
        if count > MAX_POINTS {
            return Err(DamagedBytes("a column claims too many points"));
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

impl Entry<'_> {
    fn points(&self) -> Result<Vec<Point>, DamagedBytes> {
        let times = decode_integers(self.times, self.count)?;
        let steps = decode_integers(self.steps, self.count)?;
        let values = decode_reals(self.values, self.count)?;
        let zipped = times.into_iter().zip(steps).zip(values);
        Ok(zipped.map(|((at_ms, step), value)| Point { at_ms, step, value }).collect())
    }
}

fn decode_integers(bytes: &[u8], count: usize) -> Result<Vec<i64>, DamagedBytes> {
    let (tag, rest) = bytes.split_first().ok_or(DamagedBytes("a column is missing"))?;
    match *tag {
        PROGRESSION => {
            let mut reader = Reader { rest };
            let (start, stride) = (reader.signed()?, reader.signed()?);
            Ok((0..count as i64).map(|n| start.wrapping_add(stride.wrapping_mul(n))).collect())
        }
        COMPRESSED => {
            let column = simple_decompress::<i64>(rest).map_err(|_| DamagedBytes("a column is damaged"))?;
            if column.len() == count {
                Ok(column)
            } else {
                Err(DamagedBytes("a column has the wrong length"))
            }
        }
        _ => Err(DamagedBytes("unknown column form")),
    }
}

fn decode_reals(bytes: &[u8], count: usize) -> Result<Vec<f64>, DamagedBytes> {
    let (tag, rest) = bytes.split_first().ok_or(DamagedBytes("a column is missing"))?;
    match *tag {
        CONSTANT => Ok(vec![Reader { rest }.real()?; count]),
        COMPRESSED => {
            let column = simple_decompress::<f64>(rest).map_err(|_| DamagedBytes("a column is damaged"))?;
            if column.len() == count {
                Ok(column)
            } else {
                Err(DamagedBytes("a column has the wrong length"))
            }
        }
        _ => Err(DamagedBytes("unknown column form")),
    }
}

/// All series of a chunk, by key.
pub fn decode_chunk(bytes: &[u8]) -> Result<Vec<Series>, DamagedBytes> {
    let entries = directory(bytes)?;
    entries.iter().map(|entry| Ok(Series { key: entry.key.to_owned(), points: entry.points()? })).collect()
}

/// The points of one key; empty when the chunk has none. Decompresses only that key's columns.
pub fn points_of_key(bytes: &[u8], key: &str) -> Result<Vec<Point>, DamagedBytes> {
    let entries = directory(bytes)?;
    match entries.binary_search_by(|entry| entry.key.cmp(key)) {
        Ok(found) => entries[found].points(),
        Err(_) => Ok(Vec::new()),
    }
}

//! What one request logged, in its order.

use std::collections::HashMap;

use crate::Point;
use crate::wire::{DamagedBytes, Reader, put_signed, put_text, put_unsigned};

const VERSION: u8 = 1;

/// A few bytes a key, then about 11 to 15 bytes a point.
pub fn encode_batch<'k>(points: impl ExactSizeIterator<Item = (&'k str, Point)> + Clone) -> Vec<u8> {
    let mut numbers: HashMap<&str, u64> = HashMap::new();
    let mut keys: Vec<&str> = Vec::new();
    let mut body = Vec::with_capacity(points.len() * 14);
    let count = points.len();
    let (mut at, mut step) = (0i64, 0i64);
    let mut number = 0u64;
    for (key, point) in points {
        // Keys come in blocks or in turn: the same one and the one after it are tried before hashing.
        let next = number as usize + 1;
        if keys.get(number as usize) != Some(&key) {
            if keys.get(next) == Some(&key) {
                number = next as u64;
            } else {
                number = *numbers.entry(key).or_insert_with(|| {
                    keys.push(key);
                    keys.len() as u64 - 1
                });
            }
        }
        put_unsigned(&mut body, number);
        put_signed(&mut body, point.at_ms.wrapping_sub(at));
        put_signed(&mut body, point.step.wrapping_sub(step));
        body.extend_from_slice(&point.value.to_le_bytes());
        (at, step) = (point.at_ms, point.step);
    }
    let mut out = Vec::with_capacity(body.len() + 16 + keys.len() * 16);
    out.push(VERSION);
    put_unsigned(&mut out, keys.len() as u64);
    keys.iter().for_each(|key| put_text(&mut out, key));
    put_unsigned(&mut out, count as u64);
    out.append(&mut body);
    out
}

/// The keys of a batch, in the order in which they came first.
pub fn batch_keys(bytes: &[u8]) -> Result<Vec<&str>, DamagedBytes> {
    keys(&mut Reader::new(bytes, VERSION)?)
}

fn keys<'b>(reader: &mut Reader<'b>) -> Result<Vec<&'b str>, DamagedBytes> {
    let count = reader.count(1)?;
    (0..count).map(|_| reader.text()).collect()
}

/// Gives every point to `each`, with its key.
pub fn decode_batch<'b>(bytes: &'b [u8], mut each: impl FnMut(&'b str, Point)) -> Result<(), DamagedBytes> {
    let mut reader = Reader::new(bytes, VERSION)?;
    let keys = keys(&mut reader)?;
    let count = reader.count(11)?;
    let (mut at_ms, mut step) = (0i64, 0i64);
    for _ in 0..count {
        let number = reader.unsigned()? as usize;
        let key = keys.get(number).ok_or(DamagedBytes("a point names a key that is not there"))?;
        at_ms = at_ms.wrapping_add(reader.signed()?);
        step = step.wrapping_add(reader.signed()?);
        each(key, Point { at_ms, step, value: reader.real()? });
    }
    Ok(())
}

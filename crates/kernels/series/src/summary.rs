//! What lists and searches show of a metric without reading its history.

use crate::Point;
use crate::wire::{DamagedBytes, Reader, put_signed, put_text, put_unsigned};

const VERSION: u8 = 1;

#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// Largest (step, time, value).
    pub latest: Point,
    /// Smallest and largest value; NaN when every value was NaN.
    pub min: f64,
    pub max: f64,
    /// Points written, with those that a client wrote twice.
    pub points: u64,
}

impl Summary {
    fn of(point: Point) -> Self {
        Self { latest: point, min: point.value, max: point.value, points: 1 }
    }

    pub fn merge(&mut self, other: &Self) {
        if other.latest.is_newer_than(&self.latest) {
            self.latest = other.latest;
        }
        // f64::min and max pass over NaN.
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.points += other.points;
    }
}

/// Summaries by key, sorted.
#[derive(Debug, Clone, Default)]
pub struct Summaries {
    entries: Vec<(Box<str>, Summary)>,
}

impl Summaries {
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Summary)> {
        self.entries.iter().map(|(key, summary)| (&**key, summary))
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn get(&self, key: &str) -> Option<&Summary> {
        let found = self.entries.binary_search_by(|(own, _)| (**own).cmp(key)).ok()?;
        Some(&self.entries[found].1)
    }

    pub fn add(&mut self, key: &str, point: Point) {
        self.merge_one(key, &Summary::of(point));
    }

    fn merge_one(&mut self, key: &str, summary: &Summary) {
        match self.entries.binary_search_by(|(own, _)| (**own).cmp(key)) {
            Ok(found) => self.entries[found].1.merge(summary),
            Err(place) => self.entries.insert(place, (key.into(), *summary)),
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for (key, summary) in other.iter() {
            self.merge_one(key, summary);
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 + self.entries.len() * 48);
        out.push(VERSION);
        put_unsigned(&mut out, self.entries.len() as u64);
        for (key, summary) in &self.entries {
            put_text(&mut out, key);
            put_signed(&mut out, summary.latest.at_ms);
            put_signed(&mut out, summary.latest.step);
            for value in [summary.latest.value, summary.min, summary.max] {
                out.extend_from_slice(&value.to_le_bytes());
            }
            put_unsigned(&mut out, summary.points);
        }
        out
    }

    /// Empty bytes are no summaries.
    pub fn decode(bytes: &[u8]) -> Result<Self, DamagedBytes> {
        let mut entries = Vec::new();
        Self::scan(bytes, |key, summary| {
            entries.push((key.into(), summary));
            true
        })?;
        Ok(Self { entries })
    }

    /// The summary of one key; nothing else is kept.
    pub fn find(bytes: &[u8], wanted: &str) -> Result<Option<Summary>, DamagedBytes> {
        let mut found = None;
        Self::scan(bytes, |key, summary| {
            found = (key == wanted).then_some(summary);
            key < wanted
        })?;
        Ok(found)
    }

    /// Gives each summary to `each` without keeping it, until `each` says `false`.
    pub fn scan<'b>(
        bytes: &'b [u8],
        mut each: impl FnMut(&'b str, Summary) -> bool,
    ) -> Result<(), DamagedBytes> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut reader = Reader::new(bytes, VERSION)?;
        for _ in 0..reader.count(27)? {
            let key = reader.text()?;
            let (at_ms, step) = (reader.signed()?, reader.signed()?);
            let (value, min, max) = (reader.real()?, reader.real()?, reader.real()?);
            let points = reader.unsigned()?;
            if !each(key, Summary { latest: Point { at_ms, step, value }, min, max, points }) {
                break;
            }
        }
        Ok(())
    }
}

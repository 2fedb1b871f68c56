//! Values, times and addresses as the pages of this group write them.

use kernel_series::Summary;
use platform_primitives::Timestamp;
pub(super) use platform_ui::encoded;

use crate::model::{RunRecord, RunStatus};

/// Colours of runs in the style sheet.
const SLOTS: u32 = 12;

/// Five significant digits: runs are told apart by the third.
pub(super) fn precise(value: f64) -> String {
    if !value.is_finite() {
        return match value {
            value if value.is_nan() => "NaN",
            value if value > 0.0 => "∞",
            _ => "-∞",
        }
        .to_owned();
    }
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e7).contains(&size) {
        return format!("{value:.4e}");
    }
    let decimals = (4 - size.log10().floor() as i32).clamp(0, 8) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// From the smallest to the largest number of an axis. Halves are taken first: the ends may be as far apart as doubles go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    low: f64,
    high: f64,
}

impl Span {
    /// `None` when nothing is finite. A single value lies in the middle.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        match low < high {
            _ if low > high => None,
            true => Some(Self { low, high }),
            false => {
                let around = (low.abs() * 1e-3).max(0.5);
                Some(Self { low: (low - around).max(f64::MIN), high: (low + around).min(f64::MAX) })
            }
        }
    }

    /// 0 at the low end, 1 at the high end.
    pub fn share(&self, value: f64) -> f64 {
        (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
    }

    pub fn at(&self, share: f64) -> f64 {
        self.low * (1.0 - share) + self.high * share
    }
}

/// `850 ms`, `12.3 s`, `4 min 10 s`, `3 h 5 min`, `2 d 4 h`.
pub(super) fn duration(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    match seconds {
        0 => format!("{} ms", millis.max(0)),
        1..=59 => format!("{:.1} s", millis as f64 / 1000.0),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..=86_399 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// How long a run took; nothing while it runs.
pub(super) fn run_duration(record: &RunRecord) -> Option<String> {
    record.run.end.map(|end: Timestamp| duration(end.since(record.run.start)))
}

pub(super) fn size(bytes: i64) -> String {
    match bytes {
        ..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

pub(super) fn tone(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Finished => "good",
        RunStatus::Failed | RunStatus::Killed => "bad",
        RunStatus::Running | RunStatus::Scheduled => "accent",
    }
}

/// A run's colour: the same on every page and in every session (FNV-1a of its id).
pub(super) fn slot(run: &str) -> u32 {
    let hash =
        run.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ (hash >> 16)) % SLOTS
}

/// `a=1&b=2` without what is empty.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let given = pairs.iter().filter(|(_, value)| !value.is_empty());
    given.map(|(key, value)| format!("{key}={}", encoded(value))).collect::<Vec<_>>().join("&")
}

/// A text as Python writes it.
pub(super) fn python(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `1 run`, `2,000 runs`.
pub(super) fn plural(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", platform_ui::count(number as u64), if number == 1 { one } else { many })
}

/// Whether a metric is about the machine.
pub(super) fn is_system(key: &str) -> bool {
    key.starts_with("system/")
}

/// A metric in a table: newest, smallest, largest.
#[derive(serde::Serialize)]
pub(super) struct MetricLine {
    pub key: String,
    pub last: String,
    pub min: String,
    pub max: String,
    pub step: i64,
    pub points: String,
}

impl MetricLine {
    pub fn new(key: &str, summary: &Summary) -> Self {
        Self {
            key: key.to_owned(),
            last: precise(summary.latest.value),
            min: precise(summary.min),
            max: precise(summary.max),
            step: summary.latest.step,
            points: platform_ui::count(summary.points),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_any_size_have_shares() {
        let wide = Span::of([f64::MAX, f64::NAN, f64::MIN].into_iter()).expect("two finite numbers");
        assert_eq!((wide.share(f64::MIN), wide.share(0.0), wide.share(f64::MAX)), (0.0, 0.5, 1.0));
        assert_eq!(wide.at(0.5), 0.0);
        let one = Span::of([3.0].into_iter()).expect("a finite number");
        assert_eq!(one.share(3.0), 0.5);
        assert!(Span::of([f64::NAN].into_iter()).is_none());
    }

    #[test]
    fn values_read_well() {
        let cases = [
            (0.87312345, "0.87312"),
            (1234.5678, "1234.6"),
            (2.0, "2"),
            (0.00001, "1.0000e-5"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in cases {
            assert_eq!(precise(value), text);
        }
        assert_eq!(duration(61_000), "1 min 1 s");
        assert_eq!(duration(850), "850 ms");
        assert_eq!(size(1_500), "1.5 kB");
        assert_eq!(query(&[("a", "x y"), ("b", "")]), "a=x%20y");
        assert_eq!(python("a\"b"), "\"a\\\"b\"");
    }
}

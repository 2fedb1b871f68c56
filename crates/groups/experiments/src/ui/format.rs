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

//! Times, durations and states as protobuf's JSON writes them.

use platform_primitives::Timestamp;

use crate::TraceError;
use crate::model::TraceState;

/// `1970-01-01T00:00:01Z`, with milliseconds where there are some.
pub(super) fn time(at: Timestamp) -> String {
    at.to_string().replace(".000Z", "Z")
}

pub(super) fn parse_time(field: &'static str, text: &str) -> Result<Timestamp, TraceError> {
    Timestamp::parse(text).map_err(|error| TraceError::invalid(field, text, error.rule))
}

/// `1.234s`.
pub(super) fn duration(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let (seconds, rest) = (ms.unsigned_abs() / 1_000, ms.unsigned_abs() % 1_000);
    if rest == 0 { format!("{sign}{seconds}s") } else { format!("{sign}{seconds}.{rest:03}s") }
}

pub(super) fn parse_duration(field: &'static str, text: &str) -> Result<i64, TraceError> {
    let seconds = text.strip_suffix('s').and_then(|number| number.parse::<f64>().ok());
    match seconds.filter(|seconds| seconds.is_finite() && seconds.abs() < 1e12) {
        // A float holds milliseconds exactly enough up to there.
        Some(seconds) => Ok((seconds * 1_000.0).round() as i64),
        None => Err(TraceError::invalid(field, text, "expected seconds, as in 1.5s")),
    }
}

pub(super) fn parse_state(name: &str) -> Result<TraceState, TraceError> {
    TraceState::parse(name).ok_or_else(|| {
        TraceError::invalid("state", name, "expected OK, ERROR, IN_PROGRESS or STATE_UNSPECIFIED")
    })
}

/// The second version names one of them otherwise.
pub(super) fn status(state: TraceState) -> &'static str {
    match state {
        TraceState::Unspecified => "TRACE_STATUS_UNSPECIFIED",
        other => other.name(),
    }
}

pub(super) fn parse_status(name: &str) -> Result<TraceState, TraceError> {
    if name == "TRACE_STATUS_UNSPECIFIED" { Ok(TraceState::Unspecified) } else { parse_state(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds() {
        for (ms, text) in [(1_234, "1.234s"), (1_000, "1s"), (0, "0s"), (5, "0.005s"), (-1_500, "-1.500s")] {
            assert_eq!(duration(ms), text);
            assert_eq!(parse_duration("x", text).unwrap(), ms);
        }
        for text in ["", "1", "s", "NaNs", "1m"] {
            assert!(parse_duration("x", text).is_err(), "{text}");
        }
        assert_eq!(parse_duration("x", "0.123456789s").unwrap(), 123);
    }

    #[test]
    fn times_are_read_with_and_without_fractions() {
        for (text, ms) in [("1970-01-01T00:00:01Z", 1_000), ("1970-01-01T00:00:00.010Z", 10)] {
            assert_eq!(parse_time("x", text).unwrap().as_millis(), ms);
            assert_eq!(time(Timestamp::from_millis(ms)), text);
        }
        assert_eq!(parse_time("x", "2025-04-15T08:49:18.699123456Z").unwrap().as_millis() % 1_000, 699);
    }
}

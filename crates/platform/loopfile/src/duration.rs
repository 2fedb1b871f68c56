//! Spans of time as people write them: `90s`, `15m`, `12h`, `7d`.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A non-negative length of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(i64);

const UNITS: [(&str, i64); 4] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

impl Span {
    pub const fn days(days: i64) -> Self {
        Self(days * 86_400_000)
    }

    pub const fn minutes(minutes: i64) -> Self {
        Self(minutes * 60_000)
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    pub fn parse(text: &str) -> Option<Self> {
        let (_, unit) = UNITS.iter().find(|(suffix, _)| text.ends_with(suffix))?;
        let digits = &text[..text.len() - 1];
        // Reading a number would take a sign too.
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse::<i64>().ok()?.checked_mul(*unit).map(Self)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (suffix, unit) =
            UNITS.iter().find(|(_, unit)| self.0 % unit == 0 && self.0 >= *unit).unwrap_or(&("s", 1_000));
        write!(f, "{}{suffix}", self.0 / unit)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Span::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{text:?} is not a span of time: expected a whole number and s, m, h or d, for example 7d"
            ))
        })
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+[smhd]$",
            "description": "A span of time: a whole number and s, m, h or d, for example 7d."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_printed() {
        for (text, millis) in [("7d", 604_800_000), ("90m", 5_400_000), ("0s", 0), ("36h", 129_600_000)] {
            assert_eq!(Span::parse(text).map(Span::as_millis), Some(millis), "{text}");
        }
        assert_eq!(Span::parse("48h").unwrap().to_string(), "2d");
        for text in ["7", "d", "-1d", "+7d", " 7d", "1w", "1.5h", "99999999999999999d"] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
    }
}

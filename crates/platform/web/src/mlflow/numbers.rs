//! Numbers on MLflow's wire: 64-bit whole numbers as text, and what JSON cannot say.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::Value;

struct Whole;

impl Visitor<'_> for Whole {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a 64-bit whole number")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<i64, E> {
        Ok(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<i64, E> {
        i64::try_from(value).map_err(|_| E::custom(format!("{value} is not a 64-bit whole number")))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<i64, E> {
        // 2^63 as f64 is exact; anything from it on does not fit.
        const END: f64 = 9_223_372_036_854_775_808.0;
        match value.fract() == 0.0 && (-END..END).contains(&value) {
            true => Ok(value as i64),
            false => Err(E::custom(format!("{value} is not a 64-bit whole number"))),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<i64, E> {
        value.parse().map_err(|_| E::custom(format!("{value:?} is not a 64-bit whole number")))
    }
}

/// A 64-bit whole number, as a number or as text.
pub fn int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(Whole)
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Int64(#[serde(deserialize_with = "int64")] i64);

pub fn optional_int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(Option::<Int64>::deserialize(deserializer)?.map(|Int64(value)| value))
}

struct Real;

impl Visitor<'_> for Real {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<f64, E> {
        value.parse().map_err(|_| E::custom(format!("{value:?} is not a number")))
    }
}

/// A number, or one of the texts `NaN`, `Infinity`, `-Infinity`.
pub fn real<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    deserializer.deserialize_any(Real)
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Float(#[serde(deserialize_with = "real")] f64);

pub fn optional_real<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(Option::<Float>::deserialize(deserializer)?.map(|Float(value)| value))
}

/// The other way: NaN as text, infinities as the largest numbers, as upstream answers.
pub fn real_to_json(value: f64) -> Value {
    if value.is_nan() { Value::from("NaN") } else { Value::from(value.clamp(f64::MIN, f64::MAX)) }
}

/// The body with the literals `NaN`, `Infinity` and `-Infinity` in quotes, where they stand outside of texts;
/// `None` when there are none.
pub(super) fn quote_literals(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len() + 32);
    let mut found = false;
    let mut at = 0;
    while at < body.len() {
        let rest = &body[at..];
        let literal =
            [&b"-Infinity"[..], b"Infinity", b"NaN"].into_iter().find(|word| rest.starts_with(word));
        if let Some(word) = literal {
            out.push(b'"');
            out.extend_from_slice(word);
            out.push(b'"');
            at += word.len();
            found = true;
            continue;
        }
        if rest[0] != b'"' {
            out.push(rest[0]);
            at += 1;
            continue;
        }
        let mut end = 1;
        while end < rest.len() && rest[end] != b'"' {
            end += if rest[end] == b'\\' { 2 } else { 1 };
        }
        let end = (end + 1).min(rest.len());
        out.extend_from_slice(&rest[..end]);
        at += end;
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_outside_of_texts_are_quoted() {
        for (body, expected) in [
            (r#"{"value": NaN}"#, Some(r#"{"value": "NaN"}"#)),
            (r#"[-Infinity,Infinity]"#, Some(r#"["-Infinity","Infinity"]"#)),
            (r#"{"NaN": "a \"NaN"}"#, None),
            (r#"{"k": "\\\\", "v": NaN}"#, Some(r#"{"k": "\\\\", "v": "NaN"}"#)),
            (r#"{"k": "NaN"#, None),
        ] {
            let quoted = quote_literals(body.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(quoted.as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn numbers_come_in_many_forms() {
        #[derive(Deserialize)]
        struct Body {
            #[serde(deserialize_with = "int64")]
            n: i64,
            #[serde(deserialize_with = "real")]
            x: f64,
            #[serde(default, deserialize_with = "optional_int64")]
            o: Option<i64>,
        }
        for (text, n, x, o) in [
            (r#"{"n": 1, "x": 2}"#, 1, 2.0, None),
            (
                r#"{"n": "-9223372036854775808", "x": "-Infinity", "o": "3"}"#,
                i64::MIN,
                f64::NEG_INFINITY,
                Some(3),
            ),
            (r#"{"n": 3.0, "x": 1e300, "o": null}"#, 3, 1e300, None),
        ] {
            let body: Body = serde_json::from_str(text).unwrap();
            assert_eq!((body.n, body.x, body.o), (n, x, o), "{text}");
        }
        for text in
            [r#"{"n": 1.5, "x": 2}"#, r#"{"n": 9223372036854775808, "x": 2}"#, r#"{"n": 1, "x": "abc"}"#]
        {
            assert!(serde_json::from_str::<Body>(text).is_err(), "{text}");
        }
    }
}

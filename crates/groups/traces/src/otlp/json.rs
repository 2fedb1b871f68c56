//! Where OTLP's JSON is not what serde reads by itself: ids in hexadecimal, 64-bit numbers as text, values by their type.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;

use super::message::{AnyValue, ArrayValue, Content, KeyValueList};

pub(super) fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [high, low] if pair.iter().all(u8::is_ascii_hexdigit) => {
            let digit = |c: u8| char::from(c).to_digit(16).unwrap_or(0) as u8;
            Ok((digit(*high) << 4) | digit(*low))
        }
        _ => Err(D::Error::custom(format!("{text:?} is not hexadecimal"))),
    };
    pairs.map(byte).collect()
}

pub(super) fn unix_nano<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let read = match &value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    read.ok_or_else(|| D::Error::custom(format!("{value} is not a time in nanoseconds")))
}

pub(super) fn status_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(name) => match name.as_str() {
            "STATUS_CODE_UNSET" => Ok(0),
            "STATUS_CODE_OK" => Ok(1),
            "STATUS_CODE_ERROR" => Ok(2),
            _ => Err(D::Error::custom(format!("{name:?} is no code of a status"))),
        },
        other => Ok(other.as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(0)),
    }
}

pub(super) fn any_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AnyValue>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        value => read(&value).map(Some).map_err(D::Error::custom),
    }
}

/// `{"stringValue": "x"}` and its like; an object without a type that is known is a value that is not set.
fn read(value: &Value) -> Result<AnyValue, String> {
    let wrong = || format!("{value} is no attribute value");
    let Some((kind, inner)) = value.as_object().ok_or_else(wrong)?.iter().next() else {
        return Ok(AnyValue { content: None });
    };
    let content = match (kind.as_str(), inner) {
        ("stringValue" | "string_value", Value::String(text)) => Content::Text(text.clone()),
        ("boolValue" | "bool_value", Value::Bool(value)) => Content::Bool(*value),
        ("intValue" | "int_value", Value::String(text)) => Content::Int(text.parse().map_err(|_| wrong())?),
        ("intValue" | "int_value", Value::Number(number)) => Content::Int(number.as_i64().ok_or_else(wrong)?),
        ("doubleValue" | "double_value", Value::String(text)) => {
            Content::Double(text.parse().map_err(|_| wrong())?)
        }
        ("doubleValue" | "double_value", Value::Number(number)) => {
            Content::Double(number.as_f64().ok_or_else(wrong)?)
        }
        ("bytesValue" | "bytes_value", Value::String(text)) => {
            Content::Bytes(STANDARD.decode(text).map_err(|_| wrong())?)
        }
        ("arrayValue" | "array_value", Value::Object(list)) => {
            let values = list.get("values").and_then(Value::as_array).into_iter().flatten();
            Content::Array(ArrayValue { values: values.map(read).collect::<Result<_, _>>()? })
        }
        ("kvlistValue" | "kvlist_value", Value::Object(_)) => {
            Content::Map(KeyValueList::deserialize(inner).map_err(|error| error.to_string())?)
        }
        ("stringValue" | "boolValue" | "intValue" | "doubleValue" | "arrayValue" | "kvlistValue", _) => {
            return Err(wrong());
        }
        _ => return Ok(AnyValue { content: None }),
    };
    Ok(AnyValue { content: Some(content) })
}

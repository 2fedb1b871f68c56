//! JSON text as Python's `json.dumps` spaces it. Clients compare span attributes as text, and filters search in it.

use std::io;

use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

/// `[1, 2]` and `{"a": 1}` where serde_json writes `[1,2]` and `{"a":1}`.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

pub(crate) fn dumped(value: &Value) -> String {
    let mut text = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut text, Spaced))
        .expect("a JSON value can be written to memory");
    String::from_utf8(text).expect("JSON text is UTF-8")
}

/// What a text says as JSON; a text that is no JSON says itself.
pub(crate) fn loaded(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_spaced_as_python_spaces_it() {
        for (value, text) in [
            (json!({"a": [1, 2.5], "b": {}}), r#"{"a": [1, 2.5], "b": {}}"#),
            (json!("x\"y"), r#""x\"y""#),
            (json!(1.0), "1.0"),
            (json!([]), "[]"),
        ] {
            assert_eq!(dumped(&value), text);
            assert_eq!(loaded(text), value);
        }
        assert_eq!(loaded("not json"), json!("not json"));
    }
}

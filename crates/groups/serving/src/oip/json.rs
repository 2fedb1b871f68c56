//! The JSON of an inference request.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::binary;
use crate::ServingError;

#[derive(Deserialize)]
pub(super) struct Parameters(pub Map<String, Value>);

impl Parameters {
    pub fn flag(&self, key: &str) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or(false)
    }
}

#[derive(Deserialize)]
pub(super) struct InferRequest {
    pub id: Option<String>,
    pub parameters: Option<Parameters>,
    pub inputs: Vec<InferInput>,
    #[serde(default)]
    outputs: Vec<InferOutput>,
}

#[derive(Deserialize)]
struct InferOutput {
    name: String,
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
pub(super) struct InferInput {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    parameters: Option<Parameters>,
    data: Option<Numbers>,
}

impl InferRequest {
    /// Whether the answer's tensor follows the JSON as raw bytes.
    pub(super) fn wants_binary(&self) -> bool {
        let all = self.parameters.as_ref().is_some_and(|parameters| parameters.flag("binary_data_output"));
        let one = |output: &InferOutput| output.parameters.as_ref().is_some_and(|p| p.flag("binary_data"));
        all || self.outputs.iter().any(one)
    }
}

pub(super) fn parse(text: &[u8]) -> Result<InferRequest, ServingError> {
    let request: InferRequest = serde_json::from_slice(text).map_err(|error| {
        let start =
            text.windows(3).any(|part| part == b"NaN") || text.windows(8).any(|part| part == b"Infinity");
        let hint = if start { "; JSON has no NaN or Infinity: send null for a missing value" } else { "" };
        ServingError::request(format!("the request is not valid: {error}{hint}"))
    })?;
    if let Some(output) = request.outputs.iter().find(|output| output.name != "prediction") {
        let rule = format!("output {:?} is not one of the model's; it gives prediction", output.name);
        return Err(ServingError::request(rule));
    }
    Ok(request)
}

impl InferInput {
    /// Name and values; raw tensors are taken from the front of `tensors`.
    pub(super) fn values(self, tensors: &mut &[u8]) -> Result<(String, Vec<f64>), ServingError> {
        let refuse =
            |rule: String| ServingError::InputValue { name: self.name.clone(), place: String::new(), rule };
        let elements = match self.shape.as_slice() {
            [rows] | [rows, 1] if *rows >= 0 => *rows as usize,
            other => return Err(refuse(format!("has shape {other:?}, expected [rows] or [rows, 1]"))),
        };
        let size = self.parameters.as_ref().and_then(|p| p.0.get("binary_data_size")).and_then(Value::as_u64);
        let values = match (size, self.data) {
            (Some(size), None) => {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                if size > tensors.len() {
                    return Err(refuse(format!(
                        "binary_data_size is {size}, but {} bytes are left",
                        tensors.len()
                    )));
                }
                let (bytes, rest) = tensors.split_at(size);
                *tensors = rest;
                binary::decode(&self.datatype, bytes).map_err(refuse)?
            }
            (None, Some(data)) => {
                if !binary::is_number(&self.datatype) {
                    return Err(refuse(format!("has datatype {:?}, expected a number type", self.datatype)));
                }
                if let Some(text) = data.text {
                    return Err(refuse(format!("holds the text {text:?}, expected numbers or null")));
                }
                data.values
            }
            (Some(_), Some(_)) => return Err(refuse("has both data and binary_data_size".to_owned())),
            (None, None) => return Err(refuse("has no data".to_owned())),
        };
        if values.len() != elements {
            let rule = format!("has {} values, but shape {:?} says {elements}", values.len(), self.shape);
            return Err(refuse(rule));
        }
        Ok((self.name, values))
    }
}

/// A flat or nested list of numbers, row-major; null is NaN. A text among them is kept for the refusal, which
/// names the input.
#[derive(Default)]
struct Numbers {
    values: Vec<f64>,
    text: Option<String>,
}

struct Flatten<'v>(&'v mut Numbers);

impl<'de> Visitor<'de> for Flatten<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, null, or a list of them")
    }
    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.0.values.push(value);
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.values.push(value as f64);
        Ok(())
    }
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.0.values.push(value as f64);
        Ok(())
    }
    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.values.push(f64::from(u8::from(value)));
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.values.push(f64::NAN);
        Ok(())
    }
    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.0.text.get_or_insert_with(|| value.chars().take(40).collect());
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Flatten(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Flatten<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut numbers = Self::default();
        deserializer.deserialize_any(Flatten(&mut numbers)).map_err(D::Error::custom)?;
        Ok(numbers)
    }
}

//! The attributes of an operator: each is read once, and what is left in the end is refused.

use std::collections::BTreeMap;

use super::protobuf::{Field, Message, Result, whole};
use crate::ModelError;

/// Types of elements, `TensorProto.DataType`.
pub(super) const FLOAT: i64 = 1;
pub(super) const BYTE: i64 = 2;
pub(super) const INT32: i64 = 6;
pub(super) const INT64: i64 = 7;
pub(super) const DOUBLE: i64 = 11;

#[derive(Debug, Default)]
pub(super) struct Attributes<'b> {
    of_name: BTreeMap<&'b str, Message<'b>>,
}

impl<'b> Attributes<'b> {
    pub fn add(&mut self, attribute: Message<'b>) -> Result<()> {
        const NAME: u64 = 1;
        let mut name = "";
        let mut fields = attribute.fields();
        while let Some(field) = fields.read()? {
            if field.number == NAME {
                name = field.text()?;
            }
        }
        match self.of_name.insert(name, attribute) {
            None => Ok(()),
            Some(_) => Err(attribute.broken("an operator has an attribute twice")),
        }
    }

    /// Shows `see` the fields with a number of the attribute; `false` without the attribute.
    fn each(
        &mut self,
        name: &'static str,
        number: u64,
        mut see: impl FnMut(Field<'b>) -> Result<()>,
    ) -> Result<bool> {
        let Some(attribute) = self.of_name.remove(name) else { return Ok(false) };
        let mut fields = attribute.fields();
        while let Some(field) = fields.read()? {
            if field.number == number {
                see(field)?;
            }
        }
        Ok(true)
    }

    pub fn skip(&mut self, name: &'static str) {
        self.of_name.remove(name);
    }

    pub fn int(&mut self, name: &'static str, default: i64) -> Result<i64> {
        let mut int = 0;
        let is_there = self.each(name, 3, |field| field.int().map(|found| int = found))?;
        Ok(if is_there { int } else { default })
    }

    pub fn text(&mut self, name: &'static str, default: &'b str) -> Result<&'b str> {
        let mut text = "";
        let is_there = self.each(name, 4, |field| field.text().map(|found| text = found))?;
        Ok(if is_there { text } else { default })
    }

    pub fn ints(&mut self, name: &'static str) -> Result<Vec<i64>> {
        let mut ints = Vec::new();
        self.each(name, 8, |field| field.ints(&mut ints))?;
        Ok(ints)
    }

    pub fn texts(&mut self, name: &'static str) -> Result<Vec<&'b str>> {
        let mut texts = Vec::new();
        self.each(name, 9, |field| field.text().map(|text| texts.push(text)))?;
        Ok(texts)
    }

    pub fn floats(&mut self, name: &'static str) -> Result<Vec<f64>> {
        let mut floats = Vec::new();
        self.each(name, 7, |field| field.floats(&mut floats))?;
        Ok(floats)
    }

    /// The numbers of a tensor of this type; empty without the attribute.
    pub fn tensor(&mut self, name: &'static str, kind: i64) -> Result<Vec<f64>> {
        let mut found = None;
        self.each(name, 5, |field| field.message().map(|message| found = Some(message)))?;
        found.map_or(Ok(Vec::new()), |tensor| numbers(name, tensor, kind))
    }

    /// 32-bit floats in one attribute or a tensor of this type in the other.
    pub fn reals(&mut self, name: &'static str, as_tensor: &'static str, kind: i64) -> Result<Vec<f64>> {
        let (floats, tensor) = (self.floats(name)?, self.tensor(as_tensor, kind)?);
        match (floats.is_empty(), tensor.is_empty()) {
            (_, true) => Ok(floats),
            (true, false) => Ok(tensor),
            (false, false) => Err(parameter(as_tensor, "there", "one of it and the attribute of floats")),
        }
    }

    /// Refuses attributes that nobody asked for.
    pub fn finish(self, operator: &str) -> Result<()> {
        match self.of_name.into_iter().next() {
            None => Ok(()),
            Some((name, attribute)) => {
                let name: String = name.chars().take(40).collect();
                Err(attribute.broken(&format!("{operator} has an attribute {name:?}, which is not known")))
            }
        }
    }
}

pub(super) fn parameter(key: &'static str, value: &str, rule: &'static str) -> ModelError {
    ModelError::Parameter { key, value: value.chars().take(40).collect(), rule }
}

fn numbers(name: &'static str, tensor: Message<'_>, kind: i64) -> Result<Vec<f64>> {
    let mut found_kind = 0;
    let (mut typed, mut ints, mut raw) = (Vec::new(), Vec::new(), None);
    let mut fields = tensor.fields();
    while let Some(field) = fields.read()? {
        match field.number {
            2 => found_kind = field.int()?,
            4 => field.floats(&mut typed)?,
            5 => field.ints(&mut ints)?,
            9 => raw = Some(field.message()?),
            10 => field.doubles(&mut typed)?,
            14 if field.int()? != 0 => return Err(tensor.broken("a tensor lies in another file")),
            _ => {}
        }
    }
    if found_kind != kind {
        let rule = "a tensor of the type of the rows (1 is float, 11 double), of modes 2";
        return Err(parameter(name, &format!("of type {found_kind}"), rule));
    }
    match (raw, kind) {
        (None, _) => typed.extend(ints.into_iter().map(|int| int as f64)),
        (Some(raw), DOUBLE) => typed.extend(whole(raw)?.iter().copied().map(f64::from_le_bytes)),
        (Some(raw), FLOAT) => {
            typed.extend(whole(raw)?.iter().copied().map(|bytes| f64::from(f32::from_le_bytes(bytes))));
        }
        (Some(raw), _) => typed.extend(raw.bytes().iter().copied().map(f64::from)),
    }
    Ok(typed)
}

//! The six kinds of value that cross the facade.

use crate::DbError;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// Both engines refuse the same text, before anything is sent.
pub(crate) fn check_text(values: &[Value]) -> Result<(), DbError> {
    let holds_nul = |value: &Value| matches!(value, Value::Text(text) if text.contains('\0'));
    if values.iter().any(holds_nul) { Err(DbError::NulText) } else { Ok(()) }
}

/// The type of a column in a bulk append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    Bool,
    Int,
    Real,
    Text,
    Bytes,
}

impl Value {
    fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Real(_) => "real",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}
impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}
impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// `args![a, b, c]` builds the argument list of a statement.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::Value::from($value)),*] };
}

/// One row of an answer, read by column index.
#[derive(Debug, Clone)]
pub struct Row(pub(crate) Vec<Value>);

impl Row {
    /// How many columns there are.
    #[allow(clippy::len_without_is_empty, reason = "a row without columns does not exist")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn value(&self, index: usize) -> &Value {
        self.0.get(index).unwrap_or(&Value::Null)
    }

    fn mismatch<T>(&self, index: usize, expected: &'static str) -> Result<T, DbError> {
        Err(DbError::ColumnType { index, expected, found: self.value(index).name() })
    }

    pub fn int(&self, index: usize) -> Result<i64, DbError> {
        match self.value(index) {
            Value::Int(value) => Ok(*value),
            Value::Bool(value) => Ok(i64::from(*value)),
            _ => self.mismatch(index, "int"),
        }
    }

    pub fn opt_int(&self, index: usize) -> Result<Option<i64>, DbError> {
        if *self.value(index) == Value::Null { Ok(None) } else { self.int(index).map(Some) }
    }

    /// SQLite has no booleans: an integer other than 0 is true.
    pub fn bool(&self, index: usize) -> Result<bool, DbError> {
        self.int(index).map(|value| value != 0)
    }

    pub fn real(&self, index: usize) -> Result<f64, DbError> {
        match self.value(index) {
            Value::Real(value) => Ok(*value),
            Value::Int(value) => Ok(*value as f64),
            _ => self.mismatch(index, "real"),
        }
    }

    pub fn opt_real(&self, index: usize) -> Result<Option<f64>, DbError> {
        if *self.value(index) == Value::Null { Ok(None) } else { self.real(index).map(Some) }
    }

    pub fn text(&self, index: usize) -> Result<&str, DbError> {
        match self.value(index) {
            Value::Text(value) => Ok(value),
            _ => self.mismatch(index, "text"),
        }
    }

    pub fn string(&self, index: usize) -> Result<String, DbError> {
        self.text(index).map(str::to_owned)
    }

    /// Takes the text out of the row.
    pub fn take_string(&mut self, index: usize) -> Result<String, DbError> {
        match self.0.get_mut(index) {
            Some(Value::Text(value)) => Ok(std::mem::take(value)),
            _ => self.mismatch(index, "text"),
        }
    }

    /// Takes the bytes out of the row.
    pub fn take_bytes(&mut self, index: usize) -> Result<Vec<u8>, DbError> {
        match self.0.get_mut(index) {
            Some(Value::Bytes(value)) => Ok(std::mem::take(value)),
            _ => self.mismatch(index, "bytes"),
        }
    }

    pub fn opt_string(&self, index: usize) -> Result<Option<String>, DbError> {
        if *self.value(index) == Value::Null { Ok(None) } else { self.string(index).map(Some) }
    }

    pub fn bytes(&self, index: usize) -> Result<&[u8], DbError> {
        match self.value(index) {
            Value::Bytes(value) => Ok(value),
            _ => self.mismatch(index, "bytes"),
        }
    }
}

//! UBJSON (draft 12) as XGBoost writes it, for `serde`: objects, arrays with or without a type and a count, numbers, texts.
//!
//! The bytes come from users: a count never makes this reserve more than the bytes that are left could fill.

use std::fmt::{self, Display};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// How deep containers may lie in each other; XGBoost's lie six deep.
const DEPTH: usize = 64;

#[derive(Debug, thiserror::Error)]
pub(crate) enum UbjsonError {
    #[error("byte {at}: {rule}")]
    Format { at: usize, rule: String },
    #[error("{0}")]
    Fields(String),
}

impl serde::de::Error for UbjsonError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Fields(message.to_string())
    }
}

type Result<T> = std::result::Result<T, UbjsonError>;

pub(crate) struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    depth: usize,
}

/// A marker before a container's elements, and how many there are.
#[derive(Clone, Copy)]
struct Header {
    marker: Option<u8>,
    count: Option<usize>,
}

impl<'de> Reader<'de> {
    pub fn new(bytes: &'de [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    fn wrong<T>(&self, rule: impl Into<String>) -> Result<T> {
        Err(UbjsonError::Format { at: self.at, rule: rule.into() })
    }

    fn take(&mut self, count: usize) -> Result<&'de [u8]> {
        match self.bytes.get(self.at..).and_then(|left| left.get(..count)) {
            Some(taken) => {
                self.at += count;
                Ok(taken)
            }
            None => self.wrong(format!("the file ends before {count} more bytes")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next marker; no-ops are passed over.
    fn marker(&mut self) -> Result<u8> {
        loop {
            match self.array::<1>()? {
                [b'N'] => {}
                [marker] => return Ok(marker),
            }
        }
    }

    fn integer(&mut self, marker: u8) -> Result<i64> {
        Ok(match marker {
            b'i' => i8::from_be_bytes(self.array()?).into(),
            b'U' => u8::from_be_bytes(self.array()?).into(),
            b'I' => i16::from_be_bytes(self.array()?).into(),
            b'l' => i32::from_be_bytes(self.array()?).into(),
            b'L' => i64::from_be_bytes(self.array()?),
            other => return self.wrong(format!("{:?} is no type of whole numbers", char::from(other))),
        })
    }

    fn length(&mut self) -> Result<usize> {
        let marker = self.marker()?;
        let length = self.integer(marker)?;
        match usize::try_from(length) {
            Ok(length) => Ok(length),
            Err(_) => self.wrong(format!("the length is {length}, expected 0 or more")),
        }
    }

    fn text(&mut self) -> Result<&'de str> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => self.wrong("the text is not UTF-8"),
        }
    }

    fn header(&mut self) -> Result<Header> {
        let mut header = Header { marker: None, count: None };
        if self.peek() == Some(b'$') {
            self.at += 1;
            header.marker = Some(self.array::<1>()?[0]);
        }
        if self.peek() == Some(b'#') {
            self.at += 1;
            header.count = Some(self.length()?);
        } else if header.marker.is_some() {
            return self.wrong("a typed container has no count");
        }
        // Elements without bytes of their own would make a long loop of a short file.
        let is_small = |count: usize| count <= self.bytes.len() - self.at;
        match (header.marker, header.count) {
            (Some(b'T' | b'F' | b'Z' | b'N'), _) => self.wrong("a container of elements without bytes"),
            (_, Some(count)) if !is_small(count) => {
                self.wrong(format!("{count} elements do not fit in the file"))
            }
            _ => Ok(header),
        }
    }

    fn value<V: Visitor<'de>>(&mut self, marker: u8, visitor: V) -> Result<V::Value> {
        match marker {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'd' => visitor.visit_f32(f32::from_be_bytes(self.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(self.array()?)),
            b'S' => visitor.visit_borrowed_str(self.text()?),
            b'C' => visitor.visit_char(char::from(self.array::<1>()?[0])),
            b'[' | b'{' => {
                if self.depth == DEPTH {
                    return self.wrong(format!("containers lie more than {DEPTH} deep"));
                }
                self.depth += 1;
                let header = self.header()?;
                let elements =
                    Elements { reader: self, header, closing: if marker == b'[' { b']' } else { b'}' } };
                let value = match marker {
                    b'[' => visitor.visit_seq(elements),
                    _ => visitor.visit_map(elements),
                };
                self.depth -= 1;
                value
            }
            other => {
                let number = self.integer(other)?;
                visitor.visit_i64(number)
            }
        }
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = UbjsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let marker = self.marker()?;
        self.value(marker, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.peek() == Some(b'Z') {
            self.at += 1;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A value whose marker is known already.
struct Marked<'r, 'de> {
    reader: &'r mut Reader<'de>,
    marker: u8,
}

impl<'de> Deserializer<'de> for Marked<'_, 'de> {
    type Error = UbjsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.reader.value(self.marker, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Elements<'r, 'de> {
    reader: &'r mut Reader<'de>,
    header: Header,
    closing: u8,
}

impl<'de> Elements<'_, 'de> {
    /// Whether another element follows.
    fn advance(&mut self) -> Result<bool> {
        if let Some(count) = &mut self.header.count {
            let more = *count > 0;
            *count = count.saturating_sub(1);
            return Ok(more);
        }
        while self.reader.peek() == Some(b'N') {
            self.reader.at += 1;
        }
        match self.reader.peek() {
            None => self.reader.wrong("the file ends within a container"),
            Some(marker) if marker == self.closing => {
                self.reader.at += 1;
                Ok(false)
            }
            Some(_) => Ok(true),
        }
    }

    fn element<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        match self.header.marker {
            Some(marker) => seed.deserialize(Marked { reader: self.reader, marker }),
            None => seed.deserialize(&mut *self.reader),
        }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = UbjsonError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if self.advance()? { self.element(seed).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        self.header.count
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = UbjsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.advance()? {
            return Ok(None);
        }
        let key = self.reader.text()?;
        seed.deserialize(serde::de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        self.element(seed)
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reader").field("at", &self.at).finish_non_exhaustive()
    }
}

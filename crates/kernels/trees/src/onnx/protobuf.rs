//! Protocol buffers' wire format, as far as ONNX needs it.
//!
//! The bytes come from users: every length is checked against its message before it is used, nothing is copied but numbers, and a
//! number takes at least a byte of the file.

use crate::ModelError;

pub(super) type Result<T> = std::result::Result<T, ModelError>;

pub(super) fn broken(at: usize, rule: &str) -> ModelError {
    ModelError::NotOnnx { message: format!("byte {at}: {rule}") }
}

/// A message, or what else has a length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'b> {
    bytes: &'b [u8],
    /// Where it begins in the file.
    first: usize,
}

#[derive(Debug, Clone, Copy)]
enum Value<'b> {
    Varint(u64),
    Eight([u8; 8]),
    Four([u8; 4]),
    Long(Message<'b>),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'b> {
    pub number: u64,
    at: usize,
    value: Value<'b>,
}

/// The fields of a message, in their order.
#[derive(Debug)]
pub(super) struct Fields<'b> {
    rest: &'b [u8],
    at: usize,
}

impl<'b> Message<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, first: 0 }
    }

    pub fn fields(self) -> Fields<'b> {
        Fields { rest: self.bytes, at: self.first }
    }

    pub fn bytes(self) -> &'b [u8] {
        self.bytes
    }

    pub fn broken(self, rule: &str) -> ModelError {
        broken(self.first, rule)
    }
}

impl<'b> Fields<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| broken(self.at, "a field does not lie within its message"))?;
        self.rest = rest;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let at = self.at;
        let taken = self.take(N)?;
        taken.first_chunk().copied().ok_or_else(|| broken(at, "a field does not lie within its message"))
    }

    fn varint(&mut self) -> Result<u64> {
        let begin = self.at;
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array::<1>()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(broken(begin, "a number is longer than ten bytes"))
    }

    /// `None` at the end of the message.
    pub fn read(&mut self) -> Result<Option<Field<'b>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let at = self.at;
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Eight(self.array()?),
            2 => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                let first = self.at;
                Value::Long(Message { bytes: self.take(length)?, first })
            }
            5 => Value::Four(self.array()?),
            _ => return Err(broken(at, "a field has no known type")),
        };
        match tag >> 3 {
            0 => Err(broken(at, "a field has the number 0")),
            number => Ok(Some(Field { number, at, value })),
        }
    }
}

impl<'b> Field<'b> {
    fn unlike(&self) -> ModelError {
        broken(self.at, "a field is of another type than ONNX says")
    }

    pub fn message(&self) -> Result<Message<'b>> {
        match self.value {
            Value::Long(message) => Ok(message),
            _ => Err(self.unlike()),
        }
    }

    pub fn text(&self) -> Result<&'b str> {
        std::str::from_utf8(self.message()?.bytes).map_err(|_| broken(self.at, "a text is not UTF-8"))
    }

    pub fn int(&self) -> Result<i64> {
        match self.value {
            Value::Varint(number) => Ok(number.cast_signed()),
            _ => Err(self.unlike()),
        }
    }

    /// One number, or many packed.
    pub fn ints(&self, numbers: &mut Vec<i64>) -> Result<()> {
        match self.value {
            Value::Varint(number) => numbers.push(number.cast_signed()),
            Value::Long(packed) => {
                let mut packed = packed.fields();
                while !packed.rest.is_empty() {
                    numbers.push(packed.varint()?.cast_signed());
                }
            }
            _ => return Err(self.unlike()),
        }
        Ok(())
    }

    pub fn floats(&self, numbers: &mut Vec<f64>) -> Result<()> {
        let single = |bytes: [u8; 4]| f64::from(f32::from_le_bytes(bytes));
        match self.value {
            Value::Four(bytes) => numbers.push(single(bytes)),
            Value::Long(packed) => numbers.extend(whole::<4>(packed)?.iter().copied().map(single)),
            _ => return Err(self.unlike()),
        }
        Ok(())
    }

    pub fn doubles(&self, numbers: &mut Vec<f64>) -> Result<()> {
        match self.value {
            Value::Eight(bytes) => numbers.push(f64::from_le_bytes(bytes)),
            Value::Long(packed) => {
                numbers.extend(whole::<8>(packed)?.iter().copied().map(f64::from_le_bytes));
            }
            _ => return Err(self.unlike()),
        }
        Ok(())
    }
}

/// Numbers of so many bytes each.
pub(super) fn whole<const N: usize>(packed: Message<'_>) -> Result<&[[u8; N]]> {
    match packed.bytes.as_chunks::<N>() {
        (numbers, []) => Ok(numbers),
        _ => Err(packed.broken("the numbers have a part of one too many")),
    }
}

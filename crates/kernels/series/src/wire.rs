//! Variable-length integers (LEB128, zigzag for signed) and bounds-checked reading.

/// Bytes that this crate has not written, or not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes of a series are damaged: {0}")]
pub struct DamagedBytes(pub &'static str);

pub(crate) fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_unsigned(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) struct Reader<'b> {
    pub rest: &'b [u8],
}

impl<'b> Reader<'b> {
    pub fn new(bytes: &'b [u8], version: u8) -> Result<Self, DamagedBytes> {
        match bytes.split_first() {
            Some((found, rest)) if *found == version => Ok(Self { rest }),
            _ => Err(DamagedBytes("unknown format version")),
        }
    }

    #[inline]
    pub fn unsigned(&mut self) -> Result<u64, DamagedBytes> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(DamagedBytes("an integer is cut"))?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DamagedBytes("an integer is too long"))
    }

    #[inline]
    pub fn signed(&mut self) -> Result<i64, DamagedBytes> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A count of things that take at least `each` bytes: never more than there are bytes.
    pub fn count(&mut self, each: usize) -> Result<usize, DamagedBytes> {
        let count = usize::try_from(self.unsigned()?).map_err(|_| DamagedBytes("a count is too large"))?;
        if count.saturating_mul(each) > self.rest.len() {
            return Err(DamagedBytes("a count is larger than the bytes"));
        }
        Ok(count)
    }

    pub fn bytes(&mut self, length: usize) -> Result<&'b [u8], DamagedBytes> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(DamagedBytes("a field is cut"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn text(&mut self) -> Result<&'b str, DamagedBytes> {
        let length = self.count(1)?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| DamagedBytes("a key is no text"))
    }

    #[inline]
    pub fn real(&mut self) -> Result<f64, DamagedBytes> {
        let (taken, rest) = self.rest.split_first_chunk::<8>().ok_or(DamagedBytes("a value is cut"))?;
        self.rest = rest;
        Ok(f64::from_le_bytes(*taken))
    }
}

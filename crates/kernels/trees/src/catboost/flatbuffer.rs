//! FlatBuffers, as far as CatBoost's models need them: tables, lists, texts.
//!
//! The bytes come from users: an offset is checked before it is followed, and offsets that meet at the same bytes again and again
//! cannot make much of a small file.

use std::cell::Cell;

/// A field: where it stands in its table's declaration, and its name there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub place: usize,
    pub name: &'static str,
}

#[derive(Debug)]
pub(super) struct Buffer<'b> {
    bytes: &'b [u8],
    /// Bytes of lists and texts that may still be read.
    left: Cell<usize>,
}

impl<'b> Buffer<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        // An honest file has each list once; but tables of categories share some small ones.
        Self { bytes, left: Cell::new(bytes.len().saturating_mul(2)) }
    }

    pub fn root(&self, name: &'static str) -> Result<Table<'_>, String> {
        let at = number(self.bytes, 0).ok_or_else(|| "the file ends before its first table".to_owned())?;
        Table::read(self, at, name)
    }
}

/// An array that begins at a byte.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// A length or an offset.
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(array(bytes, at)?) as usize)
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'b> {
    buffer: &'b Buffer<'b>,
    name: &'static str,
    at: usize,
    /// Two bytes for each field: how far from `at` it lies, or 0 for a field that is left out.
    offsets: &'b [u8],
}

impl<'b> Table<'b> {
    fn read(buffer: &'b Buffer<'b>, at: usize, name: &'static str) -> Result<Self, String> {
        let offsets = Self::offsets(buffer.bytes, at)
            .ok_or_else(|| format!("{name} at byte {at} does not lie within the file"))?;
        Ok(Self { buffer, name, at, offsets })
    }

    fn offsets(bytes: &[u8], at: usize) -> Option<&[u8]> {
        let back = i32::from_le_bytes(array(bytes, at)?);
        let shared = usize::try_from(i64::try_from(at).ok()? - i64::from(back)).ok()?;
        let size = usize::from(u16::from_le_bytes(array(bytes, shared)?));
        // Its own size and the table's come first.
        bytes.get(shared..)?.get(4..size)
    }

    fn outside(&self, field: Field) -> String {
        format!("{}.{} does not lie within the file", self.name, field.name)
    }

    /// `None` for a field that is left out, or that the writer's version did not have.
    fn position(&self, field: Field) -> Option<usize> {
        match u16::from_le_bytes(array(self.offsets, 2 * field.place)?) {
            0 => None,
            offset => Some(self.at + usize::from(offset)),
        }
    }

    fn scalar<const N: usize>(&self, field: Field) -> Result<Option<[u8; N]>, String> {
        let Some(at) = self.position(field) else { return Ok(None) };
        array(self.buffer.bytes, at).map(Some).ok_or_else(|| self.outside(field))
    }

    pub fn byte(&self, field: Field, default: u8) -> Result<u8, String> {
        Ok(self.scalar(field)?.map_or(default, u8::from_le_bytes))
    }

    pub fn int(&self, field: Field, default: i32) -> Result<i32, String> {
        Ok(self.scalar(field)?.map_or(default, i32::from_le_bytes))
    }

    pub fn double(&self, field: Field, default: f64) -> Result<f64, String> {
        Ok(self.scalar(field)?.map_or(default, f64::from_le_bytes))
    }

    /// Where the thing that a field refers to begins.
    fn target(&self, field: Field) -> Result<Option<usize>, String> {
        let Some(at) = self.position(field) else { return Ok(None) };
        let forward = number(self.buffer.bytes, at).ok_or_else(|| self.outside(field))?;
        Ok(Some(at + forward))
    }

    /// Where the elements of a list begin, and their bytes.
    fn elements(&self, field: Field, width: usize) -> Result<(usize, &'b [u8]), String> {
        let Some(at) = self.target(field)? else { return Ok((0, &[])) };
        let buffer = self.buffer;
        let length = number(buffer.bytes, at).and_then(|count| count.checked_mul(width));
        let elements = length.and_then(|length| buffer.bytes.get(at + 4..)?.get(..length));
        let elements = elements.ok_or_else(|| self.outside(field))?;
        let left = buffer.left.get().checked_sub(elements.len());
        let overlap = || format!("{}.{}: the lists of the file overlap", self.name, field.name);
        buffer.left.set(left.ok_or_else(overlap)?);
        Ok((at + 4, elements))
    }

    /// A list that is left out is empty.
    pub fn list<T, const N: usize>(&self, field: Field, read: fn([u8; N]) -> T) -> Result<Vec<T>, String> {
        let (_, elements) = self.elements(field, N)?;
        Ok(elements.as_chunks::<N>().0.iter().map(|element| read(*element)).collect())
    }

    pub fn text(&self, field: Field) -> Result<Option<&'b str>, String> {
        if self.position(field).is_none() {
            return Ok(None);
        }
        let (_, bytes) = self.elements(field, 1)?;
        let text = std::str::from_utf8(bytes);
        text.map(Some).map_err(|_| format!("{}.{} is not UTF-8", self.name, field.name))
    }

    pub fn table(&self, field: Field, name: &'static str) -> Result<Option<Table<'b>>, String> {
        self.target(field)?.map(|at| Table::read(self.buffer, at, name)).transpose()
    }

    pub fn tables(&self, field: Field, name: &'static str) -> Result<Vec<Table<'b>>, String> {
        let (first, elements) = self.elements(field, 4)?;
        let offsets = elements.as_chunks::<4>().0.iter().map(|offset| u32::from_le_bytes(*offset) as usize);
        let at = offsets.enumerate().map(|(element, offset)| first + 4 * element + offset);
        at.map(|at| Table::read(self.buffer, at, name)).collect()
    }
}

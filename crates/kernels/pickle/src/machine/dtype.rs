//! What numpy makes of a dtype: its code, and the state that a pickle gives it.

use super::{Dtype, Machine, Value};

/// Of numpy's flags of a dtype: elements are references to objects, are pickled as a list, and start empty. Where one of them is missing,
/// numpy takes bytes of the pickle for addresses.
const HAS_OBJECTS: i64 = 1;
const IS_LIST: i64 = 2;
const NEEDS_INIT: i64 = 8;
const ALL_OF_OBJECTS: i64 = HAS_OBJECTS | IS_LIST | NEEDS_INIT;
const POINTER_BYTES: usize = 8;

#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    pub bytes: usize,
    pub has_objects: bool,
}

impl<'a> Machine<'a, '_> {
    /// What the elements are after a state. None when it contradicts the code: numpy believes one or the other, depending on whether the
    /// dtype was copied, and takes bytes for addresses where a state denies that there are objects.
    pub(super) fn stated_element(&mut self, dtype: Dtype<'a>, state: Value<'a>) -> Option<Element> {
        if dtype.is_stated || dtype.is_shared {
            return None;
        }
        let Value::Tuple(state) = state else { return None };
        let (subarray, names, fields, size, flags) = match self.tuples[state].as_slice() {
            [Value::Int(3 | 4), _, subarray, names, fields, Value::Int(size), _, Value::Int(flags)]
            | [Value::Int(3 | 4), _, subarray, names, fields, Value::Int(size), _, Value::Int(flags), _] => {
                (*subarray, *names, *fields, *size, *flags)
            }
            _ => return None,
        };
        let size = usize::try_from(size).ok();
        let (kind, _) = kind_and_count(dtype.code)?;
        let found = match kind {
            'V' => {
                let bytes = size?;
                let has_objects = self.parts_have_objects(subarray, names, fields, bytes)?;
                Element { bytes, has_objects }
            }
            _ => {
                let simple =
                    matches!((subarray, names, fields), (Value::Nothing, Value::Nothing, Value::Nothing));
                let by_code = dtype.element?;
                let may_lack_size = !matches!(kind, 'S' | 'a' | 'U');
                let same_size = size.map_or(may_lack_size, |size| size == by_code.bytes);
                (simple && same_size).then_some(by_code)?
            }
        };
        let agrees = match found.has_objects {
            true => flags & ALL_OF_OBJECTS == ALL_OF_OBJECTS,
            false => flags & (HAS_OBJECTS | IS_LIST) == 0,
        };
        agrees.then_some(found)
    }

    /// Whether a part of a structured element is an object. None when a part is not followed or reaches over the end of the element.
    fn parts_have_objects(
        &mut self,
        subarray: Value<'a>,
        names: Value<'a>,
        fields: Value<'a>,
        bytes: usize,
    ) -> Option<bool> {
        match (subarray, names, fields) {
            (Value::Nothing, Value::Nothing, Value::Nothing) => Some(false),
            (Value::Nothing, Value::Tuple(_), Value::Dict(fields)) => {
                self.dicts[fields].is_sealed = true;
                let fields = &self.dicts[fields];
                if fields.is_lost {
                    return None;
                }
                let mut has_objects = false;
                for field in fields.items.values() {
                    let Value::Tuple(field) = field else { return None };
                    let [Value::Dtype(dtype), Value::Int(offset), ..] = self.tuples[*field].as_slice() else {
                        return None;
                    };
                    let element = self.dtypes[*dtype].element?;
                    let end = usize::try_from(*offset).ok()?.checked_add(element.bytes)?;
                    if end > bytes {
                        return None;
                    }
                    has_objects |= element.has_objects;
                }
                Some(has_objects)
            }
            (Value::Tuple(subarray), Value::Nothing, Value::Nothing) => {
                let [Value::Dtype(dtype), shape] = self.tuples[subarray].as_slice() else { return None };
                let element = self.dtypes[*dtype].element?;
                let sides = match shape {
                    Value::Tuple(shape) => self.tuples[*shape].as_slice(),
                    side => std::slice::from_ref(side),
                };
                let mut size = element.bytes;
                for side in sides {
                    let Value::Int(side) = side else { return None };
                    size = size.checked_mul(usize::try_from(*side).ok()?)?;
                }
                (size <= bytes).then_some(element.has_objects)
            }
            _ => None,
        }
    }
}

fn kind_and_count(code: &[u8]) -> Option<(char, usize)> {
    let code = std::str::from_utf8(code).ok()?.trim_start_matches(['<', '>', '|', '=']);
    let mut letters = code.chars();
    let kind = letters.next()?;
    Some((kind, letters.as_str().parse().ok()?))
}

/// What a code says of the elements; a structure says it in its state alone.
pub(super) fn element(code: &[u8]) -> Option<Element> {
    let (kind, count) = kind_and_count(code)?;
    match kind {
        'O' => Some(Element { bytes: POINTER_BYTES, has_objects: true }),
        'b' | 'i' | 'u' | 'f' | 'c' | 'M' | 'm' | 'S' | 'a' => {
            Some(Element { bytes: count, has_objects: false })
        }
        'U' => Some(Element { bytes: count.checked_mul(4)?, has_objects: false }),
        _ => None,
    }
}

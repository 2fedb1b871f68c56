//! The pickle machine with a symbolic stack: it knows of values what leads to a global, and calls nothing.

mod dtype;

use std::collections::{BTreeMap, HashMap};

use crate::{BYTES_PER_STEP, Findings, Kind, known};
use dtype::{Element, element};

/// Why a pickle was not followed to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// These bytes are no pickle, or not from here on: unpickling fails here too.
    Broken(&'static str),
    /// Unpickling would go on, the machine cannot.
    Lost(&'static str),
}

/// The purse for the whole file is empty.
pub(crate) const TOO_LONG: &str = "more opcodes than are followed";

type Step<T> = Result<T, Stop>;

const MAX_STACK: usize = 1 << 20;
const MAX_MEMO: usize = 1 << 23;
/// Tuples and dictionaries that are remembered, and how much of one.
const MAX_KEPT: usize = 1 << 20;
const MAX_WIDTH: usize = 16;
/// Arrays of objects in arrays of objects.
const MAX_NESTING: usize = 3;
/// The padding that joblib writes before an array: as bytes, none of these is an opcode.
const PADDING: std::ops::RangeInclusive<usize> = 1..=16;
/// What is known of a value; indices point into the machine's own lists.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Mark,
    /// Python's `None`.
    Nothing,
    Int(i64),
    Text(&'a [u8]),
    Tuple(usize),
    Dict(usize),
    Global(usize),
    /// An instance of that global.
    Object(usize),
    Dtype(usize),
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Dtype<'a> {
    code: &'a [u8],
    /// None when it is not written down.
    element: Option<Element>,
    is_stated: bool,
    /// Was taken from the memo before it had a state: what holds it would change with it.
    is_shared: bool,
}

#[derive(Debug, Clone, Default)]
struct Dict<'a> {
    items: BTreeMap<&'a [u8], Value<'a>>,
    /// Holds keys that are not followed: any of them may be the one looked for.
    is_lost: bool,
    /// The fields of a dtype: numpy keeps this very dictionary.
    is_sealed: bool,
}

pub(crate) struct Machine<'a, 'f> {
    data: &'a [u8],
    pub(crate) at: usize,
    frame_end: usize,
    nesting: usize,
    /// An array's bytes lie behind: pickle, which knows of no arrays, has stopped at their padding.
    has_array: bool,
    /// Reads on where joblib would read an array of objects, as pickle does.
    is_plain: bool,
    stack: Vec<Value<'a>>,
    memo: HashMap<u64, Value<'a>>,
    tuples: Vec<Vec<Value<'a>>>,
    dicts: Vec<Dict<'a>>,
    dtypes: Vec<Dtype<'a>>,
    findings: &'f mut Findings,
}

impl<'a, 'f> Machine<'a, 'f> {
    pub(crate) fn new(data: &'a [u8], at: usize, findings: &'f mut Findings) -> Self {
        Self {
            data,
            at,
            frame_end: 0,
            nesting: 0,
            has_array: false,
            is_plain: false,
            stack: Vec::new(),
            memo: HashMap::new(),
            tuples: Vec::new(),
            dicts: Vec::new(),
            dtypes: Vec::new(),
            findings,
        }
    }

    /// Up to and with the next STOP.
    pub(crate) fn run(&mut self) -> Step<()> {
        loop {
            self.spend(1)?;
            let opcode = self.byte()?;
            if opcode == b'.' {
                self.pop()?;
                return Ok(());
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            0x80 => match self.byte()? {
                0..=5 => Ok(()),
                _ => Err(Stop::Broken("a protocol that does not exist")),
            },
            0x95 => {
                let length = self.length(8)?;
                self.frame_end = self.at.saturating_add(length);
                Ok(())
            }
            b'(' => self.push(Value::Mark),
            b'0' => self.stack.pop().map(|_| ()).ok_or(Stop::Broken("an empty stack")),
            b'1' => self.pop_mark().map(|_| ()),
            b'2' => {
                let top = self.top()?;
                self.share(top);
                self.push(top)
            }
            b'I' | b'L' => {
                let line = self.line()?;
                let text = std::str::from_utf8(line).unwrap_or_default().trim_end_matches('L').trim();
                // Other spellings are other numbers to C: `011` is nine. Two of them are a false and a true.
                let number = text.parse::<i64>().ok();
                let number =
                    number.filter(|number| matches!(text, "00" | "01") || number.to_string() == text);
                self.push(number.map_or(Value::Other, Value::Int))
            }
            b'K' => self.push_int(1),
            b'M' => self.push_int(2),
            b'J' => {
                let bytes = self.take(4)?;
                let mut whole = [0; 4];
                whole.copy_from_slice(bytes);
                self.push(Value::Int(i64::from(i32::from_le_bytes(whole))))
            }
            0x8a => self.counted(1, Self::push_long),
            0x8b => self.counted(4, Self::push_long),
            b'F' => {
                self.line()?;
                self.push(Value::Other)
            }
            b'G' => {
                self.take(8)?;
                self.push(Value::Other)
            }
            b'N' => self.push(Value::Nothing),
            0x88 | 0x89 | b']' | 0x8f | 0x97 => self.push(Value::Other),
            0x98 => self.top().map(|_| ()),
            b'S' => {
                let line = self.line()?.trim_ascii();
                let quoted =
                    line.len() >= 2 && line[0] == line[line.len() - 1] && matches!(line[0], b'\'' | b'"');
                match quoted {
                    true => self.push_text(&line[1..line.len() - 1]),
                    false => Err(Stop::Broken("a text without quotes")),
                }
            }
            b'V' => {
                let line = self.line()?;
                self.push_text(line)
            }
            b'U' | 0x8c => self.counted(1, Self::push_plain),
            b'T' | b'X' => self.counted(4, Self::push_plain),
            0x8d => self.counted(8, Self::push_plain),
            b'C' => self.counted(1, Self::push_other),
            b'B' => self.counted(4, Self::push_other),
            0x8e | 0x96 => self.counted(8, Self::push_other),
            _ => self.step_composite(opcode),
        }
    }

    fn step_composite(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            b'}' => self.push_dict(),
            b')' => self.push_tuple(Vec::new()),
            b't' => {
                let items = self.pop_mark()?;
                self.push_tuple(items)
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0..=(opcode - 0x85) {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push_tuple(items)
            }
            b'l' | 0x91 => {
                self.pop_mark()?;
                self.push(Value::Other)
            }
            b'd' => {
                let items = self.pop_mark()?;
                self.push_dict()?;
                self.set_items(&items)
            }
            b'e' | 0x90 => {
                self.pop_mark()?;
                self.top().map(|_| ())
            }
            b'a' => {
                self.pop()?;
                self.top().map(|_| ())
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)
            }
            b'P' => {
                self.line()?;
                self.push(Value::Other)
            }
            b'Q' => {
                self.pop()?;
                self.push(Value::Other)
            }
            _ => self.step_memo(opcode),
        }
    }

    fn step_memo(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            b'g' => {
                let key = self.line_number()?;
                self.recall(key)
            }
            b'h' => {
                let key = self.length(1)? as u64;
                self.recall(key)
            }
            b'j' => {
                let key = self.length(4)? as u64;
                self.recall(key)
            }
            b'p' => {
                let key = self.line_number()?;
                self.remember(key)
            }
            b'q' => {
                let key = self.length(1)? as u64;
                self.remember(key)
            }
            b'r' => {
                let key = self.length(4)? as u64;
                self.remember(key)
            }
            0x94 => self.remember(self.memo.len() as u64),
            _ => self.step_global(opcode),
        }
    }

    fn step_global(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            b'c' => {
                let global = self.written_global()?;
                self.push(Value::Global(global))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(name), Value::Text(module)) = (name, module) else {
                    return Err(match self.is_plain && (self.is_no_text(name) || self.is_no_text(module)) {
                        true => Stop::Broken("a global whose name is no text"),
                        false => Stop::Lost("a global whose name is computed"),
                    });
                };
                // Where the memo is another one, the dtype of numpy is looked for in what is no module of arrays.
                if self.is_plain
                    && name == b"dtype"
                    && !known::is_known(&String::from_utf8_lossy(module), "dtype")
                {
                    return Err(Stop::Broken("a module without dtypes"));
                }
                let global = self.global(module, name)?;
                self.push(Value::Global(global))
            }
            b'i' => {
                let global = self.written_global()?;
                self.pop_mark()?;
                self.call(Value::Global(global), Value::Other, false)
            }
            b'o' => {
                let items = self.pop_mark()?;
                let class = items.first().copied().ok_or(Stop::Broken("an object without a class"))?;
                self.call(class, Value::Other, false)
            }
            0x81 | b'R' => {
                let arguments = self.pop()?;
                let callee = self.pop()?;
                self.call(callee, arguments, opcode == 0x81)
            }
            0x92 => {
                self.pop()?;
                let arguments = self.pop()?;
                let class = self.pop()?;
                self.call(class, arguments, true)
            }
            b'b' => self.build(),
            0x82 => self.extension(1),
            0x83 => self.extension(2),
            0x84 => self.extension(4),
            _ => Err(Stop::Broken("a byte that is no opcode")),
        }
    }

    /// A number of the extension registry stands for a global that only the reader's process knows.
    fn extension(&mut self, width: usize) -> Step<()> {
        let code = self.length(width)?;
        let global = self.global(b"copyreg.extension", code.to_string().as_bytes())?;
        self.push(Value::Global(global))
    }

    /// `restores`: only `__new__` runs.
    fn call(&mut self, callee: Value<'a>, arguments: Value<'a>, restores: bool) -> Step<()> {
        let Value::Global(global) = callee else {
            // Only what was imported can be called; text is full of such calls.
            let callable =
                matches!(callee, Value::Object(_) | Value::Other) && !self.findings.globals.is_empty();
            return Err(match callable {
                true => Stop::Lost("a call of what no name stands for"),
                false => Stop::Broken("a call of what is no function"),
            });
        };
        let found = &self.findings.globals[global];
        if !restores && known::is_by_rule(&found.module, &found.name) {
            let reason = format!("{}.{} is called, and not restored", found.module, found.name);
            self.findings.raise(Kind::Unknown, reason);
        }
        let found = &self.findings.globals[global];
        if is_name(&found.module) && is_name(&found.name) {
            self.findings.calls += 1;
        }
        let items = match arguments {
            Value::Tuple(tuple) => self.tuples[tuple].as_slice(),
            _ => &[],
        };
        // These call what they are given.
        if is_of_random(&found.module)
            && found.name.ends_with("_ctor")
            && !(matches!(arguments, Value::Tuple(_)) && items.iter().all(|item| self.is_generator(*item)))
        {
            return Err(Stop::Lost("a generator of random numbers over what is none"));
        }
        let made = match (found.module.as_str(), found.name.as_str(), items) {
            ("numpy", "dtype", [Value::Text(code), ..]) => {
                let element = element(code);
                self.dtypes.push(Dtype { code, element, is_stated: false, is_shared: false });
                Value::Dtype(self.dtypes.len() - 1)
            }
            ("copyreg" | "copy_reg", "_reconstructor", [Value::Global(class), Value::Global(root), ..]) => {
                // It calls the `__init__` of the second; only that of a builtin does nothing.
                if !matches!(self.findings.globals[*root].module.as_str(), "builtins" | "__builtin__") {
                    return Err(Stop::Lost("a reconstruction over a class that is no builtin"));
                }
                Value::Object(*class)
            }
            ("copyreg" | "copy_reg", "_reconstructor", _) => {
                return Err(Stop::Lost("a reconstruction of what no name stands for"));
            }
            _ => Value::Object(global),
        };
        match self.dtypes.len() > MAX_KEPT {
            true => Err(Stop::Lost("too many dtypes")),
            false => self.push(made),
        }
    }

    fn build(&mut self) -> Step<()> {
        let state = self.pop()?;
        match self.top()? {
            Value::Object(global)
                if !self.is_plain && self.findings.globals[global].name == "NumpyArrayWrapper" =>
            {
                self.pop()?;
                self.array(state)?;
                self.push(Value::Other)
            }
            // Estimators never do: it would change the class for everybody.
            Value::Global(_) => Err(Stop::Lost("a state for a class or a function")),
            Value::Dtype(place) => {
                let dtype = self.dtypes[place];
                let stated = self.stated_element(dtype, state);
                let stated = stated.ok_or(Stop::Lost("a dtype whose state is not what its code says"))?;
                self.dtypes[place].element = Some(stated);
                self.dtypes[place].is_stated = true;
                Ok(())
            }
            Value::Object(global) if self.makes_dtypes(global) => {
                Err(Stop::Lost("a state for a dtype whose code is not written down"))
            }
            _ => Ok(()),
        }
    }

    fn makes_dtypes(&self, global: usize) -> bool {
        let found = &self.findings.globals[global];
        (found.module == "numpy" && found.name == "dtype") || found.module == "numpy.dtypes"
    }

    /// What numpy's own pickles give to what makes generators: names, their classes and functions, and what those made.
    fn is_generator(&self, value: Value<'a>) -> bool {
        match value {
            Value::Text(_) => true,
            Value::Global(global) | Value::Object(global) => {
                is_of_random(&self.findings.globals[global].module)
            }
            _ => false,
        }
    }

    /// joblib reads the array here: padding and its bytes, or a pickle of its own when it holds objects.
    fn array(&mut self, state: Value<'a>) -> Step<()> {
        const LOST: Stop = Stop::Lost("an array of joblib whose size is not written down");
        if self.at < self.frame_end {
            return Err(Stop::Lost("an array of joblib inside a frame"));
        }
        let Value::Dict(state) = state else { return Err(LOST) };
        if self.dicts[state].is_lost {
            return Err(LOST);
        }
        let field = |name: &[u8]| self.dicts[state].items.get(name).copied();
        let Some(Value::Dtype(dtype)) = field(b"dtype") else { return Err(LOST) };
        let Some(Value::Tuple(shape)) = field(b"shape") else { return Err(LOST) };
        let is_aligned = matches!(field(b"numpy_array_alignment_bytes"), Some(Value::Int(_)));
        let element = self.dtypes[dtype].element.ok_or(LOST)?;
        if element.has_objects {
            return self.objects();
        }
        if !is_aligned {
            return Err(Stop::Lost("an array of joblib before 1.2, which pickle would take for opcodes"));
        }
        let mut size = element.bytes;
        for side in &self.tuples[shape] {
            let Value::Int(side) = side else { return Err(LOST) };
            size = usize::try_from(*side).ok().and_then(|side| size.checked_mul(side)).ok_or(LOST)?;
        }
        let padding = usize::from(self.byte()?);
        if !PADDING.contains(&padding) || self.take(padding)?.iter().any(|byte| *byte != 0xff) {
            return Err(Stop::Lost("an array of joblib with a padding that joblib does not write"));
        }
        self.take(size)?;
        self.has_array = true;
        Ok(())
    }

    /// The pickle of an array of objects: as joblib reads it, and as pickle would go on.
    fn objects(&mut self) -> Step<()> {
        if self.nesting == MAX_NESTING {
            return Err(Stop::Lost("arrays of objects too deep in each other"));
        }
        if !self.has_array {
            self.read_as_pickle()?;
        }
        let mut own = Machine::new(self.data, self.at, &mut *self.findings);
        own.nesting = self.nesting + 1;
        own.run()?;
        self.at = own.at;
        Ok(())
    }

    /// What pickle would import from here on: with the stack and the memo so far.
    fn read_as_pickle(&mut self) -> Step<()> {
        self.spend((self.memo.len() + self.stack.len() + self.tuples.len() + self.dicts.len()) as u64)?;
        let mut plain = Machine {
            data: self.data,
            at: self.at,
            frame_end: self.frame_end,
            nesting: self.nesting + 1,
            has_array: false,
            is_plain: true,
            stack: self.stack.clone(),
            memo: self.memo.clone(),
            tuples: self.tuples.clone(),
            dicts: self.dicts.clone(),
            dtypes: self.dtypes.clone(),
            findings: &mut *self.findings,
        };
        match plain.run() {
            Err(lost @ Stop::Lost(_)) => Err(lost),
            Err(Stop::Broken(_)) | Ok(()) => Ok(()),
        }
    }

    /// Surely no `str`, which is all that names a global: instances of classes, not what functions return.
    fn is_no_text(&self, value: Value<'a>) -> bool {
        match value {
            Value::Object(global) => {
                let class = &self.findings.globals[global];
                class.known && class.name.starts_with(|first: char| first.is_ascii_uppercase())
            }
            Value::Text(_) | Value::Nothing | Value::Other | Value::Mark => false,
            Value::Int(_) | Value::Tuple(_) | Value::Dict(_) | Value::Global(_) | Value::Dtype(_) => true,
        }
    }

    fn written_global(&mut self) -> Step<usize> {
        let module = self.line()?;
        let name = self.line()?;
        self.global(module, name)
    }

    fn global(&mut self, module: &[u8], name: &[u8]) -> Step<usize> {
        let (module, name) = (String::from_utf8_lossy(module), String::from_utf8_lossy(name));
        self.findings.global(&module, &name).ok_or(Stop::Lost("too many globals"))
    }

    fn spend(&mut self, steps: u64) -> Step<()> {
        self.findings.steps = self.findings.steps.checked_sub(steps).ok_or(Stop::Lost(TOO_LONG))?;
        Ok(())
    }

    fn push(&mut self, value: Value<'a>) -> Step<()> {
        if self.stack.len() == MAX_STACK {
            return Err(Stop::Lost("a stack deeper than is followed"));
        }
        self.stack.push(value);
        Ok(())
    }

    fn push_int(&mut self, width: usize) -> Step<()> {
        let value = self.length(width)?;
        self.push(Value::Int(value as i64))
    }

    /// Little-endian two's complement; what does not fit is just a number.
    fn push_long(&mut self, bytes: &'a [u8]) -> Step<()> {
        let value = match bytes.len() {
            0 => Value::Int(0),
            1..=8 => {
                let fill = if bytes[bytes.len() - 1] >= 0x80 { 0xff } else { 0 };
                let mut whole = [fill; 8];
                whole[..bytes.len()].copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(whole))
            }
            _ => Value::Other,
        };
        self.push(value)
    }

    fn push_plain(&mut self, bytes: &'a [u8]) -> Step<()> {
        self.push(Value::Text(bytes))
    }

    fn push_other(&mut self, _: &'a [u8]) -> Step<()> {
        self.push(Value::Other)
    }

    /// A text in which escapes would have to be read names no global that is followed.
    fn push_text(&mut self, line: &'a [u8]) -> Step<()> {
        self.push(if line.contains(&b'\\') { Value::Other } else { Value::Text(line) })
    }

    fn push_tuple(&mut self, items: Vec<Value<'a>>) -> Step<()> {
        if items.len() > MAX_WIDTH || self.tuples.len() >= MAX_KEPT {
            return self.push(Value::Other);
        }
        self.tuples.push(items);
        self.push(Value::Tuple(self.tuples.len() - 1))
    }

    fn push_dict(&mut self) -> Step<()> {
        if self.dicts.len() >= MAX_KEPT {
            return self.push(Value::Other);
        }
        self.dicts.push(Dict::default());
        self.push(Value::Dict(self.dicts.len() - 1))
    }

    fn set_items(&mut self, items: &[Value<'a>]) -> Step<()> {
        let Value::Dict(dict) = self.top()? else { return Ok(()) };
        let dict = &mut self.dicts[dict];
        if dict.is_sealed {
            return Err(Stop::Lost("fields of a dtype that change behind it"));
        }
        for pair in items.chunks(2) {
            match pair {
                [Value::Text(key), value] if dict.items.len() < MAX_WIDTH || dict.items.contains_key(key) => {
                    dict.items.insert(*key, *value);
                }
                [Value::Int(_), _] => {}
                _ => dict.is_lost = true,
            }
        }
        Ok(())
    }

    /// Something else will hold it too.
    fn share(&mut self, value: Value<'a>) {
        if let Value::Dtype(place) = value
            && !self.dtypes[place].is_stated
        {
            self.dtypes[place].is_shared = true;
        }
    }

    fn top(&self) -> Step<Value<'a>> {
        match self.stack.last() {
            None | Some(Value::Mark) => Err(Stop::Broken("an empty stack")),
            Some(value) => Ok(*value),
        }
    }

    fn pop(&mut self) -> Step<Value<'a>> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_mark(&mut self) -> Step<Vec<Value<'a>>> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark));
        let mark = mark.ok_or(Stop::Broken("a mark that is missing"))?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn remember(&mut self, key: u64) -> Step<()> {
        let top = self.top()?;
        if self.memo.len() >= MAX_MEMO {
            return Err(Stop::Lost("a memo larger than is followed"));
        }
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Step<()> {
        let value = self.memo.get(&key).copied().ok_or(Stop::Broken("a memo that is missing"))?;
        self.share(value);
        self.push(value)
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, length: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.data.len());
        let end = end.ok_or(Stop::Broken("the end before a STOP"))?;
        let bytes = &self.data[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    /// A little-endian number of `width` bytes.
    fn length(&mut self, width: usize) -> Step<usize> {
        let mut whole = [0; 8];
        whole[..width].copy_from_slice(self.take(width)?);
        usize::try_from(u64::from_le_bytes(whole)).map_err(|_| Stop::Broken("a length over this machine's"))
    }

    fn counted(&mut self, width: usize, then: fn(&mut Self, &'a [u8]) -> Step<()>) -> Step<()> {
        let length = self.length(width)?;
        let bytes = self.take(length)?;
        then(self, bytes)
    }

    /// Without its end: CPython drops the last byte of a line, newline or not.
    fn line(&mut self) -> Step<&'a [u8]> {
        let rest = &self.data[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |place| place + 1);
        let line = self.take(length)?;
        self.spend(length as u64 / BYTES_PER_STEP)?;
        line.split_last().map(|(_, line)| line).ok_or(Stop::Broken("the end in a line"))
    }

    fn line_number(&mut self) -> Step<u64> {
        let line = self.line()?;
        memo_number(line).ok_or(Stop::Broken("a memo without a number"))
    }
}

/// As CPython reads it: single underscores between digits count for nothing, and C stops at a zero byte.
fn memo_number(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| *byte == 0).unwrap_or(line.len());
    let text = std::str::from_utf8(&line[..end]).ok()?.trim();
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.split('_').any(|part| part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let number: u64 = digits.replace('_', "").parse().ok()?;
    (!is_negative || number == 0).then_some(number)
}

fn is_of_random(module: &str) -> bool {
    module == "numpy.random" || module.starts_with("numpy.random.")
}

fn is_name(text: &str) -> bool {
    let part = |part: &str| {
        let mut letters = part.chars();
        letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
            && letters.all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    text.split('.').all(part)
}

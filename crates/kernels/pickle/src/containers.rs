//! Files around pickles: zip, npy, zlib, gzip; and what is one at all. Told apart by content, never by the name alone.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::machine::{Machine, Stop, TOO_LONG};
use crate::{BYTES_PER_STEP, Findings, Kind};

/// Files of these names are pickles, or are not what they say.
const NAMED: [&str; 7] = [".pkl", ".pickle", ".joblib", ".pt", ".pth", ".dill", ".cloudpickle"];
/// Pickles are usual under these names too, beside other things.
const USUAL: [&str; 5] = [".bin", ".ckpt", ".npy", ".npz", ".keras"];
const FREE_INFLATED: usize = 16 << 20;
/// Most pickles one after the other.
const MAX_PICKLES: usize = 10_000;

const ZIP_LOCAL: &[u8] = b"PK\x03\x04";
const ZIP_ENTRY: &[u8] = b"PK\x01\x02";
const ZIP_END: &[u8] = b"PK\x05\x06";
const ZIP64_LOCATOR: &[u8] = b"PK\x06\x07";
const ZIP64_END: &[u8] = b"PK\x06\x06";
const NPY: &[u8] = b"\x93NUMPY";

/// Opened by no part of this crate.
const CLOSED: [(&[u8], &str); 7] = [
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x5d\0", "lzma"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
];

/// A file or a part of one.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub bytes: &'a [u8],
    /// A [`file_name`].
    pub name: &'a str,
    /// The members of archives that it lies in; empty for the file itself.
    pub place: &'a str,
    /// Archives around it.
    pub depth: usize,
}

impl Part<'_> {
    /// A reason, with the member that it is about.
    fn says(&self, reason: &str) -> String {
        if self.place.is_empty() { reason.to_owned() } else { format!("{}: {reason}", self.place) }
    }
}

/// What of a path a verdict depends on: its last part, with ASCII letters in lower case, because that is how readers compare
/// endings.
pub fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase()
}

/// Whether a file of this name is worth a scan before anybody asks. What it holds decides, not its name: another name says
/// nothing.
pub fn may_hold_pickle(name: &str) -> bool {
    let name = file_name(name);
    NAMED.iter().chain(&USUAL).any(|ending| name.ends_with(ending))
}

pub(crate) fn scan_part(part: Part<'_>, findings: &mut Findings) {
    let Part { bytes, name, depth, .. } = part;
    if depth > findings.limits.depth {
        return findings.raise(Kind::Unknown, part.says("archives too deep in each other"));
    }
    let Some(steps) = findings.steps.checked_sub(bytes.len() as u64 / BYTES_PER_STEP) else {
        return findings.raise(Kind::Unknown, part.says("more bytes than are scanned"));
    };
    findings.steps = steps;
    if let Some((_, format)) = CLOSED.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return findings.raise(Kind::Unknown, part.says(&format!("{format} is not opened")));
    }
    if is_zfile(bytes) {
        return findings.raise(Kind::Unknown, part.says("joblib's old ZF is not opened"));
    }
    if bytes.get(257..262) == Some(b"ustar".as_slice()) || is_old_tar(bytes) {
        return findings.raise(Kind::Unknown, part.says("tar is not opened"));
    }
    if holds_lambda(bytes, name) {
        findings.global("keras.layers", "Lambda");
    }
    let is_zip = scan_zip(part, findings);
    if let Some((body, holds_objects)) = npy_body(bytes) {
        return scan_pickles(Part { bytes: body, ..part }, holds_objects, findings);
    }
    if bytes.starts_with(b"\x1f\x8b") {
        return scan_inflated(MultiGzDecoder::new(bytes), part, findings, true);
    }
    let is_zlib = bytes.len() > 2
        && bytes[0] == 0x78
        && (u16::from(bytes[0]) * 256 + u16::from(bytes[1])).is_multiple_of(31);
    if is_zlib {
        // Text may begin with these two bytes as well.
        scan_inflated(ZlibDecoder::new(bytes), part, findings, false);
    }
    let named = NAMED.iter().any(|ending| name.ends_with(ending));
    scan_pickles(part, named && !is_zip && !is_zlib, findings);
}

/// What joblib wrote before 0.10: a length in hexadecimal digits, padded with blanks, and zlib.
fn is_zfile(bytes: &[u8]) -> bool {
    const LENGTH_BYTES: usize = 19;
    let Some(rest) = bytes.strip_prefix(b"ZF") else { return false };
    let length = rest.get(..LENGTH_BYTES).unwrap_or(rest);
    let spelled = |byte: &u8| {
        byte.is_ascii_hexdigit() || byte.is_ascii_whitespace() || matches!(byte, b'x' | b'X' | b'_' | b'+')
    };
    length.starts_with(b"0x") || (length.iter().any(u8::is_ascii_hexdigit) && length.iter().all(spelled))
}

/// A tar from before its magic: its first header sums up to what it says.
fn is_old_tar(bytes: &[u8]) -> bool {
    let Some(header) = bytes.get(..512) else { return false };
    let (before, field, after) = (&header[..148], &header[148..156], &header[156..]);
    let said = match field {
        [0x80, number @ ..] => number.iter().fold(0_i64, |sum, byte| (sum << 8) | i64::from(*byte)),
        _ => {
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            let text = String::from_utf8_lossy(&field[..end]).replace('_', "");
            let digits = text.trim();
            let digits = digits.strip_prefix("0o").or_else(|| digits.strip_prefix("0O")).unwrap_or(digits);
            let Ok(number) = i64::from_str_radix(digits, 8) else { return false };
            number
        }
    };
    let blanks = 8 * i64::from(b' ');
    let bytes = || before.iter().chain(after);
    let sum = bytes().fold(blanks, |sum, byte| sum + i64::from(*byte));
    let signed = bytes().fold(blanks, |sum, byte| sum + i64::from(i8::from_ne_bytes([*byte])));
    said == sum || said == signed
}

/// A layer of Keras that holds code; in `.keras` the configuration is JSON, in HDF5 the same text is an attribute.
fn holds_lambda(bytes: &[u8], name: &str) -> bool {
    (name.ends_with("config.json") || is_json_object(bytes) || is_hdf5(bytes)) && names_lambda(bytes)
}

/// Whatever it is called: readers of zip find a member by names that stand elsewhere, too.
fn is_json_object(bytes: &[u8]) -> bool {
    // White space, zeros of UTF-16 and byte order marks may come before.
    let is_before =
        |byte: u8| byte.is_ascii_whitespace() || matches!(byte, 0 | 0xef | 0xbb | 0xbf | 0xfe | 0xff);
    bytes.iter().find(|byte| !is_before(**byte)) == Some(&b'{')
}

/// Its magic may lie behind a block of the user, at 512 bytes or twice that any number of times.
fn is_hdf5(bytes: &[u8]) -> bool {
    let mut at = 0_usize;
    while let Some(rest) = bytes.get(at..) {
        if rest.starts_with(b"\x89HDF\r\n") {
            return true;
        }
        at = (at * 2).max(512);
    }
    false
}

/// However the JSON is spaced, escaped and encoded: white space and the zeros of UTF-16 are passed over.
fn names_lambda(bytes: &[u8]) -> bool {
    const TEXT: &[u8] = b"\"class_name\":\"Lambda\"";
    let (mut at, mut matched) = (0_usize, 0_usize);
    while at < bytes.len() {
        if bytes[at] == 0 || bytes[at].is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let (letter, width) = json_letter(&bytes[at..]);
        at += width;
        if letter != TEXT[matched] {
            // The quote before may be the first of the text.
            matched = usize::from(matched > 0 && TEXT[matched - 1] == b'"');
        }
        matched = match letter == TEXT[matched] {
            true => matched + 1,
            false => usize::from(letter == b'"'),
        };
        if matched == TEXT.len() {
            return true;
        }
    }
    false
}

/// The first letter and the bytes it takes; what is not ASCII is any byte that is not either.
fn json_letter(rest: &[u8]) -> (u8, usize) {
    if rest[0] != b'\\' {
        return (rest[0], 1);
    }
    // In UTF-16 and UTF-32 there are zeros between: an escape takes six letters in at most 24 bytes.
    let mut letters = rest.iter().take(24).enumerate().filter(|(_, byte)| **byte != 0);
    let mut escape = [0_u8; 6];
    let mut width = 0;
    for letter in &mut escape {
        let Some((place, byte)) = letters.next() else { return (rest[0], 1) };
        *letter = *byte;
        width = place + 1;
    }
    let digits = escape.strip_prefix(b"\\u").and_then(|digits| std::str::from_utf8(digits).ok());
    match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
        Some(code) => (u8::try_from(code).unwrap_or(0xff), width),
        None => (rest[0], 1),
    }
}

/// Pickles one after the other. `named`: the file must be one.
fn scan_pickles(part: Part<'_>, named: bool, findings: &mut Findings) {
    let bytes = part.bytes;
    let has_header = matches!(bytes, [0x80, 0..=5, ..]);
    let mut trial = findings.trial();
    let mut at = 0;
    let outcome = loop {
        let mut machine = Machine::new(bytes, at, &mut trial);
        let step = machine.run();
        at = machine.at;
        if let Err(stop) = step {
            break Err(stop);
        }
        trial.pickles += 1;
        if at == bytes.len() {
            break Ok(());
        }
        if trial.pickles == MAX_PICKLES {
            break Err(Stop::Lost("more pickles than are followed"));
        }
    };
    let is_pickle = match outcome {
        Ok(()) => named || has_header || !trial.globals.is_empty(),
        Err(Stop::Broken(_)) => {
            named || trial.calls > 0 || (has_header && (trial.pickles > 0 || !trial.globals.is_empty()))
        }
        // Unpickling goes on there: other bytes are broken long before.
        Err(Stop::Lost(_)) => true,
    };
    if !is_pickle {
        return findings.spent(&trial);
    }
    trial.kind = trial.kind.max(Kind::Known);
    if let Err(Stop::Broken(reason) | Stop::Lost(reason)) = outcome {
        let after = if trial.pickles > 0 { "behind a pickle: " } else { "" };
        // Where other parts spent all the steps, nothing is known of this one.
        let is_unread = reason == TOO_LONG && trial.globals.is_empty();
        let kind = if is_unread { Kind::Unknown } else { Kind::Malformed };
        trial.raise(kind, part.says(&format!("{after}{reason} at byte {at}")));
    }
    findings.merge(trial);
}

/// What follows the header of an array of numpy, and whether the header says that it is a pickle of objects.
fn npy_body(bytes: &[u8]) -> Option<(&[u8], bool)> {
    let rest = bytes.strip_prefix(NPY)?;
    let (start, length): (usize, usize) = match rest {
        [1, _, a, b, ..] => (4, usize::from(u16::from_le_bytes([*a, *b]))),
        [2 | 3, _, a, b, c, d, ..] => (6, usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).ok()?),
        _ => return None,
    };
    let header = rest.get(start..start.checked_add(length)?)?;
    let text = String::from_utf8_lossy(header);
    let holds_objects = ["|O", "'O", "\"O"].iter().any(|word| text.contains(word));
    Some((&rest[start + length..], holds_objects))
}

/// `part`: the compressed bytes.
fn scan_inflated(reader: impl Read, part: Part<'_>, findings: &mut Findings, surely: bool) {
    let depth = part.depth + 1;
    match inflate(reader, part.bytes.len(), findings) {
        Inflated::Whole(bytes) => scan_part(Part { bytes: &bytes, depth, ..part }, findings),
        Inflated::Cut(bytes) if surely || !bytes.is_empty() => {
            scan_part(Part { bytes: &bytes, depth, ..part }, findings);
            findings.raise(Kind::Malformed, part.says("the compressed bytes are damaged"));
        }
        Inflated::Cut(_) => {}
        Inflated::TooLarge => {
            findings.raise(Kind::Unknown, part.says("it unpacks to more than is scanned"));
        }
    }
}

enum Inflated {
    Whole(Vec<u8>),
    /// What came out before the error.
    Cut(Vec<u8>),
    TooLarge,
}

fn inflate(reader: impl Read, compressed: usize, findings: &mut Findings) -> Inflated {
    let limits = &findings.limits;
    let left = limits.inflated_bytes.saturating_sub(findings.inflated);
    let most = left.min(compressed.saturating_mul(limits.ratio).max(FREE_INFLATED));
    let mut bytes = Vec::new();
    let outcome = reader.take(most as u64 + 1).read_to_end(&mut bytes);
    findings.inflated += bytes.len().min(most);
    match outcome {
        _ if bytes.len() > most => Inflated::TooLarge,
        Ok(_) => Inflated::Whole(bytes),
        Err(_) => Inflated::Cut(bytes),
    }
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let mut whole = [0; 8];
    whole[..width].copy_from_slice(bytes.get(at..at.checked_add(width)?)?);
    usize::try_from(u64::from_le_bytes(whole)).ok()
}

/// A member as the directory at the end lists it.
struct Member<'a> {
    name: &'a [u8],
    flags: usize,
    method: usize,
    compressed: usize,
    local: usize,
}

/// Whether the file is a zip; its members are scanned whatever their names, checksums and flags say.
fn scan_zip(part: Part<'_>, findings: &mut Findings) -> bool {
    let bytes = part.bytes;
    let Some(end) = find_end(bytes) else {
        let is_zip = bytes.starts_with(ZIP_LOCAL);
        if is_zip {
            findings.raise(Kind::Malformed, part.says("a zip without its directory"));
        }
        return is_zip;
    };
    let Some(members) = directory(bytes, end, findings.limits.members) else {
        findings.raise(Kind::Malformed, part.says("the directory of the zip is damaged"));
        return true;
    };
    for member in members {
        findings.members += 1;
        if findings.members > findings.limits.members {
            findings.raise(Kind::Unknown, part.says("more members than are scanned"));
            break;
        }
        scan_member(part, &member, findings);
    }
    true
}

/// The last signature of an end record, which is the one that Python takes, whatever follows it.
fn find_end(bytes: &[u8]) -> Option<usize> {
    let first = bytes.len().saturating_sub(22 + 0xffff);
    (first..bytes.len().saturating_sub(3)).rev().find(|at| bytes[*at..].starts_with(ZIP_END))
}

fn directory(bytes: &[u8], end: usize, most: usize) -> Option<Vec<Member<'_>>> {
    let (mut count, mut size, mut offset) =
        (number(bytes, end + 10, 2)?, number(bytes, end + 12, 4)?, number(bytes, end + 16, 4)?);
    // Where the comment does not reach to the end, others would look for the record elsewhere.
    if end + 22 + number(bytes, end + 20, 2)? != bytes.len() {
        return None;
    }
    let mut records = end;
    if let Some(locator) = end.checked_sub(20).filter(|at| bytes[*at..].starts_with(ZIP64_LOCATOR)) {
        let record = number(bytes, locator + 8, 8)?;
        // Python reads the bytes before the locator, others those that it points to.
        if record.checked_add(56) != Some(locator) || !bytes.get(record..)?.starts_with(ZIP64_END) {
            return None;
        }
        let short = [(count, 0xffff), (size, 0xffff_ffff), (offset, 0xffff_ffff)];
        (count, size, offset) =
            (number(bytes, record + 32, 8)?, number(bytes, record + 40, 8)?, number(bytes, record + 48, 8)?);
        // And some never look at it.
        let long = [count, size, offset];
        if short.iter().zip(long).any(|((short, full), long)| *short != *full && *short != long) {
            return None;
        }
        records = record;
    }
    // Bytes in front of the zip move all of it.
    let base = records.checked_sub(size)?.checked_sub(offset)?;
    let mut at = base.checked_add(offset)?;
    let mut members = Vec::new();
    for _ in 0..count.min(most + 1) {
        if !bytes.get(at..)?.starts_with(ZIP_ENTRY) {
            return None;
        }
        let (name_length, extra_length) = (number(bytes, at + 28, 2)?, number(bytes, at + 30, 2)?);
        let comment_length = number(bytes, at + 32, 2)?;
        let name = bytes.get(at + 46..at + 46 + name_length)?;
        let extra = bytes.get(at + 46 + name_length..at + 46 + name_length + extra_length)?;
        let (compressed, local) = long_fields(
            extra,
            number(bytes, at + 24, 4)?,
            number(bytes, at + 20, 4)?,
            number(bytes, at + 42, 4)?,
        )?;
        members.push(Member {
            name,
            flags: number(bytes, at + 8, 2)?,
            method: number(bytes, at + 10, 2)?,
            compressed,
            local: base.checked_add(local)?,
        });
        at += 46 + name_length + extra_length + comment_length;
    }
    // A count that leaves entries out would hide them.
    (at == base + offset + size).then_some(members)
}

/// Compressed size and offset, from the zip64 field where the short ones are full.
fn long_fields(extra: &[u8], plain: usize, compressed: usize, local: usize) -> Option<(usize, usize)> {
    const FULL: usize = 0xffff_ffff;
    if plain != FULL && compressed != FULL && local != FULL {
        return Some((compressed, local));
    }
    let mut at = 0;
    while number(extra, at, 2)? != 1 {
        at += 4 + number(extra, at + 2, 2)?;
    }
    at += 4;
    let mut next = |short: usize| -> Option<usize> {
        if short != FULL {
            return Some(short);
        }
        let value = number(extra, at, 8)?;
        at += 8;
        Some(value)
    };
    next(plain)?;
    Some((next(compressed)?, next(local)?))
}

fn scan_member(zip: Part<'_>, member: &Member<'_>, findings: &mut Findings) {
    let called = String::from_utf8_lossy(member.name);
    let name = file_name(&called);
    let place = if zip.place.is_empty() { called.into_owned() } else { format!("{}!{called}", zip.place) };
    let Some((body, method, local_name)) = local_body(zip.bytes, member) else {
        return findings.raise(Kind::Malformed, format!("{place}: the member lies outside of the zip"));
    };
    let part = Part { bytes: body, name: &name, place: &place, depth: zip.depth + 1 };
    if method != member.method || local_name != member.name {
        findings.raise(Kind::Malformed, part.says("the zip says two things about this member"));
    }
    if member.flags & 1 != 0 {
        findings.raise(Kind::Malformed, part.says("the member says that it is encrypted"));
    }
    if member.name.ends_with(b"/") && member.compressed == 0 {
        return;
    }
    match method {
        0 => scan_part(part, findings),
        8 => scan_inflated(DeflateDecoder::new(body), Part { depth: zip.depth, ..part }, findings, true),
        _ => findings.raise(Kind::Unknown, part.says(&format!("compression {method} of zip is not opened"))),
    }
}

/// Bytes, method and name as the header before the bytes has them.
fn local_body<'a>(bytes: &'a [u8], member: &Member<'_>) -> Option<(&'a [u8], usize, &'a [u8])> {
    let at = member.local;
    if !bytes.get(at..)?.starts_with(ZIP_LOCAL) {
        return None;
    }
    let (name_length, extra_length) = (number(bytes, at + 26, 2)?, number(bytes, at + 28, 2)?);
    let name = bytes.get(at + 30..at + 30 + name_length)?;
    let start = at + 30 + name_length + extra_length;
    let body = bytes.get(start..start.checked_add(member.compressed)?)?;
    Some((body, number(bytes, at + 8, 2)?, name))
}

//! Files around pickles: zip, npy, zlib, gzip; and what is one at all. Told apart by content, never by the name alone.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::machine::{Machine, Stop};
use crate::{Findings, Kind};

/// Files of these names are pickles, or are not what they say.
const NAMED: [&str; 7] = [".pkl", ".pickle", ".joblib", ".pt", ".pth", ".dill", ".cloudpickle"];
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
    (b"\x5d\0\0", "lzma"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
];

pub(crate) fn scan_part(bytes: &[u8], name: &str, depth: usize, findings: &mut Findings) {
    if depth > findings.limits.depth {
        return findings.raise(Kind::Unknown, format!("{name}: archives too deep in each other"));
    }
    if let Some((_, format)) = CLOSED.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return findings.raise(Kind::Unknown, format!("{name}: {format} is not opened"));
    }
    if bytes.get(257..262) == Some(b"ustar".as_slice()) {
        return findings.raise(Kind::Unknown, format!("{name}: tar is not opened"));
    }
    if holds_lambda(bytes, name) {
        findings.global("keras.layers", "Lambda");
    }
    let is_zip = scan_zip(bytes, name, depth, findings);
    if let Some((body, holds_objects)) = npy_body(bytes) {
        return scan_pickles(body, name, holds_objects, findings);
    }
    if bytes.starts_with(b"\x1f\x8b") {
        return scan_inflated(MultiGzDecoder::new(bytes), bytes.len(), name, depth, findings, true);
    }
    let is_zlib = bytes.len() > 2
        && bytes[0] == 0x78
        && (u16::from(bytes[0]) * 256 + u16::from(bytes[1])).is_multiple_of(31);
    if is_zlib {
        // Text may begin with these two bytes as well.
        scan_inflated(ZlibDecoder::new(bytes), bytes.len(), name, depth, findings, false);
    }
    let lower = name.to_ascii_lowercase();
    let named = NAMED.iter().any(|ending| lower.ends_with(ending));
    scan_pickles(bytes, name, named && !is_zip && !is_zlib, findings);
}

/// A layer of Keras that holds code; in `.keras` the configuration is JSON, in HDF5 the same text is an attribute.
fn holds_lambda(bytes: &[u8], name: &str) -> bool {
    let looked_at = name.ends_with("config.json") || bytes.starts_with(b"\x89HDF\r\n");
    looked_at
        && [b"\"class_name\": \"Lambda\"".as_slice(), b"\"class_name\":\"Lambda\""]
            .iter()
            .any(|text| bytes.windows(text.len()).any(|window| window == *text))
}

/// Pickles one after the other. `named`: the file must be one.
fn scan_pickles(bytes: &[u8], name: &str, named: bool, findings: &mut Findings) {
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
        Err(Stop::Broken(_)) => named || trial.calls > 0 || (has_header && trial.pickles > 0),
        Err(Stop::Lost(_)) => named || trial.calls > 0 || has_header,
    };
    if !is_pickle {
        return findings.spent(&trial);
    }
    trial.kind = trial.kind.max(Kind::Known);
    if let Err(Stop::Broken(reason) | Stop::Lost(reason)) = outcome {
        let after = if trial.pickles > 0 { "behind a pickle: " } else { "" };
        trial.raise(Kind::Malformed, format!("{name}: {after}{reason} at byte {at}"));
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

fn scan_inflated(
    reader: impl Read,
    compressed: usize,
    name: &str,
    depth: usize,
    findings: &mut Findings,
    surely: bool,
) {
    match inflate(reader, compressed, findings) {
        Inflated::Whole(bytes) => scan_part(&bytes, name, depth + 1, findings),
        Inflated::Cut(bytes) if surely || !bytes.is_empty() => {
            scan_part(&bytes, name, depth + 1, findings);
            findings.raise(Kind::Malformed, format!("{name}: the compressed bytes are damaged"));
        }
        Inflated::Cut(_) => {}
        Inflated::TooLarge => {
            findings.raise(Kind::Unknown, format!("{name}: it unpacks to more than is scanned"));
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
fn scan_zip(bytes: &[u8], name: &str, depth: usize, findings: &mut Findings) -> bool {
    let Some(end) = find_end(bytes) else {
        let is_zip = bytes.starts_with(ZIP_LOCAL);
        if is_zip {
            findings.raise(Kind::Malformed, format!("{name}: a zip without its directory"));
        }
        return is_zip;
    };
    let Some(members) = directory(bytes, end, findings.limits.members) else {
        findings.raise(Kind::Malformed, format!("{name}: the directory of the zip is damaged"));
        return true;
    };
    for member in members {
        findings.members += 1;
        if findings.members > findings.limits.members {
            findings.raise(Kind::Unknown, format!("{name}: more members than are scanned"));
            break;
        }
        scan_member(bytes, name, &member, depth, findings);
    }
    true
}

/// The last end record whose comment reaches to the end of the file.
fn find_end(bytes: &[u8]) -> Option<usize> {
    let first = bytes.len().saturating_sub(22 + 0xffff);
    (first..bytes.len().saturating_sub(21)).rev().find(|at| {
        let comment = number(bytes, at + 20, 2);
        bytes[*at..].starts_with(ZIP_END) && comment.is_some_and(|length| at + 22 + length <= bytes.len())
    })
}

fn directory(bytes: &[u8], end: usize, most: usize) -> Option<Vec<Member<'_>>> {
    let (mut count, mut size, mut offset) =
        (number(bytes, end + 10, 2)?, number(bytes, end + 12, 4)?, number(bytes, end + 16, 4)?);
    let mut records = end;
    if let Some(locator) = end.checked_sub(20).filter(|at| bytes[*at..].starts_with(ZIP64_LOCATOR)) {
        let record = number(bytes, locator + 8, 8)?;
        if !bytes.get(record..)?.starts_with(ZIP64_END) {
            return None;
        }
        (count, size, offset) =
            (number(bytes, record + 32, 8)?, number(bytes, record + 40, 8)?, number(bytes, record + 48, 8)?);
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

fn scan_member(bytes: &[u8], archive: &str, member: &Member<'_>, depth: usize, findings: &mut Findings) {
    let name = format!("{archive}!{}", String::from_utf8_lossy(member.name));
    let Some((body, method, local_name)) = local_body(bytes, member) else {
        return findings.raise(Kind::Malformed, format!("{name}: the member lies outside of the zip"));
    };
    if method != member.method || local_name != member.name {
        findings.raise(Kind::Malformed, format!("{name}: the zip says two things about this member"));
    }
    if member.flags & 1 != 0 {
        findings.raise(Kind::Malformed, format!("{name}: the member says that it is encrypted"));
    }
    if member.name.ends_with(b"/") && member.compressed == 0 {
        return;
    }
    match method {
        0 => scan_part(body, &name, depth + 1, findings),
        8 => scan_inflated(DeflateDecoder::new(body), body.len(), &name, depth, findings, true),
        _ => findings.raise(Kind::Unknown, format!("{name}: compression {method} of zip is not opened")),
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

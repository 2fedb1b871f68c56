//! What a file would import and call if somebody unpickled it, read from its opcodes without executing anything.
//!
//! Source of the opcodes: `pickletools.py` and `pickle.py` of CPython 3.13; of joblib's arrays: `numpy_pickle.py` of joblib 1.5.
//! Determinism: same bytes, same verdict. Cost: linear in the bytes, bounded by [`Limits`].

mod containers;
mod known;
mod machine;

use std::collections::HashMap;

use containers::Part;

pub use containers::{file_name, may_hold_pickle};

/// Changes whenever the same bytes may get another verdict.
pub const VERSION: u32 = 3;

/// Worse ones are larger: the verdict on a file is the worst of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing in it is a pickle.
    NoPickle,
    /// Every global is on the list.
    Known,
    /// At least one global is not on the list, or a part was not opened.
    Unknown,
    /// A pickle, or called one, that cannot be followed to its end.
    Malformed,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::NoPickle, Self::Known, Self::Unknown, Self::Malformed];

    pub fn name(self) -> &'static str {
        match self {
            Self::NoPickle => "no_pickle",
            Self::Known => "known",
            Self::Unknown => "unknown",
            Self::Malformed => "malformed",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub fn is_clean(self) -> bool {
        matches!(self, Self::NoPickle | Self::Known)
    }
}

/// Something that unpickling would import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Global {
    pub module: String,
    pub name: String,
    pub known: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub kind: Kind,
    /// In order of appearance, each once.
    pub globals: Vec<Global>,
    /// Why the verdict is `Unknown` or `Malformed` besides unknown globals. They name members of archives, never the file:
    /// whoever has the same bytes gets the same reasons.
    pub reasons: Vec<String>,
    /// Pickles that were followed to their end.
    pub pickles: usize,
}

/// Bounds on the work for one file.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Larger files are `Unknown`.
    pub file_bytes: usize,
    /// Bytes that all compressed parts together may become.
    pub inflated_bytes: usize,
    /// A part may become this many times as large once it is over 16 MiB.
    pub ratio: usize,
    pub members: usize,
    /// Archives in archives.
    pub depth: usize,
    /// Opcodes, entries copied, and every sixteenth byte looked at.
    pub steps: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 2 << 30,
            inflated_bytes: 1 << 30,
            ratio: 200,
            members: 20_000,
            depth: 4,
            steps: 500_000_000,
        }
    }
}

/// The verdict on a file's bytes. The name only says how strict to be with what is no pickle: a `.pkl` that is none is
/// `Malformed`. Nothing of it counts but its [`file_name`].
pub fn scan(bytes: &[u8], name: &str, limits: &Limits) -> Verdict {
    if bytes.len() > limits.file_bytes {
        return too_large(bytes.len() as u64);
    }
    let mut findings = Findings::new(*limits);
    let name = file_name(name);
    containers::scan_part(Part { bytes, name: &name, place: "", depth: 0 }, &mut findings);
    findings.verdict()
}

/// The verdict on a file that was too large to be read.
pub fn too_large(size_bytes: u64) -> Verdict {
    let mut findings = Findings::new(Limits::default());
    findings.raise(Kind::Unknown, format!("{size_bytes} bytes are more than are scanned"));
    findings.verdict()
}

/// A part that is opened again costs again, however few opcodes it has.
pub(crate) const BYTES_PER_STEP: u64 = 16;

/// Most globals that a verdict lists.
const MAX_GLOBALS: usize = 4_096;
const MAX_REASONS: usize = 64;

/// What was found so far; parts that turn out to be no pickle are never merged into it.
pub(crate) struct Findings {
    limits: Limits,
    kind: Kind,
    globals: Vec<Global>,
    places: HashMap<(String, String), usize>,
    reasons: Vec<String>,
    pickles: usize,
    /// Calls of globals whose names read as names.
    calls: usize,
    steps: u64,
    inflated: usize,
    members: usize,
}

impl Findings {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            kind: Kind::NoPickle,
            globals: Vec::new(),
            places: HashMap::new(),
            reasons: Vec::new(),
            pickles: 0,
            calls: 0,
            steps: limits.steps,
            inflated: 0,
            members: 0,
        }
    }

    /// For a part that may turn out to be no pickle; it spends from the same purse.
    fn trial(&self) -> Self {
        Self { steps: self.steps, inflated: self.inflated, members: self.members, ..Self::new(self.limits) }
    }

    fn merge(&mut self, part: Findings) {
        self.spent(&part);
        self.kind = self.kind.max(part.kind);
        self.pickles += part.pickles;
        self.calls += part.calls;
        for global in part.globals {
            self.global(&global.module, &global.name);
        }
        for reason in part.reasons {
            self.raise(part.kind, reason);
        }
    }

    fn spent(&mut self, part: &Findings) {
        self.steps = part.steps;
        self.inflated = part.inflated;
        self.members = part.members;
    }

    fn raise(&mut self, kind: Kind, reason: String) {
        self.kind = self.kind.max(kind);
        if self.reasons.len() < MAX_REASONS && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// The place of a global in the list; none when the list is full.
    fn global(&mut self, module: &str, name: &str) -> Option<usize> {
        let key = (module.to_owned(), name.to_owned());
        if let Some(place) = self.places.get(&key) {
            return Some(*place);
        }
        if self.globals.len() == MAX_GLOBALS {
            return None;
        }
        let known = known::is_known(module, name);
        self.kind = self.kind.max(if known { Kind::Known } else { Kind::Unknown });
        let place = self.globals.len();
        self.globals.push(Global { module: key.0.clone(), name: key.1.clone(), known });
        self.places.insert(key, place);
        Some(place)
    }

    fn verdict(self) -> Verdict {
        Verdict { kind: self.kind, globals: self.globals, reasons: self.reasons, pickles: self.pickles }
    }
}

//! What was found, what was taken over, what was not and why.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::{CommandError, say};

/// As many reasons are kept of each sort; all are counted.
const REASONS: usize = 500;
/// As many are printed for a person.
const SHOWN: usize = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Experiments,
    Runs,
    Params,
    Tags,
    Series,
    Points,
    Datasets,
    LoggedModels,
    Files,
    Bytes,
    Models,
    Versions,
    Aliases,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::Experiments,
        Self::Runs,
        Self::Params,
        Self::Tags,
        Self::Series,
        Self::Points,
        Self::Datasets,
        Self::LoggedModels,
        Self::Files,
        Self::Bytes,
        Self::Models,
        Self::Versions,
        Self::Aliases,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Experiments => "experiments",
            Self::Runs => "runs",
            Self::Params => "params",
            Self::Tags => "tags",
            Self::Series => "metric series",
            Self::Points => "metric points",
            Self::Datasets => "data sets",
            Self::LoggedModels => "logged models",
            Self::Files => "artifacts",
            Self::Bytes => "artifact bytes",
            Self::Models => "registered models",
            Self::Versions => "versions",
            Self::Aliases => "aliases",
        }
    }

    fn place(self) -> usize {
        Self::ALL.iter().position(|kind| *kind == self).unwrap_or(0)
    }
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Count {
    pub source: u64,
    pub imported: u64,
    /// It was here already.
    pub skipped: u64,
    pub refused: u64,
    pub mismatches: u64,
}

#[derive(Debug, Clone, Serialize)]
struct Reason {
    kind: &'static str,
    what: String,
    reason: String,
}

#[derive(Debug, Default)]
pub struct Report {
    counts: [Count; Kind::ALL.len()],
    refused: Vec<Reason>,
    mismatches: Vec<Reason>,
    /// Experiments with another id here: name, id there, id here.
    moved: Vec<(String, String, i64)>,
}

impl Report {
    pub fn count(&mut self, kind: Kind) -> &mut Count {
        &mut self.counts[kind.place()]
    }

    /// `found` things at the source: imported when `new`, else skipped.
    pub fn add(&mut self, kind: Kind, found: usize, new: bool) {
        let count = self.count(kind);
        count.source += found as u64;
        if new {
            count.imported += found as u64;
        } else {
            count.skipped += found as u64;
        }
    }

    pub fn refuse(&mut self, kind: Kind, what: impl Into<String>, reason: impl Into<String>) {
        self.count(kind).refused += 1;
        keep(&mut self.refused, kind, what.into(), reason.into());
    }

    pub fn mismatch(&mut self, kind: Kind, what: impl Into<String>, reason: impl Into<String>) {
        self.count(kind).mismatches += 1;
        keep(&mut self.mismatches, kind, what.into(), reason.into());
    }

    pub fn moved(&mut self, name: &str, there: &str, here: i64) {
        self.moved.push((name.to_owned(), there.to_owned(), here));
    }

    pub fn has_mismatches(&self) -> bool {
        self.counts.iter().any(|count| count.mismatches > 0)
    }

    pub fn show(&self, as_json: bool, dry_run: bool) -> Result<(), CommandError> {
        if as_json {
            say(&serde_json::to_string_pretty(&self.json(dry_run))?)?;
        } else {
            say(self.text(dry_run).trim_end())?;
        }
        Ok(())
    }

    fn json(&self, dry_run: bool) -> Value {
        let counts: serde_json::Map<String, Value> = Kind::ALL
            .iter()
            .map(|kind| (kind.name().replace(' ', "_"), json!(self.counts[kind.place()])))
            .collect();
        let moved: Vec<Value> = self
            .moved
            .iter()
            .map(|(name, there, here)| json!({"name": name, "id_there": there, "id_here": here.to_string()}))
            .collect();
        json!({"dry_run": dry_run, "counts": counts, "moved_experiments": moved, "refused": self.refused,
            "mismatches": self.mismatches, "complete": !self.has_mismatches() && self.refused.is_empty()})
    }

    fn text(&self, dry_run: bool) -> String {
        let mut out = String::new();
        let mut line = |text: String| writeln!(out, "{text}").expect("writing to a String cannot fail");
        let imported = if dry_run { "to import" } else { "imported" };
        line(format!(
            "{:<18} {:>14} {:>14} {:>14} {:>9} {:>11}",
            "", "source", imported, "skipped", "refused", "mismatches"
        ));
        for kind in Kind::ALL {
            let count = self.counts[kind.place()];
            line(format!(
                "{:<18} {:>14} {:>14} {:>14} {:>9} {:>11}",
                kind.name(),
                count.source,
                count.imported,
                count.skipped,
                count.refused,
                count.mismatches
            ));
        }
        for (title, reasons, all) in [
            ("Refused", &self.refused, self.counts.iter().map(|count| count.refused).sum::<u64>()),
            ("Mismatches", &self.mismatches, self.counts.iter().map(|count| count.mismatches).sum()),
        ] {
            if reasons.is_empty() {
                continue;
            }
            line(format!("\n{title}"));
            for Reason { kind, what, reason } in reasons.iter().take(SHOWN) {
                line(format!("  {kind}: {what}: {reason}"));
            }
            let shown = reasons.len().min(SHOWN) as u64;
            if all > shown {
                line(format!("  and {} more (--json names more of them)", all - shown));
            }
        }
        if !self.moved.is_empty() {
            line("\nExperiments with another id here".to_owned());
            for (name, there, here) in &self.moved {
                line(format!("  {name}: {there} there, {here} here"));
            }
        }
        if !dry_run {
            let verdict = match self.has_mismatches() {
                true => "Source and target differ: see the mismatches.",
                false => "Everything that was taken over is here as it is there.",
            };
            line(format!("\n{verdict}"));
        }
        out
    }
}

fn keep(reasons: &mut Vec<Reason>, kind: Kind, what: String, reason: String) {
    if reasons.len() < REASONS {
        reasons.push(Reason { kind: kind.name(), what, reason });
    }
}

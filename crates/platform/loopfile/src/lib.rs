//! `loopwright.yaml`: what the data is, which pipeline builds the model, which gate it must pass, who approves,
//! how it rolls out, what is watched and when it is rebuilt.
//!
//! [`LoopFile::parse`] gives either a file whose every rule holds or errors that name line, key and rule.
//! The JSON Schema in `docs/reference/loopwright.schema.json` is generated from these types.

mod check;
mod duration;
mod locate;
mod model;
mod unreadable;

use platform_primitives::{ErrorKind, Fault};

pub use duration::Span;
pub use model::*;

/// One thing wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From 1; 0 when the place is unknown.
    pub line: u64,
    /// `rollout.canary.steps[1]`; empty for the whole file.
    pub key: String,
    pub rule: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.key.as_str()) {
            (0, "") => write!(f, "{}", self.rule),
            (line, "") => write!(f, "line {line}: {}", self.rule),
            (0, key) => write!(f, "{key}: {}", self.rule),
            (line, key) => write!(f, "line {line}: {key}: {}", self.rule),
        }
    }
}

/// All that is wrong with a file.
#[derive(Debug, Clone, thiserror::Error)]
#[error("loopwright.yaml is not valid:{}", problems.iter().map(|p| format!("\n  {p}")).collect::<String>())]
pub struct InvalidLoopFile {
    pub problems: Vec<Problem>,
}

impl Fault for InvalidLoopFile {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
    fn code(&self) -> &'static str {
        "loopfile/invalid"
    }
    fn hint(&self) -> Option<String> {
        Some("`loopwright schema` prints the JSON Schema of the file, for your editor".to_owned())
    }
}

impl LoopFile {
    pub fn parse(text: &str) -> Result<Self, InvalidLoopFile> {
        let file: LoopFile = serde_saphyr::from_str(text)
            .map_err(|error| InvalidLoopFile { problems: vec![unreadable::problem(text, &error)] })?;
        let broken = check::broken_rules(&file);
        if broken.is_empty() {
            return Ok(file);
        }
        let places = locate::Places::of(text);
        let problems =
            broken.into_iter().map(|(key, rule)| Problem { line: places.line_of(&key), key, rule }).collect();
        Err(InvalidLoopFile { problems })
    }

    /// The JSON Schema of the file, with a final newline.
    pub fn schema() -> String {
        let schema = schemars::schema_for!(LoopFile);
        let mut text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
        text.push('\n');
        text
    }
}

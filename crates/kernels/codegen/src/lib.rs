//! Source code that predicts what a model predicts, in seven languages, of nothing but their standard libraries.
//!
//! The trees become flat tables and one loop, whatever their number: no compiler has to read a function for each. Every value is written so
//! that it is read back to the bit, and sums go in the order and with the floats of the model's framework, so raw scores are the
//! model's bit for bit. Predictions that need no exponential are, too; where they do, it is the platform's (in Rust, where `core` has none, it is
//! generated), and they lie within 8 · 2⁻⁵² of the model's, within 4 · 2⁻²³ where it rounds them to 32 bits, and within 2⁻²² (not relative)
//! for an ONNX model's logistic. A SQL statement adds 64-bit floats only: its scores are the model's bit for bit where the model adds
//! 64-bit ones, and otherwise within (n + 3) · 2⁻²⁴ of the largest leaves of the n trees, without their signs and added up.
//!
//! Source: the arithmetic is `kernel-trees`', whose sources are named there; `exp` and `ln(1 + x)` of the Rust scorer are sums of the Taylor
//! series after a reduction by multiples of ln 2, written for this crate.
//!
//! ```
//! use kernel_codegen::{Provenance, Signature, Target, generate};
//! use kernel_trees::Ensemble;
//!
//! // A stump, in the format loopwright-trees: up to 4 visits 0.25, more 0.75.
//! let json = r#"{"format": "loopwright-trees", "version": 1, "source": "by hand", "features": 1, "feature_names": ["visits"],
//!     "classes": null, "input": "float32", "scores": 1, "base": [0.0], "divide_by": null, "link": "identity", "trees": [
//!     {"score": 0, "left": [1, -1, -1], "right": [2, -1, -1], "feature": [0, 0, 0], "threshold": [4.0, 0.0, 0.0],
//!     "missing_left": [true, false, false], "categories": null, "value": [0.25, 0.75], "cover": null}]}"#;
//! let (model, _) = Ensemble::from_bytes(json.as_bytes()).unwrap();
//! let provenance = Provenance { model: "Visits".to_owned(), ..Provenance::default() };
//! let files = generate(&model, &Signature::of(&model), &provenance, Target::C, &[]).unwrap();
//! assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["visits.h", "visits.c"]);
//! assert!(files[0].content.contains("double visits;"));
//! assert!(files[1].content.contains("0x1.8p-1"));
//! ```

mod error;
mod link;
mod names;
mod render;
mod signature;
mod sql;
mod tables;
mod text;

use kernel_trees::Ensemble;

pub use error::CodegenError;
pub use signature::{Input, Kind, Provenance, Signature, Vector};

/// Inputs that a scorer takes: a Java method that copies more would be longer than a class file allows.
pub const MOST_INPUTS: usize = 2_000;
/// Scores of a model.
pub const MOST_SCORES: usize = 1_000;
/// Splits, leaves, members of sets and terms of linear leaves, together.
pub const MOST_ENTRIES: usize = 4_000_000;
/// Rows of a test program.
pub const MOST_VECTORS: usize = 1_000;

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// C99, a source and a header; C++ takes the header.
    C,
    /// A module of edition 2021 that needs `core` only; Rust 1.81.
    Rust,
    /// A package in a file; Go 1.18.
    Go,
    /// A class; Java 17.
    Java,
    /// A module whose types can be taken away, so that Node 22.18 runs it as it is.
    TypeScript,
    /// A module; Python 3.8.
    Python,
    /// A SELECT. At most 100 scores, 800 trees each and 1,000,000 bytes.
    Sql(Dialect),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite 3.35 with its mathematical functions.
    Sqlite,
    /// PostgreSQL 12.
    Postgresql,
}

impl Target {
    pub fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Rust => "rust",
            Self::Go => "go",
            Self::Java => "java",
            Self::TypeScript => "typescript",
            Self::Python => "python",
            Self::Sql(_) => "sql",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// A name, without folders.
    pub path: String,
    pub content: String,
}

/// The scorer of a model, and, where there are vectors, a test program that compares it with them and fails with the row and the value.
///
/// Errors say what does not fit: names and numbers of the signature, a vector that the scorer would refuse, a size beyond the limits of
/// this crate. The same arguments give the same bytes. O(size of the model).
pub fn generate(
    model: &Ensemble,
    signature: &Signature,
    provenance: &Provenance,
    target: Target,
    vectors: &[Vector],
) -> Result<Vec<File>, CodegenError> {
    signature.check(model)?;
    signature::check_vectors(model, signature, vectors)?;
    let language = match target {
        Target::C => text::Language::C,
        Target::Rust => text::Language::Rust,
        Target::Go => text::Language::Go,
        Target::Java => text::Language::Java,
        Target::TypeScript => text::Language::TypeScript,
        Target::Python => text::Language::Python,
        Target::Sql(dialect) => return sql::files(model, signature, provenance, dialect, vectors),
    };
    render::files(model, signature, provenance, language, vectors)
}

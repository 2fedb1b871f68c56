//! `cargo xtask COMMAND`: what a contributor runs.

mod postgres;
mod suite;
mod tidy;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND\n\n  test     every test, installing what it needs\n  tidy     rules of the house\n  schema   write docs/reference/loopwright.schema.json anew";

fn main() -> ExitCode {
    let root = root();
    let command = std::env::args().nth(1).unwrap_or_default();
    let outcome = match command.as_str() {
        "test" => suite::run(&root),
        "tidy" => tidy::run(&root),
        "schema" => suite::write_schema(&root),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's folder.
fn root() -> PathBuf {
    // Cargo's word at run time: with a shared build folder this program may have been compiled in another clone.
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.parent().map_or(here.clone(), PathBuf::from)
}

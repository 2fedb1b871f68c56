//! `loopwright generate`: source code that predicts what a model file predicts, without a server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use group_explain::Table;
use group_serving::LoggedModel;
use kernel_codegen::{Input, Kind, MOST_VECTORS, Provenance, Signature, Target, Vector, generate};
use kernel_trees::{Ensemble, Format, Reading};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::cli::{CommandError, note};
use crate::files::{ModelFile, table};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    C,
    Rust,
    Go,
    Java,
    Typescript,
    Python,
    Sql,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    Sqlite,
    Postgresql,
}

#[derive(clap::Args, Clone)]
pub struct Options {
    /// A model file (LightGBM text, XGBoost JSON or UBJSON, CatBoost JSON or cbm, ONNX, .trees.json), or an MLflow model's folder
    model: PathBuf,
    /// The language
    #[arg(long, value_enum)]
    target: Language,
    /// The database of --target sql; without it sqlite
    #[arg(long, value_enum)]
    dialect: Option<Dialect>,
    /// The folder to write to; it is made when it is not there
    #[arg(long, short)]
    output: PathBuf,
    /// Rows, Parquet or CSV with a line of names: adds a test with the model's own answers of the first 1,000
    #[arg(long)]
    rows: Option<PathBuf>,
    /// What the model is called, and with it files and types; without it the file or folder
    #[arg(long)]
    name: Option<String>,
    /// The model's version, for the record
    #[arg(long)]
    version: Option<String>,
    /// The run that trained it, for the record; without it that of the MLflow folder
    #[arg(long)]
    run_id: Option<String>,
}

pub fn run(options: &Options) -> Result<ExitCode, CommandError> {
    let target = target(options.target, options.dialect)?;
    let file = ModelFile::read(&options.model)?;
    let rows = options.rows.as_deref().map(table).transpose()?;
    let logged = logged(&options.model, &file.ensemble)?;
    let signature = signature(&file, &logged, rows.as_ref(), options)?;
    let vectors = match &rows {
        Some(rows) => vectors(&file.ensemble, &signature, rows)?,
        None => Vec::new(),
    };
    if let Some(rows) = rows.filter(|rows| rows.count > vectors.len()) {
        note(&format!("the test has the first {} of {} rows", vectors.len(), rows.count));
    }
    let provenance = Provenance {
        model: options.name.clone().unwrap_or_else(|| name(&options.model)),
        version: options.version.clone().unwrap_or_default(),
        file_sha256: digest(&file.bytes),
        signature_hash: digest(signature.text().as_bytes()),
        run_id: options.run_id.clone().or(logged.run_id).unwrap_or_default(),
    };
    let files = generate(&file.ensemble, &signature, &provenance, target, &vectors)
        .map_err(|error| format!("no code for {}: {error}", file.path.display()))?;
    fs_err::create_dir_all(&options.output)?;
    for file in files {
        let path = options.output.join(&file.path);
        fs_err::write(&path, file.content)?;
        note(&format!("{} written", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn target(language: Language, dialect: Option<Dialect>) -> Result<Target, CommandError> {
    if dialect.is_some() && language != Language::Sql {
        return Err("--dialect is given, expected only with --target sql".into());
    }
    Ok(match language {
        Language::C => Target::C,
        Language::Rust => Target::Rust,
        Language::Go => Target::Go,
        Language::Java => Target::Java,
        Language::Typescript => Target::TypeScript,
        Language::Python => Target::Python,
        Language::Sql => Target::Sql(match dialect {
            Some(Dialect::Postgresql) => kernel_codegen::Dialect::Postgresql,
            Some(Dialect::Sqlite) | None => kernel_codegen::Dialect::Sqlite,
        }),
    })
}

/// What the folder's `MLmodel` says; nothing of a file.
fn logged(path: &Path, model: &Ensemble) -> Result<LoggedModel, CommandError> {
    let file = path.join("MLmodel");
    if !file.is_file() {
        return Ok(LoggedModel::default());
    }
    let text = fs_err::read_to_string(&file)?;
    LoggedModel::parse(&text, model.feature_names(), model.features(), model.outputs())
        .map_err(|rule| format!("{}: {rule}", file.display()).into())
}

/// The folder's signature, else the model's names, else those of the rows, else numbers.
fn signature(
    file: &ModelFile,
    logged: &LoggedModel,
    rows: Option<&Table>,
    options: &Options,
) -> Result<Signature, CommandError> {
    let model = &file.ensemble;
    let mut signature = Signature::of(model);
    // Both refuse what is infinite in their 32-bit rows; scikit-learn's histograms, which have others, do not.
    let is_finite = matches!(file.format, Format::XgBoost | Format::Trees)
        && model.arithmetic().reading == Reading::Single;
    let input = |name: &str, kind, is_required| Input { name: name.to_owned(), kind, is_required, is_finite };
    signature.inputs = match (&logged.signature, model.feature_names(), rows) {
        (Some(own), _, _) => own
            .inputs
            .iter()
            .map(|column| {
                let kind = if column.kind.is_whole() { Kind::Whole } else { Kind::Real };
                input(&column.name, kind, column.required)
            })
            .collect(),
        (None, None, Some(rows)) => {
            if rows.columns.len() != model.features() {
                let (found, expected) = (rows.columns.len(), model.features());
                let data = options.rows.as_deref().unwrap_or(Path::new("")).display();
                return Err(format!(
                    "{data} has {found} columns of numbers, and the model names none of its {expected} features"
                )
                .into());
            }
            rows.columns.iter().map(|(name, _)| input(name, Kind::Real, false)).collect()
        }
        _ => signature.inputs.iter().map(|own| input(&own.name, own.kind, own.is_required)).collect(),
    };
    signature.outputs.clone_from(&logged.outputs);
    signature.classes = classes(file);
    Ok(signature)
}

/// Labels that a `.trees.json` has; of other formats none are known.
fn classes(file: &ModelFile) -> Vec<String> {
    #[derive(Deserialize)]
    struct Labels {
        classes: Option<Vec<serde_json::Value>>,
    }
    if file.format != Format::Trees {
        return Vec::new();
    }
    let labels = serde_json::from_slice::<Labels>(&file.bytes).ok().and_then(|labels| labels.classes);
    let text = |label: serde_json::Value| match label {
        serde_json::Value::String(label) => label,
        other => other.to_string(),
    };
    labels.unwrap_or_default().into_iter().map(text).collect()
}

fn vectors(model: &Ensemble, signature: &Signature, rows: &Table) -> Result<Vec<Vector>, CommandError> {
    let names: Vec<String> = signature.inputs.iter().map(|input| input.name.clone()).collect();
    let rows = rows.rows(&names)?;
    let vector = |row: &[f64]| {
        let (mut scores, mut predictions) = (vec![0.0; model.scores()], vec![0.0; model.outputs()]);
        model.raw_scores(row, &mut scores);
        model.predict(row, &mut predictions);
        Vector { row: row.to_vec(), scores, predictions }
    };
    Ok(rows.chunks(names.len().max(1)).take(MOST_VECTORS).map(vector).collect())
}

/// A file's name without what its framework adds to it.
fn name(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.split('.').next().unwrap_or_default().to_owned()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

//! Models and rows in files, for the commands that need no server.

use std::path::{Path, PathBuf};

use group_explain::Table;
use kernel_trees::{Ensemble, Format};

use crate::cli::CommandError;

/// Files of a model folder, as MLflow's flavours and our converter write them.
const MODEL_FILES: [&str; 8] = [
    "model.lgb",
    "model.txt",
    "model.ubj",
    "model.xgb",
    "model.json",
    "model.cb",
    "model.cbm",
    "model.trees.json",
];

/// A model with the file that it was read from.
pub struct ModelFile {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    pub ensemble: Ensemble,
    pub format: Format,
}

impl ModelFile {
    /// A model file, or an MLflow model's folder.
    pub fn read(path: &Path) -> Result<Self, CommandError> {
        let path = model_file(path)?;
        let bytes = fs_err::read(&path)?;
        let (ensemble, format) = Ensemble::from_bytes(&bytes)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        Ok(Self { path, bytes, ensemble, format })
    }
}

fn model_file(path: &Path) -> Result<PathBuf, CommandError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let found = MODEL_FILES.into_iter().map(|name| path.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| {
        format!("{} holds no model file: expected one of {}", path.display(), MODEL_FILES.join(", ")).into()
    })
}

/// Rows: Parquet, or CSV with a line of names.
pub fn table(path: &Path) -> Result<Table, CommandError> {
    let table = Table::read(fs_err::read(path)?);
    table.map_err(|error| format!("{} cannot be read: {error}", path.display()).into())
}

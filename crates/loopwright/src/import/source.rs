//! What an MLflow tracking server holds, wherever it is read from. Pages follow each other by cursor; nothing is held but a page.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use group_experiments::{Experiment, LoggedModel, RunRecord};
use group_registry::{ForeignVersion, RegisteredModel};
use kernel_series::Point;

use super::rest::Rest;
use super::tables::Tables;
use crate::cli::CommandError;

/// Where the next page begins. Each kind of page knows its own.
pub enum Cursor {
    /// As the server gave it.
    Token(String),
    /// Behind this key.
    After(Vec<platform_db::Value>),
}

/// A page and, while there is more, where the next one begins.
pub type Page<T> = (Vec<T>, Option<Cursor>);

pub struct ForeignExperiment {
    /// The id as the server writes it; it need not be a number.
    pub id: String,
    /// With a negative id when that is no number.
    pub experiment: Experiment,
}

pub struct ForeignRun {
    /// Without metrics, and in the experiment that it has here.
    pub record: RunRecord,
    pub metric_keys: Vec<String>,
    pub artifact_uri: String,
}

pub struct ForeignModel {
    pub model: LoggedModel,
    pub artifact_uri: String,
}

/// Whose files they are.
#[derive(Debug, Clone)]
pub enum Owner {
    Run(String),
    LoggedModel(String),
}

/// A folder with the files of a run or a logged model.
#[derive(Debug, Clone)]
pub struct Root {
    pub owner: Owner,
    pub uri: String,
}

pub struct ForeignFile {
    /// Relative to the root.
    pub path: String,
    pub is_folder: bool,
    pub size_bytes: Option<u64>,
}

/// A page of a folder, and what in it cannot be read, with the reason.
#[derive(Default)]
pub struct Listing {
    pub files: Vec<ForeignFile>,
    pub refused: Vec<(String, String)>,
}

/// The bytes of a file, as they come.
pub type Download = BoxStream<'static, Result<Bytes, String>>;

pub enum Source {
    Rest(Rest),
    Tables(Tables),
}

impl Source {
    /// All experiments, deleted ones too, by id.
    pub async fn experiments(&self, cursor: Option<Cursor>) -> Result<Page<ForeignExperiment>, CommandError> {
        match self {
            Self::Rest(rest) => rest.experiments(cursor).await,
            Self::Tables(tables) => tables.experiments(cursor).await,
        }
    }

    /// Ids of all runs of an experiment, deleted ones too.
    pub async fn run_ids(
        &self,
        experiment: &str,
        cursor: Option<Cursor>,
    ) -> Result<Page<String>, CommandError> {
        match self {
            Self::Rest(rest) => rest.run_ids(experiment, cursor).await,
            Self::Tables(tables) => tables.run_ids(experiment, cursor).await,
        }
    }

    /// The run, to be in experiment `target`; `None` when it is gone meanwhile.
    pub async fn run(&self, id: &str, target: i64) -> Result<Option<ForeignRun>, CommandError> {
        match self {
            Self::Rest(rest) => rest.run(id, target).await,
            Self::Tables(tables) => tables.run(id, target).await,
        }
    }

    /// Points of a metric, in the order of time and step.
    pub async fn points(
        &self,
        run: &str,
        key: &str,
        cursor: Option<Cursor>,
    ) -> Result<Page<Point>, CommandError> {
        match self {
            Self::Rest(rest) => rest.points(run, key, cursor).await,
            Self::Tables(tables) => tables.points(run, key, cursor).await,
        }
    }

    /// Logged models of an experiment that are not deleted, to be in experiment `target`.
    pub async fn logged_models(
        &self,
        experiment: &str,
        target: i64,
        cursor: Option<Cursor>,
    ) -> Result<Page<ForeignModel>, CommandError> {
        match self {
            Self::Rest(rest) => rest.logged_models(experiment, target, cursor).await,
            Self::Tables(tables) => tables.logged_models(experiment, target, cursor).await,
        }
    }

    /// Registered models, prompts among them.
    pub async fn models(&self, cursor: Option<Cursor>) -> Result<Page<RegisteredModel>, CommandError> {
        match self {
            Self::Rest(rest) => rest.models(cursor).await,
            Self::Tables(tables) => tables.models(cursor).await,
        }
    }

    /// Versions, those of prompts among them, oldest first: a copy comes after its original.
    pub async fn versions(&self, cursor: Option<Cursor>) -> Result<Page<ForeignVersion>, CommandError> {
        match self {
            Self::Rest(rest) => rest.versions(cursor).await,
            Self::Tables(tables) => tables.versions(cursor).await,
        }
    }

    /// Where the owner's files are; `None` when there is no such owner.
    pub async fn root(&self, owner: &Owner) -> Result<Option<String>, CommandError> {
        match self {
            Self::Rest(rest) => rest.root(owner).await,
            Self::Tables(tables) => tables.root(owner).await,
        }
    }

    /// What is directly in a folder of a root.
    pub async fn list(&self, root: &Root, folder: &str) -> Result<Listing, CommandError> {
        match self {
            Self::Rest(rest) => rest.list(root, folder).await,
            Self::Tables(tables) => tables.files.list(root, folder).await,
        }
    }

    pub async fn open(&self, root: &Root, path: &str) -> Result<Download, CommandError> {
        match self {
            Self::Rest(rest) => rest.download(root, path).await,
            Self::Tables(tables) => tables.files.open(root, path).await,
        }
    }
}

/// The path inside the server's artifact store, for a root that its proxy serves.
pub fn proxied(uri: &str) -> Option<&str> {
    const PROXY: &str = "/mlflow-artifacts/artifacts/";
    if let Some(rest) = uri.strip_prefix("mlflow-artifacts:") {
        let path = match rest.strip_prefix("//") {
            // Three slashes are an empty host.
            Some(authority) => authority.split_once('/').map_or("", |(_, path)| path),
            None => rest,
        };
        return Some(path.trim_matches('/'));
    }
    let is_http = uri.starts_with("http://") || uri.starts_with("https://");
    uri.split_once(PROXY).filter(|_| is_http).map(|(_, path)| path.trim_matches('/'))
}

/// MLflow's tables hold no infinities: it keeps the largest number instead.
pub fn logged_value(value: f64) -> f64 {
    if value == f64::MAX {
        f64::INFINITY
    } else if value == f64::MIN {
        f64::NEG_INFINITY
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxied_roots_are_paths_of_the_store() {
        for (uri, path) in [
            ("mlflow-artifacts:/1/run/artifacts", Some("1/run/artifacts")),
            ("mlflow-artifacts:///1/run/artifacts", Some("1/run/artifacts")),
            ("mlflow-artifacts://host:5000/1/run/artifacts", Some("1/run/artifacts")),
            ("http://host/api/2.0/mlflow-artifacts/artifacts/1/run/artifacts", Some("1/run/artifacts")),
            ("s3://bucket/mlflow-artifacts/artifacts/x", None),
            ("file:///srv/mlruns/1/run/artifacts", None),
            ("./mlruns/1/run/artifacts", None),
        ] {
            assert_eq!(proxied(uri), path, "{uri}");
        }
    }

    #[test]
    fn the_largest_numbers_stand_for_infinities() {
        assert_eq!(logged_value(f64::MAX), f64::INFINITY);
        assert_eq!(logged_value(f64::MIN), f64::NEG_INFINITY);
        assert_eq!(logged_value(1.5), 1.5);
        assert!(logged_value(f64::NAN).is_nan());
    }
}

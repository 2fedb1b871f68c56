//! Files of a run and of the models it made: the tree, the preview, images and downloads.

use axum::body::Body;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::response::{IntoResponse, Response};
use http::header;
use platform_web::dialect::PageResult;
use serde::{Deserialize, Serialize};

use super::Pages;
use super::format::{query, size};
use super::preview::{self, Preview, TEXT_BYTES};
use crate::artifacts::ArtifactPath;
use crate::model::ArtifactEntry;
use crate::{ExperimentError, Experiments};

/// Entries shown of one folder.
const ENTRIES_SHOWN: usize = 500;

/// An image may hold nothing that runs, also when somebody opens it by itself.
const IMAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct FileAsk {
    path: String,
    /// A logged model, when the file is not the run's own.
    model: String,
}

#[derive(Serialize)]
pub(super) struct FilesView {
    /// The run's own files, and those of its models.
    roots: Vec<RootLine>,
    tree: Vec<TreeLine>,
    more: bool,
    file: Option<FileView>,
    /// Where the files are that are not on this server; empty when they are.
    elsewhere: String,
}

#[derive(Serialize)]
struct RootLine {
    label: String,
    href: String,
    current: bool,
}

#[derive(Serialize)]
struct TreeLine {
    depth: usize,
    name: String,
    href: String,
    folder: bool,
    open: bool,
    size: String,
}

#[derive(Serialize)]
struct FileView {
    path: String,
    size: String,
    download: String,
    image: String,
    preview: Preview,
    whole: bool,
    /// What a scan for pickles said; empty when there was none.
    verdict: String,
    tone: &'static str,
}

/// Where files lie: under the run, or under a model.
pub(super) async fn root(service: &Experiments, run: &str, model: &str) -> Result<String, ExperimentError> {
    match model {
        "" => service.get_run(run).await?.artifact_folder(),
        model => service.get_logged_model(model).await?.artifact_folder(),
    }
}

/// The tree down to `path`, and the file when `path` is one.
pub(super) async fn view(
    service: &Experiments,
    run: &str,
    models: &[(String, String)],
    (model, path): (&str, &str),
) -> Result<FilesView, ExperimentError> {
    let href = |model: &str, path: &str| {
        format!("/runs/{run}?{}", query(&[("tab", "artifacts"), ("model", model), ("path", path)]))
    };
    let mut roots = vec![RootLine { label: "Run".to_owned(), href: href("", ""), current: model.is_empty() }];
    roots.extend(models.iter().map(|(id, name)| RootLine {
        label: format!("Model {name}"),
        href: href(id, ""),
        current: id == model,
    }));
    let root = match root(service, run, model).await {
        Err(ExperimentError::FilesElsewhere { location }) => {
            return Ok(FilesView { roots, tree: Vec::new(), more: false, file: None, elsewhere: location });
        }
        found => found?,
    };
    let path = path.trim_matches('/');
    if !path.is_empty() {
        ArtifactPath::parse(path)?;
    }
    let mut folders = vec![String::new()];
    for (at, _) in path.match_indices('/') {
        folders.push(path[..at].to_owned());
    }
    let mut levels = Vec::new();
    for folder in &folders {
        levels.push((folder.clone(), entries(service, &root, folder).await?));
    }
    let of_path = levels.last().and_then(|(folder, entries)| {
        let name = path.strip_prefix(folder.as_str())?.trim_start_matches('/');
        entries.iter().find(|entry| entry.name == name).cloned()
    });
    if of_path.as_ref().is_some_and(|entry| entry.is_folder) {
        levels.push((path.to_owned(), entries(service, &root, path).await?));
    }
    let more = levels.iter().any(|(_, entries)| entries.len() > ENTRIES_SHOWN);
    let mut tree = Vec::new();
    grow(&levels, 0, path, &|path: &str| href(model, path), &mut tree);
    let file = match of_path.filter(|entry| !entry.is_folder) {
        Some(entry) => Some(file(service, run, (model, &root), path, &entry).await?),
        None if path.is_empty() || levels.len() > folders.len() => None,
        None => return Err(ExperimentError::ArtifactNotFound { path: path.to_owned() }),
    };
    Ok(FilesView { roots, tree, more, file, elsewhere: String::new() })
}

async fn entries(
    service: &Experiments,
    root: &str,
    folder: &str,
) -> Result<Vec<ArtifactEntry>, ExperimentError> {
    match folder {
        "" => service.list_artifacts(root).await,
        folder => service.list_artifacts(&format!("{root}/{folder}")).await,
    }
}

/// Lines of a folder, with those of the open folder below it in their place.
fn grow(
    levels: &[(String, Vec<ArtifactEntry>)],
    depth: usize,
    open: &str,
    href: &dyn Fn(&str) -> String,
    tree: &mut Vec<TreeLine>,
) {
    let Some((folder, entries)) = levels.get(depth) else { return };
    for entry in entries.iter().take(ENTRIES_SHOWN) {
        let path = if folder.is_empty() { entry.name.clone() } else { format!("{folder}/{}", entry.name) };
        let is_open = open == path || open.starts_with(&format!("{path}/"));
        tree.push(TreeLine {
            depth: depth.min(9),
            name: entry.name.clone(),
            href: href(&path),
            folder: entry.is_folder,
            open: is_open,
            size: entry.size_bytes.map(size).unwrap_or_default(),
        });
        if entry.is_folder && is_open {
            grow(levels, depth + 1, open, href, tree);
        }
    }
}

async fn file(
    service: &Experiments,
    run: &str,
    (model, root): (&str, &str),
    path: &str,
    entry: &ArtifactEntry,
) -> Result<FileView, ExperimentError> {
    let asked = query(&[("path", path), ("model", model)]);
    let (preview, whole) = match preview::image_type(path) {
        Some(_) => (Preview::Image, true),
        None => {
            let (_, stream) = service.get_artifact(&format!("{root}/{path}")).await?;
            let (bytes, whole) = preview::beginning(stream, TEXT_BYTES).await?;
            (preview::of_bytes(path, &bytes, whole), whole)
        }
    };
    let (verdict, is_clean) = service.verdict(&format!("{root}/{path}")).await?.unwrap_or_default();
    Ok(FileView {
        path: path.to_owned(),
        size: entry.size_bytes.map(size).unwrap_or_default(),
        download: format!("/runs/{run}/file?{asked}"),
        image: format!("/runs/{run}/image?{asked}"),
        preview,
        whole,
        verdict: verdict.replace('_', " "),
        tone: if is_clean { "good" } else { "bad" },
    })
}

/// An image as an image. Other files have no type here: they are downloaded.
pub(super) async fn image(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    UrlQuery(ask): UrlQuery<FileAsk>,
) -> PageResult<Response> {
    let kind = preview::image_type(&ask.path)
        .ok_or_else(|| ExperimentError::invalid("path", ask.path.clone(), "expected an image"))?;
    ArtifactPath::parse(&ask.path)?;
    let root = root(&pages.service, &id, &ask.model).await?;
    let (size, bytes) = pages.service.get_artifact(&format!("{root}/{}", ask.path)).await?;
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
        (header::CONTENT_SECURITY_POLICY, IMAGE_POLICY.to_owned()),
    ];
    Ok((headers, Body::from_stream(bytes)).into_response())
}

/// The bytes of a file, to be saved.
pub(super) async fn download(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    UrlQuery(ask): UrlQuery<FileAsk>,
) -> PageResult<Response> {
    ArtifactPath::parse(&ask.path)?;
    let root = root(&pages.service, &id, &ask.model).await?;
    let (size, bytes) = pages.service.get_artifact(&format!("{root}/{}", ask.path)).await?;
    let name = ask.path.rsplit('/').next().unwrap_or_default();
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{plain}\"")),
    ];
    Ok((headers, Body::from_stream(bytes)).into_response())
}

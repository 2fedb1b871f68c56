//! Files of a server that kept them on disk. Only what lies under the given root is read, however links point.

use std::path::{Path, PathBuf};

use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::io::AsyncReadExt;
use url::Url;

use super::source::{Download, ForeignFile, Listing, Root, proxied};
use crate::cli::CommandError;

/// Bytes read at a time.
const READ_BYTES: usize = 1024 * 1024;

pub struct LocalFiles {
    /// Without links in it; without a root no file is read.
    root: Option<PathBuf>,
}

impl LocalFiles {
    pub fn new(root: Option<PathBuf>) -> Result<Self, CommandError> {
        Ok(Self { root: root.map(fs_err::canonicalize).transpose()? })
    }

    pub async fn list(&self, root: &Root, folder: &str) -> Result<Listing, CommandError> {
        let (top, place) = match self.place(&root.uri) {
            Ok((top, place)) => (top.to_owned(), place),
            Err(reason) => {
                return Ok(Listing { files: Vec::new(), refused: vec![(root.uri.clone(), reason)] });
            }
        };
        let folder = folder.to_owned();
        tokio::task::spawn_blocking(move || list(&top, &place, &folder)).await?
    }

    pub async fn open(&self, root: &Root, path: &str) -> Result<Download, CommandError> {
        let (top, place) = self.place(&root.uri)?;
        let file = place.join(path);
        let real = fs_err::tokio::canonicalize(&file).await?;
        if !real.starts_with(top) {
            return Err(format!("{} leads out of the artifact root", file.display()).into());
        }
        let file = fs_err::tokio::File::open(real).await?;
        let chunks = stream::unfold(Some(file), |file| async move {
            let mut file = file?;
            let mut bytes = BytesMut::with_capacity(READ_BYTES);
            match file.read_buf(&mut bytes).await {
                Ok(0) => None,
                Ok(_) => Some((Ok(bytes.freeze()), Some(file))),
                Err(error) => Some((Err(error.to_string()), None)),
            }
        });
        Ok(chunks.boxed())
    }

    /// The root, and where under it the folder of this address is; or why it is not read.
    fn place(&self, uri: &str) -> Result<(&Path, PathBuf), String> {
        let Some(top) = self.root.as_deref() else {
            return Err("files are read only with --artifact-root".to_owned());
        };
        if let Some(path) = proxied(uri) {
            return Ok((top, top.join(path)));
        }
        if uri.starts_with("file:") {
            let path = Url::parse(uri).ok().and_then(|url| url.to_file_path().ok());
            return path.map(|path| (top, path)).ok_or_else(|| format!("{uri} is no path here"));
        }
        match uri.split_once("://") {
            Some((scheme, _)) => {
                Err(format!("files at {scheme}:// are read through the server: use its address"))
            }
            None => Ok((top, std::env::current_dir().unwrap_or_default().join(uri))),
        }
    }
}

/// What is in a folder that lies under `top`; a folder that is not there is empty.
fn list(top: &Path, place: &Path, folder: &str) -> Result<Listing, CommandError> {
    let mut listing = Listing::default();
    let here = if folder.is_empty() { place.to_owned() } else { place.join(folder) };
    let real = match fs_err::canonicalize(&here) {
        Ok(real) => real,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(listing),
        Err(error) => return Err(error.into()),
    };
    if !real.starts_with(top) {
        let reason = "it does not lie under the artifact root".to_owned();
        listing.refused.push((here.display().to_string(), reason));
        return Ok(listing);
    }
    for entry in fs_err::read_dir(&real)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            listing.refused.push((entry.path().display().to_string(), "its name is no text".to_owned()));
            continue;
        };
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let mut place = entry.path();
        if entry.file_type()?.is_symlink() {
            // A link to a folder could lead round in circles: only files are followed.
            match fs_err::canonicalize(&place) {
                Ok(target) if target.starts_with(top) && target.is_file() => place = target,
                _ => {
                    listing.refused.push((path, "a link to a folder or out of the artifact root".to_owned()));
                    continue;
                }
            }
        }
        let metadata = fs_err::metadata(&place)?;
        let is_folder = metadata.is_dir();
        let size_bytes = (!is_folder).then_some(metadata.len());
        listing.files.push(ForeignFile { path, is_folder, size_bytes });
    }
    Ok(listing)
}

//! Uploads in parts: nothing of a file is there until all of it is.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::Stream;
use hmac::{Hmac, KeyInit, Mac};
use platform_blobs::{BlobDigest, StagedPart};
use platform_primitives::{new_id, random_token};
use sha2::Sha256;

use super::{Experiments, Result};
use crate::ExperimentError;
use crate::artifacts::ArtifactPath;
use crate::aside::to_its_end;
use crate::model::Upload;
use crate::store;

/// What S3 takes, which the clients are made for.
const MAX_PARTS: i64 = 10_000;
const PART_BYTES: u64 = 5 << 30;
/// Uploads that are open at a time.
const MAX_OPEN_IN_WORKSPACE: i64 = 1_000;
const MAX_OPEN: i64 = 10_000;
/// What is older is dropped, and its addresses are of no use any more.
const LIFETIME_DAYS: i64 = 1;
const TEND_EVERY: Duration = Duration::from_secs(3_600);
/// Old uploads read at a time.
const PAGE: i64 = 100;

/// A part as the client names it at the end.
pub(crate) struct NamedPart {
    pub number: i64,
    pub etag: String,
}

impl NamedPart {
    fn digest(&self) -> &str {
        self.etag.trim_matches('"')
    }
}

/// The same for the same parts in the same order.
fn digest_of(named: &[NamedPart]) -> String {
    let lines: String = named.iter().map(|part| format!("{} {}\n", part.number, part.digest())).collect();
    BlobDigest::of(lines.as_bytes()).to_string()
}

impl Upload {
    /// The secret in the address of a part: clients send parts without their credentials.
    pub(crate) fn token(&self, number: i64) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(number).finalize().into_bytes())
    }

    /// In constant time.
    fn is_token(&self, number: i64, token: &str) -> bool {
        let token = URL_SAFE_NO_PAD.decode(token);
        token.is_ok_and(|token| self.mac(number).verify_slice(&token).is_ok())
    }

    fn mac(&self, number: i64) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(format!("{}/{number}", self.id).as_bytes());
        mac
    }

    /// The digests of all parts in their order, if they are named so and came as they are named.
    fn in_order(&self, named: &[NamedPart], came: &BTreeMap<i64, String>) -> Result<Vec<(i64, BlobDigest)>> {
        let count = i64::try_from(named.len()).unwrap_or(i64::MAX);
        if count != self.parts {
            let rule = format!("the upload has {} parts, and each is named once", self.parts);
            return Err(ExperimentError::invalid_number("parts", count, rule));
        }
        let mut parts = Vec::with_capacity(named.len());
        for (expected, part) in (1..).zip(named) {
            if part.number != expected {
                let rule = format!("expected {expected}: parts are named in their order, each once");
                return Err(ExperimentError::invalid_number("part_number", part.number, rule));
            }
            let missing =
                || ExperimentError::invalid_number("part_number", expected, "this part did not come");
            let digest = came.get(&expected).ok_or_else(missing)?;
            if part.digest() != digest {
                let rule = format!("part {expected} came with another one");
                return Err(ExperimentError::invalid("etag", part.etag.clone(), rule));
            }
            parts.push((expected, BlobDigest::parse(digest)?));
        }
        Ok(parts)
    }
}

impl Experiments {
    pub(crate) async fn begin_upload(&self, path: &str, parts: i64) -> Result<Upload> {
        let path = self.writable(path).await?;
        if !(1..=MAX_PARTS).contains(&parts) {
            let rule = format!("expected 1 to {MAX_PARTS}");
            return Err(ExperimentError::invalid_number("num_parts", parts, rule));
        }
        let upload = Upload {
            id: new_id(),
            path: path.as_str().to_owned(),
            parts,
            secret: random_token(),
            created: self.now(),
            workspace: self.home().to_owned(),
            joined: None,
        };
        let (row, since) = (upload.clone(), upload.created.plus_days(-LIFETIME_DAYS));
        // One after the other, so that two of them do not pass a bound side by side.
        let _turn = self.turns.take("").await;
        self.db
            .write(move |tx| {
                let (own, all) = store::count_open_uploads(tx, &row.workspace, since)?;
                for (open, most, place) in
                    [(own, MAX_OPEN_IN_WORKSPACE, "in a workspace"), (all, MAX_OPEN, "in all workspaces")]
                {
                    if open >= most {
                        return Err(ExperimentError::TooManyUploads { most, place });
                    }
                }
                store::insert_upload(tx, &row)
            })
            .await?;
        Ok(upload)
    }

    /// The part's digest. Whoever has the address may send it.
    pub(crate) async fn put_upload_part<S, E>(
        &self,
        id: &str,
        number: i64,
        token: &str,
        bytes: S,
    ) -> Result<String>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        let upload = self.open_upload(id).await?;
        if !upload.is_token(number, token) {
            return Err(ExperimentError::PartDenied { number });
        }
        let staged = self.blobs.stage_part(bytes, PART_BYTES).await?;
        let service = self.clone();
        to_its_end(async move { service.keep_part(&upload.id, number, staged).await }).await
    }

    async fn keep_part(&self, id: &str, number: i64, staged: StagedPart) -> Result<String> {
        let _turn = self.turns.take(id).await;
        let part = self.blobs.keep_part(id, number, staged).await?;
        let digest = part.digest.to_string();
        let size = i64::try_from(part.size_bytes).unwrap_or(i64::MAX);
        let (owned, row) = (id.to_owned(), digest.clone());
        let kept = self
            .db
            .write(move |tx| {
                if !store::lock_upload(tx, &owned)? {
                    return Err(ExperimentError::UploadNotFound { id: owned });
                }
                store::put_upload_part(tx, &owned, number, &row, size)
            })
            .await;
        if matches!(kept, Err(ExperimentError::UploadNotFound { .. })) {
            // It ended while the part came.
            self.forget_parts(id).await;
        }
        if let Some(before) = kept?.filter(|before| *before != digest)
            && let Err(error) = self.blobs.drop_part(id, number, &BlobDigest::parse(&before)?).await
        {
            tracing::warn!(%error, upload = id, number, "a part that was replaced stays");
        }
        Ok(digest)
    }

    /// The file is there when this returns. What was begun is done to its end, even if the caller goes: asking again waits
    /// for it, or finds it done.
    pub(crate) async fn complete_upload(&self, path: &str, id: &str, named: Vec<NamedPart>) -> Result<()> {
        let path = self.writable(path).await?;
        let upload = self.upload_of(id, &path).await?;
        let (service, turn) = (self.clone(), self.turns.take(id).await);
        let work = async move {
            let _turn = turn;
            service.join_upload(&path, &upload.id, &named).await
        };
        to_its_end(work).await
    }

    /// The caller has the upload's turn.
    async fn join_upload(&self, path: &ArtifactPath, id: &str, named: &[NamedPart]) -> Result<()> {
        let (upload, joined) = (self.upload_of(id, path).await?, digest_of(named));
        match &upload.joined {
            None => {}
            Some(known) if *known == joined => return Ok(()),
            Some(_) => {
                let rule = "the upload was completed with other parts, and is not open any more";
                return Err(ExperimentError::invalid("upload_id", id, rule));
            }
        }
        let came = store::upload_parts(&self.db, id).await?;
        let parts = upload.in_order(named, &came)?;
        let blob = match self.blobs.join_parts(id, parts).await {
            Ok(blob) => blob,
            Err(error) => {
                // Its parts go when it does: then that is what is said.
                self.upload_of(id, path).await?;
                return Err(error.into());
            }
        };
        let size = i64::try_from(blob.size_bytes).unwrap_or(i64::MAX);
        let (owned, digest, place) = (id.to_owned(), blob.digest.to_string(), path.clone());
        self.db
            .write(move |tx| {
                // Its run was purged meanwhile, or it became too old.
                if !store::end_upload(tx, &owned, &joined)? {
                    return Err(ExperimentError::UploadNotFound { id: owned });
                }
                store::put_artifact(tx, &place, &digest, size)
            })
            .await?;
        self.forget_parts(id).await;
        self.tell_saved(path, &blob);
        Ok(())
    }

    pub(crate) async fn abort_upload(&self, path: &str, id: &str) -> Result<()> {
        let path = self.writable(path).await?;
        self.upload_of(id, &path).await?;
        let _turn = self.turns.take(id).await;
        self.open_upload(id).await?;
        let owned = id.to_owned();
        self.db.write(move |tx| store::delete_upload(tx, &owned)).await?;
        self.forget_parts(id).await;
        Ok(())
    }

    /// Drops old uploads at once and then every hour; runs until the process ends.
    pub async fn tend_uploads(self) {
        loop {
            if let Err(error) = self.drop_old_uploads().await {
                tracing::error!(%error, "old uploads");
            }
            tokio::time::sleep(TEND_EVERY).await;
        }
    }

    /// Uploads older than a day, and parts that a death of the process left without an open upload.
    pub async fn drop_old_uploads(&self) -> Result<()> {
        let before = self.now().plus_days(-LIFETIME_DAYS);
        loop {
            let old = store::uploads_before(&self.db, before, PAGE).await?;
            if old.is_empty() {
                break;
            }
            for id in old {
                self.db.write(move |tx| store::delete_upload(tx, &id)).await?;
            }
        }
        for id in self.blobs.uploads().await? {
            if store::upload(&self.db, &id).await?.is_none_or(|upload| upload.joined.is_some()) {
                self.blobs.drop_upload(&id).await?;
            }
        }
        Ok(())
    }

    /// One of the last day, open or completed.
    async fn known_upload(&self, id: &str) -> Result<Upload> {
        let now = self.now();
        let found = store::upload(&self.db, id).await?;
        let known = found.filter(|upload| upload.created.plus_days(LIFETIME_DAYS) > now);
        known.ok_or_else(|| ExperimentError::UploadNotFound { id: id.to_owned() })
    }

    async fn open_upload(&self, id: &str) -> Result<Upload> {
        let upload = self.known_upload(id).await?;
        match upload.joined {
            None => Ok(upload),
            Some(_) => Err(ExperimentError::UploadNotFound { id: id.to_owned() }),
        }
    }

    async fn upload_of(&self, id: &str, path: &ArtifactPath) -> Result<Upload> {
        let upload = self.known_upload(id).await?;
        match upload.path == path.as_str() {
            true => Ok(upload),
            false => Err(ExperimentError::UploadNotFound { id: id.to_owned() }),
        }
    }

    /// What stays behind is dropped within the hour.
    async fn forget_parts(&self, id: &str) {
        if let Err(error) = self.blobs.drop_upload(id).await {
            tracing::warn!(%error, upload = id, "the parts of an upload stay");
        }
    }
}

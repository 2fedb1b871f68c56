//! The files of a version: their manifest, what they would import, their signature.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use kernel_pickle::{Kind, Limits, Verdict, file_name};
use platform_db::Db;
use platform_primitives::{ErrorKind, Failure, Fault as _};
use platform_signing::{SignedFile, SigningError, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::{Registry, Result};
use crate::model::{FileScan, ModelVersion, StoredSignature};
use crate::ports::{RunFact, RunFacts, SOURCE_ELSEWHERE, VersionFile, VersionFiles};
use crate::{RegistryError, store};

/// Versions that wait for their scan after they were registered; further ones are scanned when somebody asks.
const WAITING: usize = 256;
const SCANNER: i64 = kernel_pickle::VERSION as i64;
/// Larger files are not scanned at their upload but when they are registered or gated: a scan holds all of the file.
const MAX_UPLOAD_BYTES: u64 = 64 << 20;

/// Whether a file is scanned as soon as it is uploaded.
pub fn is_scanned_at_upload(path: &str, size_bytes: u64) -> bool {
    size_bytes < MAX_UPLOAD_BYTES && kernel_pickle::may_hold_pickle(path)
}

/// What gates, signatures and cards stand on.
#[derive(Clone)]
pub struct Governance {
    pub files: Arc<dyn VersionFiles>,
    pub runs: Arc<dyn RunFacts>,
    pub key: SigningKey,
}

pub(crate) struct Governing {
    pub(super) parts: Governance,
    waiting: Arc<Semaphore>,
    turn: Semaphore,
}

/// Verdicts that are kept, for whoever only reads them.
#[derive(Clone)]
pub struct FileScans(Db);

impl FileScans {
    pub fn new(db: Db) -> Self {
        Self(db)
    }

    /// The verdict of this scanner on a file of that name with these bytes, and whether it passes; none when it made none.
    pub async fn verdict(&self, path: &str, digest: &str) -> Result<Option<(String, bool)>> {
        let key = (digest.to_owned(), file_name(path));
        let found = store::file_scans(&self.0, std::slice::from_ref(&key.0), SCANNER).await?.remove(&key);
        Ok(found.map(|(verdict, _)| {
            let passes = Kind::parse(&verdict).is_some_and(Kind::is_clean);
            (verdict, passes)
        }))
    }
}

impl Registry {
    /// With gates, scans, signatures, evaluations and cards.
    pub fn with_governance(self, parts: Governance) -> Self {
        let governing =
            Governing { parts, waiting: Arc::new(Semaphore::new(WAITING)), turn: Semaphore::new(1) };
        Self { governing: Some(Arc::new(governing)), ..self }
    }

    pub(super) fn governed(&self, what: &'static str) -> Result<&Governance> {
        self.governing.as_ref().map(|governing| &governing.parts).ok_or(RegistryError::NotKept(what))
    }

    /// Every file of the version, by path.
    pub(crate) async fn files(&self, version: &ModelVersion) -> Result<Vec<VersionFile>> {
        let mut files = self.governed("files")?.files.files(version).await?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// One file of the version: its size and its bytes.
    pub(crate) async fn open_file(
        &self,
        model: &str,
        version: i64,
        path: &str,
    ) -> Result<(u64, BoxStream<'static, std::result::Result<Bytes, Failure>>)> {
        let row = self.get_version(model, version).await?;
        let file = self.files(&row).await?.into_iter().find(|file| file.path == path);
        let file =
            file.ok_or_else(|| RegistryError::NoFile { subject: row.subject(), path: path.to_owned() })?;
        let bytes = self.governed("files")?.files.stream(&file.digest).await?;
        Ok((file.size_bytes, bytes))
    }

    /// The files, or none when they are not on this server.
    pub(super) async fn files_here(&self, version: &ModelVersion) -> Result<Vec<VersionFile>> {
        match self.files(version).await {
            Ok(files) => Ok(files),
            Err(RegistryError::NotKept(_)) => Ok(Vec::new()),
            Err(RegistryError::Port(error)) if is_elsewhere(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn run_fact(&self, version: &ModelVersion) -> Result<Option<RunFact>> {
        match &self.governing {
            Some(governing) if !version.run_id.is_empty() => {
                Ok(governing.parts.runs.run(&version.model, &version.run_id).await?)
            }
            _ => Ok(None),
        }
    }

    /// Scans the version's files soon, if there is room in the queue.
    pub(super) fn scan_later(&self, version: &ModelVersion) {
        let Some(governing) = self.governing.clone() else { return };
        let subject = version.subject();
        let Ok(place) = Arc::clone(&governing.waiting).try_acquire_owned() else {
            tracing::warn!(%subject, "the queue of scans is full; its gate will scan it");
            return;
        };
        let (registry, version) = (self.clone(), version.clone());
        tokio::spawn(async move {
            let _place = place;
            match registry.scan_version(&version).await {
                // A source that is elsewhere has no files here.
                Err(RegistryError::Port(error)) if is_elsewhere(&error) => {}
                Err(error) => tracing::warn!(%error, %subject, "the files were not scanned"),
                Ok(_) => {}
            }
        });
    }

    /// What each file would import if somebody unpickled it. Kept by digest; scanned where no verdict of this scanner is kept.
    pub async fn scan_version(&self, version: &ModelVersion) -> Result<Vec<FileScan>> {
        let files = self.files(version).await?;
        self.scan_files(files).await
    }

    /// Scans a file that was uploaded just now, whatever it becomes: a gate that asks later finds the verdict.
    pub async fn scan_upload(&self, file: VersionFile) -> Result<FileScan> {
        // Its name counts, and not where it lies: that is another place in a version.
        let file = VersionFile { path: file_name(&file.path), ..file };
        let (verdict, findings) = self.scan_once(&file).await?;
        Ok(scan_line(file, verdict, findings))
    }

    pub(crate) async fn scan_files(&self, files: Vec<VersionFile>) -> Result<Vec<FileScan>> {
        let digests: Vec<String> = files.iter().map(|file| file.digest.clone()).collect();
        let mut kept = store::file_scans(&self.db, &digests, SCANNER).await?;
        let mut scans = Vec::new();
        for file in files {
            // The name of a file is part of what readers make of it.
            let key = (file.digest.clone(), file_name(&file.path));
            let (verdict, findings) = match kept.get(&key) {
                Some(found) => found.clone(),
                None => {
                    let found = self.scan_once(&file).await?;
                    kept.insert(key, found.clone());
                    found
                }
            };
            scans.push(scan_line(file, verdict, findings));
        }
        Ok(scans)
    }

    /// One scan at a time in the whole server, because each holds all of its file; in a task that its caller's patience does not
    /// end.
    async fn scan_once(&self, file: &VersionFile) -> Result<(String, Value)> {
        let (registry, file) = (self.clone(), file.clone());
        let task = tokio::spawn(async move {
            let _turn = match &registry.governing {
                Some(governing) => governing.turn.acquire().await.ok(),
                None => None,
            };
            let key = (file.digest.clone(), file_name(&file.path));
            let digests = std::slice::from_ref(&file.digest);
            let kept = store::file_scans(&registry.db, digests, SCANNER).await?.remove(&key);
            match kept {
                Some(found) => Ok(found),
                None => registry.scan_file(&file, key.1).await,
            }
        });
        task.await.map_err(|error| {
            RegistryError::Port(Failure::new(ErrorKind::Internal, "registry/scan", error.to_string()))
        })?
    }

    /// `name`: under which the verdict is kept; the scanner sees no other.
    async fn scan_file(&self, file: &VersionFile, name: String) -> Result<(String, Value)> {
        let limits = Limits::default();
        let verdict = if file.size_bytes > limits.file_bytes as u64 {
            kernel_pickle::too_large(file.size_bytes)
        } else {
            let bytes = self.governed("scans")?.files.read(&file.digest).await?;
            let called = name.clone();
            let scanned =
                tokio::task::spawn_blocking(move || kernel_pickle::scan(&bytes, &called, &limits)).await;
            scanned.map_err(|error| {
                let message = format!("the scan of {} did not end: {error}", file.path);
                RegistryError::Port(Failure::new(ErrorKind::Internal, "registry/scan", message))
            })?
        };
        let (kind, findings) = (verdict.kind.name().to_owned(), findings(&verdict));
        let scan = scan_line(file.clone(), kind.clone(), findings.clone());
        let now = self.events.now();
        self.db.write(move |tx| store::put_file_scan(tx, &scan, &name, SCANNER, now)).await?;
        Ok((kind, findings))
    }

    /// The server's public key as PEM.
    pub async fn public_key(&self) -> Result<String> {
        Ok(self.governed("signatures")?.key.public_pem().await?)
    }

    /// `model.sig` of an approved version.
    pub async fn signature(&self, model: &str, version: i64) -> Result<StoredSignature> {
        self.get_version(model, version).await?;
        let missing = || RegistryError::NotSigned { model: model.to_owned(), version };
        store::signature(&self.db, model, version).await?.ok_or_else(missing)
    }

    /// A signature over the files as they are now; none when none of them is on this server.
    pub(super) async fn sign(&self, version: &ModelVersion) -> Result<Option<StoredSignature>> {
        let Some(governing) = &self.governing else { return Ok(None) };
        let files = self.files_here(version).await?;
        if files.is_empty() {
            return Ok(None);
        }
        let key = &governing.parts.key;
        let name = format!("{}/{}", version.model, version.version);
        Ok(Some(StoredSignature {
            manifest: manifest(&files),
            key_fingerprint: key.fingerprint().await?,
            bundle: key.sign_model(&name, &signed_files(&files)).await?,
            files,
        }))
    }

    /// That the signature is this server's own, and over the files that it is kept with.
    async fn verify_signature(&self, model: &str, version: i64, signature: &StoredSignature) -> Result<()> {
        let invalid =
            |reason: String| RegistryError::SignatureInvalid { model: model.to_owned(), version, reason };
        if manifest(&signature.files) != signature.manifest {
            return Err(invalid("the manifest kept with it is not that of its files".to_owned()));
        }
        let key = &self.governed("signatures")?.key;
        key.verify_model(&signature.bundle, &signed_files(&signature.files)).await.map_err(
            |error| match error {
                SigningError::Bundle { .. } | SigningError::Digest { .. } => invalid(error.to_string()),
                other => other.into(),
            },
        )
    }

    /// Verifies the signature, then reads every byte again and compares with what was signed.
    pub async fn verify_files(&self, model: &str, version: i64) -> Result<()> {
        let signature = self.signature(model, version).await?;
        self.verify_signature(model, version, &signature).await?;
        let row = self.get_version(model, version).await?;
        let changed =
            |difference: String| RegistryError::FilesChanged { model: model.to_owned(), version, difference };
        let now = by_path(&self.files(&row).await?);
        let signed = by_path(&signature.files);
        if let Some(path) = now.keys().find(|path| !signed.contains_key(*path)) {
            return Err(changed(format!("{path} was added")));
        }
        let port = &self.governed("signatures")?.files;
        for (path, digest) in &signed {
            match now.get(path) {
                None => return Err(changed(format!("{path} was removed"))),
                Some(found) if found != digest => return Err(changed(format!("{path} was changed"))),
                Some(_) => {}
            }
            if port.rehash(digest).await? != *digest {
                return Err(changed(format!("the bytes of {path} were changed")));
            }
        }
        Ok(())
    }

    /// An approval that is over lets nothing on its way.
    pub fn check_current(&self, version: &ModelVersion) -> Result<()> {
        version.check_approval(self.events.now())
    }

    /// What was signed is deployed only as it was signed; what never was is judged by others.
    pub async fn check_signed(&self, model: &str, version: i64) -> Result<()> {
        match self.verify_files(model, version).await {
            Err(RegistryError::NotSigned { .. }) => {
                let row = self.get_version(model, version).await?;
                // An approval of files that lie here signs them: their manifest says that it was so.
                match row.state.approval() == Some("approved") && row.manifest.is_some() {
                    true => Err(RegistryError::SignatureInvalid {
                        model: model.to_owned(),
                        version,
                        reason: "it was made at the approval and is gone".to_owned(),
                    }),
                    false => Ok(()),
                }
            }
            outcome => outcome,
        }
    }
}

fn signed_files(files: &[VersionFile]) -> Vec<SignedFile> {
    files.iter().map(|file| SignedFile { path: file.path.clone(), digest: file.digest.clone() }).collect()
}

/// The source points to where this server keeps nothing, or the logged model is gone.
fn is_elsewhere(error: &Failure) -> bool {
    error.code() == SOURCE_ELSEWHERE
}

fn by_path(files: &[VersionFile]) -> BTreeMap<String, String> {
    files.iter().map(|file| (file.path.clone(), file.digest.clone())).collect()
}

fn scan_line(file: VersionFile, verdict: String, findings: Value) -> FileScan {
    let is_clean = Kind::parse(&verdict).is_some_and(Kind::is_clean);
    FileScan {
        path: file.path,
        digest: file.digest,
        size_bytes: file.size_bytes,
        verdict,
        is_clean,
        findings,
    }
}

fn findings(verdict: &Verdict) -> Value {
    // A text column holds no NUL.
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    let globals: Vec<Value> = verdict
        .globals
        .iter()
        .map(|global| json!({"module": clean(&global.module), "name": clean(&global.name), "known": global.known}))
        .collect();
    let reasons: Vec<String> = verdict.reasons.iter().map(|reason| clean(reason)).collect();
    json!({"globals": globals, "reasons": reasons, "pickles": verdict.pickles})
}

/// SHA-256 over `digest  path` of each file and a line feed, sorted by path.
pub(crate) fn manifest(files: &[VersionFile]) -> String {
    let mut hasher = Sha256::new();
    for (path, digest) in by_path(files) {
        hasher.update(format!("{digest}  {path}\n"));
    }
    hex(&hasher.finalize())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use platform_blobs::{BlobDigest, BlobError, Blobs};

#[tokio::test]
async fn a_stream_is_stored_under_its_hash_once() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::local(directory.path()).unwrap();
    let parts =
        || stream::iter(vec![Ok::<_, String>(Bytes::from_static(b"ab")), Ok(Bytes::from_static(b"c"))]);
    let first = blobs.put_stream(parts()).await.unwrap();
    let again = blobs.put_bytes(Bytes::from_static(b"abc")).await.unwrap();
    assert_eq!(first.digest, again.digest);
    assert_eq!(
        first.digest.as_str(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "FIPS 180-2, appendix B.1"
    );
    let (size, chunks) = blobs.get_stream(&first.digest).await.unwrap();
    let bytes: Vec<Bytes> = chunks.try_collect().await.unwrap();
    assert_eq!((size, bytes.concat()), (3, b"abc".to_vec()));
}

#[tokio::test]
async fn a_cut_off_upload_leaves_no_blob() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::local(directory.path()).unwrap();
    let parts = stream::iter(vec![Ok(Bytes::from_static(b"abc")), Err("peer went away")]).boxed();
    let error = blobs.put_stream(parts).await.unwrap_err();
    assert!(matches!(error, BlobError::Upload { .. }), "{error}");
    let absent = blobs.get_bytes(&BlobDigest::of(b"abc")).await.unwrap_err();
    assert!(matches!(absent, BlobError::NotFound { .. }), "{absent}");
}

#[tokio::test]
async fn parts_are_joined_in_their_order_and_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::local(directory.path()).unwrap();
    let upload = "0".repeat(32);
    let part = |text: &'static str| stream::iter(vec![Ok::<_, String>(Bytes::from_static(text.as_bytes()))]);
    let mut parts = Vec::new();
    for (number, text) in [(2, "c"), (1, "ab"), (3, "")] {
        let staged = blobs.stage_part(part(text), 2).await.unwrap();
        let kept = blobs.keep_part(&upload, number, staged).await.unwrap();
        assert_eq!(kept.digest, BlobDigest::of(text.as_bytes()));
        parts.push((number, kept.digest));
    }
    let large = blobs.stage_part(part("abc"), 2).await.unwrap_err();
    assert!(matches!(large, BlobError::TooLarge { most: 2 }), "{large}");
    for hostile in ["..", "../../etc", "", "ABC"] {
        let staged = blobs.stage_part(part("x"), 2).await.unwrap();
        let refused = blobs.keep_part(hostile, 1, staged).await.unwrap_err();
        assert!(matches!(refused, BlobError::InvalidUpload { .. }), "{refused}");
        blobs.drop_upload(hostile).await.unwrap_err();
    }
    let blobs = Blobs::local(directory.path()).unwrap();
    blobs.discard_unfinished().unwrap();
    assert_eq!(blobs.uploads().await.unwrap(), [upload.as_str()]);
    parts.sort_by_key(|(number, _)| *number);
    let again = blobs.keep_part(&upload, 1, blobs.stage_part(part("x"), 2).await.unwrap()).await.unwrap();
    for _ in 0..2 {
        blobs.drop_part(&upload, 1, &again.digest).await.unwrap();
    }
    let whole = blobs.join_parts(&upload, parts.clone()).await.unwrap();
    assert_eq!((whole.digest.clone(), whole.size_bytes), (BlobDigest::of(b"abc"), 3));
    assert_eq!(blobs.get_bytes(&whole.digest).await.unwrap().as_ref(), b"abc");
    // Parts are no blobs.
    blobs.get_bytes(&BlobDigest::of(b"ab")).await.unwrap_err();
    blobs.drop_upload(&upload).await.unwrap();
    blobs.drop_upload(&upload).await.unwrap();
    assert!(blobs.uploads().await.unwrap().is_empty());
    let gone = blobs.join_parts(&upload, parts).await.unwrap_err();
    assert!(matches!(gone, BlobError::Upload { .. }), "{gone}");
}

#[test]
fn a_digest_is_never_a_path() {
    for text in ["../../etc/passwd", "", "ABC", &"g".repeat(64)] {
        assert!(BlobDigest::parse(text).is_err(), "{text}");
    }
}

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

#[test]
fn a_digest_is_never_a_path() {
    for text in ["../../etc/passwd", "", "ABC", &"g".repeat(64)] {
        assert!(BlobDigest::parse(text).is_err(), "{text}");
    }
}

//! Compressed requests, as tritonclient sends them: gzip, and deflate in zlib's wrapping.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

use crate::ServingError;

/// The body as it was before compression; more than `most` bytes are refused, so that a small body cannot fill the
/// memory.
pub(super) fn plain<'b>(
    headers: &HeaderMap,
    body: &'b [u8],
    most: usize,
) -> Result<Cow<'b, [u8]>, ServingError> {
    let encoding =
        headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("identity");
    match encoding {
        "identity" => Ok(Cow::Borrowed(body)),
        "gzip" => read(GzDecoder::new(body), encoding, most).map(Cow::Owned),
        "deflate" => read(ZlibDecoder::new(body), encoding, most).map(Cow::Owned),
        other => {
            let rule = format!("content encoding {other:?} is not supported; send gzip, deflate or none");
            Err(ServingError::request(rule))
        }
    }
}

fn read(decoder: impl Read, encoding: &str, most: usize) -> Result<Vec<u8>, ServingError> {
    let mut plain = Vec::new();
    let bound = most as u64 + 1;
    decoder
        .take(bound)
        .read_to_end(&mut plain)
        .map_err(|error| ServingError::request(format!("the body is not {encoding}: {error}")))?;
    if plain.len() > most {
        return Err(ServingError::request(format!(
            "the body is larger than {most} bytes when it is unpacked"
        )));
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn headers(encoding: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_ENCODING, encoding.parse().unwrap())])
    }

    #[test]
    fn compressed_bodies_are_read_and_bombs_are_not() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&[b'x'; 5_000]).unwrap();
        let gzip = gzip.finish().unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(b"plain").unwrap();
        let zlib = zlib.finish().unwrap();
        assert_eq!(plain(&headers("gzip"), &gzip, 5_000).unwrap().len(), 5_000);
        assert_eq!(&*plain(&headers("deflate"), &zlib, 100).unwrap(), b"plain");
        assert_eq!(&*plain(&HeaderMap::new(), b"as it is", 100).unwrap(), b"as it is");
        let bomb = plain(&headers("gzip"), &gzip, 4_999).unwrap_err().to_string();
        assert!(bomb.contains("larger than 4999 bytes"), "{bomb}");
        assert!(plain(&headers("gzip"), b"no gzip", 100).is_err());
        assert!(plain(&headers("br"), b"", 100).unwrap_err().to_string().contains("\"br\""));
    }
}

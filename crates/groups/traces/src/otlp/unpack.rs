//! Compressed requests: gzip, and deflate with zlib's wrapping or bare.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use http::StatusCode;

use super::Refused;

/// The body as it was before compression; more than `most` bytes are refused, so that a small body cannot fill the
/// memory.
pub(super) fn plain<'b>(encoding: &str, body: &'b [u8], most: usize) -> Result<Cow<'b, [u8]>, Refused> {
    let read = match encoding {
        "" | "identity" => return Ok(Cow::Borrowed(body)),
        "gzip" => bounded(GzDecoder::new(body), most),
        "deflate" => {
            bounded(ZlibDecoder::new(body), most).or_else(|_| bounded(DeflateDecoder::new(body), most))
        }
        other => return Err(Refused::unreadable(format!("Unsupported Content-Encoding: {other}"))),
    };
    let bytes = read.map_err(|_| Refused::unreadable(format!("Failed to decompress {encoding} payload")))?;
    if bytes.len() > most {
        let detail = format!("the body is larger than {most} bytes when it is unpacked");
        return Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    Ok(Cow::Owned(bytes))
}

/// One byte more than `most` tells that there is more.
fn bounded(decoder: impl Read, most: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    decoder.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    #[test]
    fn every_packing_says_the_same() {
        let body = b"spans ".repeat(100);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&body).unwrap();
        zlib.write_all(&body).unwrap();
        bare.write_all(&body).unwrap();
        let packed = [
            ("gzip", gzip.finish().unwrap()),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", bare.finish().unwrap()),
        ];
        for (encoding, bytes) in &packed {
            assert_eq!(&*plain(encoding, bytes, 600).ok().unwrap(), body.as_slice(), "{encoding}");
            let refused = plain(encoding, bytes, 599).err().unwrap();
            assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE, "{encoding}");
        }
        assert!(plain("br", &body, 600).is_err());
        assert!(plain("gzip", &body, 600).is_err());
    }
}

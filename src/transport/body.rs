//! Bodies of answers: bounded, decoded, and with what is known about their completeness.

use std::io::Read;

use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::framing::UnprovenEnd;

/// A server that applies more codings than this to one body is not understood.
const MAX_CODINGS: usize = 3;

/// A body, and what is known about its completeness.
pub enum Body {
    /// As long as announced, up to its last chunk, or up to an end of the connection that
    /// cannot be forged.
    Whole(Bytes),
    /// Ended by closing, which anything in between can do, so only a parser that needs the
    /// end may trust it.
    Unverified(Bytes),
    /// Shorter than announced, broken off, or not there by the deadline.
    Cut,
    /// Longer than the limit, in an unknown encoding, or with something behind the encoded
    /// body.
    Unreadable,
}

/// Reads a body of at most `max` bytes, and decodes it.
pub(super) async fn read(head: &mut awc::ClientResponse, max: usize) -> Body {
    let (bytes, is_proven) = match collect(head, max).await {
        Ok(read) => read,
        Err(body) => return body,
    };
    match decode(bytes, head.headers(), max) {
        Ok(bytes) if is_proven => Body::Whole(bytes),
        Ok(bytes) => Body::Unverified(bytes),
        Err(body) => body,
    }
}

/// Reads a body, still encoded, and whether its end is proven. The filter below awc reports
/// every end that is not as announced as an error.
async fn collect(head: &mut awc::ClientResponse, max: usize) -> Result<(Bytes, bool), Body> {
    let mut all = BytesMut::new();
    let mut first = None;
    let mut is_proven = true;
    while let Some(chunk) = head.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) if is_unproven_end(&error) => {
                is_proven = false;
                break;
            }
            Err(_) => return Err(Body::Cut),
        };
        if all.len() + first.as_ref().map_or(0, Bytes::len) + chunk.len() > max {
            return Err(Body::Unreadable);
        }
        // Nearly every answer is one chunk, which is passed on without a copy.
        match first.take() {
            None if all.is_empty() => first = Some(chunk),
            None => all.extend_from_slice(&chunk),
            Some(earlier) => {
                all.extend_from_slice(&earlier);
                all.extend_from_slice(&chunk);
            }
        }
    }
    Ok((first.unwrap_or_else(|| all.freeze()), is_proven))
}

fn is_unproven_end(error: &PayloadError) -> bool {
    match error {
        PayloadError::Incomplete(Some(error)) | PayloadError::Io(error) => {
            let inner = error.get_ref();
            inner.is_some_and(|inner| inner.is::<UnprovenEnd>())
        }
        _ => false,
    }
}

/// Undoes the codings, the last one that was applied first (RFC 9110 section 8.4).
fn decode(bytes: Bytes, headers: &HeaderMap, max: usize) -> Result<Bytes, Body> {
    // Nothing is encoded as nothing by front ends that do not look at the body.
    if bytes.is_empty() || !headers.contains_key(header::CONTENT_ENCODING) {
        return Ok(bytes);
    }
    let named = headers.get_all(header::CONTENT_ENCODING);
    let codings: Vec<&[u8]> = named
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
        .collect();
    if codings.len() > MAX_CODINGS {
        return Err(Body::Unreadable);
    }
    let mut bytes = bytes;
    for coding in codings.into_iter().rev() {
        let is_gzip = [&b"gzip"[..], b"x-gzip"]
            .iter()
            .any(|name| coding.eq_ignore_ascii_case(name));
        if !is_gzip {
            return Err(Body::Unreadable);
        }
        bytes = gunzip(&bytes, max)?;
    }
    Ok(bytes)
}

/// Undoes gzip: all members (RFC 1952 section 2.2), and nothing may be left over.
fn gunzip(bytes: &[u8], max: usize) -> Result<Bytes, Body> {
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut plain = Vec::new();
    match flate2::bufread::MultiGzDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut plain)
    {
        Ok(length) if length <= max => Ok(plain.into()),
        Ok(_) => Err(Body::Unreadable),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(Body::Cut),
        Err(_) => Err(Body::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// What becomes of an encoded body: its text, `cut` or `unreadable`.
    fn decoded(codings: &[&'static str], body: &[u8], max: usize) -> String {
        let mut map = HeaderMap::new();
        for coding in codings {
            let value = HeaderValue::from_static(coding);
            map.append(header::CONTENT_ENCODING, value);
        }
        match decode(Bytes::copy_from_slice(body), &map, max) {
            Ok(plain) => String::from_utf8(plain.to_vec()).unwrap(),
            Err(Body::Cut) => "cut".into(),
            Err(_) => "unreadable".into(),
        }
    }

    #[test]
    fn codings_are_undone_in_the_order_that_they_were_applied_in() {
        let (plain, gz) = (b"{\"a\":1}", gzip(b"{\"a\":1}"));
        let twice = gzip(&gz);
        let four = gzip(&gzip(&twice));
        let table: &[(&[&str], &[u8], &str)] = &[
            (&[], plain, "{\"a\":1}"),
            (&[""], plain, "{\"a\":1}"),
            (&["identity"], plain, "{\"a\":1}"),
            (&["Identity, ,IDENTITY"], plain, "{\"a\":1}"),
            (&["gzip"], &gz, "{\"a\":1}"),
            (&["GZip"], &gz, "{\"a\":1}"),
            (&["x-gzip"], &gz, "{\"a\":1}"),
            (&[" gzip ,identity,"], &gz, "{\"a\":1}"),
            (&["gzip, x-gzip"], &twice, "{\"a\":1}"),
            (&["gzip", "gzip"], &twice, "{\"a\":1}"),
            (&["gzip, gzip"], &gz, "cut"),
            (&["gzip"], b"", ""),
            (&["gzip, gzip"], &gzip(b""), "cut"),
            (&["gzip"], b"{\"longer\":\"than a header\"}", "unreadable"),
            (&["br"], &gz, "unreadable"),
            (&["gzip, br"], &gz, "unreadable"),
            (&["br, gzip"], &gz, "unreadable"),
            (&["gzip;q=1"], &gz, "unreadable"),
            (&["gzip,gzip,gzip,gzip"], &four, "unreadable"),
        ];
        for (codings, body, expected) in table {
            assert_eq!(decoded(codings, body, 1000), *expected, "{codings:?}");
        }
    }

    #[test]
    fn gzip_is_read_to_its_last_byte_and_within_bounds() {
        let (nothing, busy) = (gzip(b""), gzip(b"busy"));
        let member = |parts: &[&[u8]]| decoded(&["gzip"], &parts.concat(), 8);
        assert_eq!(member(&[&nothing, &busy]), "busy");
        assert_eq!(member(&[&busy, &nothing, &busy, &nothing]), "busybusy");
        assert_eq!(member(&[&busy, &busy, &busy]), "unreadable");
        for junk in [&b"x"[..], b"\0", b"{\"error\":1}", b"\r\n", b"PK\x03\x04"] {
            assert_ne!(member(&[&busy, junk]), "busy", "{junk:?}");
        }
        for kept in 1..busy.len() {
            assert_eq!(member(&[&busy[..kept]]), "cut", "{kept}");
            assert_eq!(member(&[&busy, &busy[..kept]]), "cut", "{kept}");
        }
        let mut wrong = busy.clone();
        let checksum = wrong.len() - 8;
        wrong[checksum] ^= 1;
        assert_eq!(member(&[&wrong]), "unreadable");
        let large = gzip(&[b'x'; 1000]);
        assert_eq!(decoded(&["gzip"], &large, 1000).len(), 1000);
        assert_eq!(decoded(&["gzip"], &large, 999), "unreadable");
    }
}

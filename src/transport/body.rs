//! Bodies of answers: bounded, decoded, and checked for completeness, which awc does not
//! do (it reports a short or cut body as success).

use std::io::Read;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, BytesMut};
use futures_util::StreamExt;

/// A server that applies more codings than this to one body is not understood.
const MAX_CODINGS: usize = 3;

/// A body, and what is known about its completeness.
pub enum Body {
    /// As long as announced.
    Whole(Bytes),
    /// Chunked, or ended by closing: awc does not report a cut one, so only a parser
    /// that needs the end may trust it.
    Unverified(Bytes),
    /// Shorter than announced, broken off, or not there by the deadline.
    Cut,
    /// Longer than the limit, or in an unknown encoding.
    Unreadable,
}

/// How the end of a body is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length in bytes.
    Length(usize),
    /// By a last chunk.
    Chunked,
    /// By none that awc evaluates.
    Implicit,
}

impl Framing {
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
            return Self::Length(0);
        }
        if let Some(encoding) = headers.get(header::TRANSFER_ENCODING) {
            let chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
            return if chunked {
                Self::Chunked
            } else {
                Self::Implicit
            };
        }
        headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map_or(Self::Implicit, Self::Length)
    }
}

/// Reads a body of at most `max` bytes, still encoded.
pub(super) async fn read(head: &mut awc::ClientResponse, max: usize) -> Result<Bytes, Body> {
    let mut all = BytesMut::new();
    let mut first = None;
    while let Some(chunk) = head.next().await {
        let chunk = chunk.map_err(|_| Body::Cut)?;
        if all.len() + chunk.len() > max {
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
    Ok(first.unwrap_or_else(|| all.freeze()))
}

/// Compares what was read with what was announced, and decodes it.
pub(super) fn check_framing(
    bytes: Bytes,
    framing: Framing,
    headers: &HeaderMap,
    max: usize,
) -> Body {
    if let Framing::Length(expected) = framing
        && bytes.len() != expected
    {
        return Body::Cut;
    }
    match (decode(bytes, headers, max), framing) {
        (Ok(bytes), Framing::Length(_)) => Body::Whole(bytes),
        (Ok(bytes), Framing::Chunked | Framing::Implicit) => Body::Unverified(bytes),
        (Err(body), _) => body,
    }
}

/// The body of an answer that came with this head.
#[cfg(any(test, feature = "fuzzing"))]
#[must_use]
pub fn read_body(status: StatusCode, headers: &HeaderMap, bytes: Bytes, max: usize) -> Body {
    check_framing(bytes, Framing::of(status, headers), headers, max)
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
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_connection_without_explicit_framing_is_closed() {
        let table = [
            (200, vec![(header::CONTENT_LENGTH, "7")], Framing::Length(7)),
            (200, vec![(header::CONTENT_LENGTH, "x")], Framing::Implicit),
            (
                200,
                vec![(header::TRANSFER_ENCODING, "chunked")],
                Framing::Chunked,
            ),
            (200, vec![], Framing::Implicit),
            (204, vec![], Framing::Length(0)),
        ];
        for (status, pairs, expected) in table {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Framing::of(status, &headers(&pairs)), expected);
        }
    }

    #[test]
    fn a_short_body_is_cut_and_a_chunked_one_is_unverified() {
        let none = HeaderMap::new();
        let checked = |framing| check_framing(Bytes::from_static(b"{}"), framing, &none, 9);
        assert!(matches!(checked(Framing::Length(2)), Body::Whole(_)));
        assert!(matches!(checked(Framing::Length(3)), Body::Cut));
        assert!(matches!(checked(Framing::Chunked), Body::Unverified(_)));
    }

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

//! Bodies of answers: bounded, decoded, and checked for completeness, which awc does not
//! do (it reports a short or cut body as success).

use std::io::Read;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, BytesMut};
use futures_util::StreamExt;

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

/// Undoes gzip, which some front ends apply without being asked.
fn decode(bytes: Bytes, headers: &HeaderMap, max: usize) -> Result<Bytes, Body> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(bytes);
    };
    if bytes.is_empty() || encoding.as_bytes().eq_ignore_ascii_case(b"identity") {
        return Ok(bytes);
    }
    if !encoding.as_bytes().eq_ignore_ascii_case(b"gzip") {
        return Err(Body::Unreadable);
    }
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut plain = Vec::new();
    match flate2::read::GzDecoder::new(&bytes[..])
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

    #[test]
    fn gzip_is_undone_within_bounds() {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&[b'x'; 1000]).unwrap();
        let gz = Bytes::from(encoder.finish().unwrap());
        let gzip = headers(&[(header::CONTENT_ENCODING, "gzip")]);
        assert_eq!(decode(gz.clone(), &gzip, 1000).ok().unwrap().len(), 1000);
        assert!(matches!(
            decode(gz.clone(), &gzip, 999),
            Err(Body::Unreadable)
        ));
        let cut = decode(gz.slice(..gz.len() - 9), &gzip, 1000);
        assert!(matches!(cut, Err(Body::Cut)));
        let br = headers(&[(header::CONTENT_ENCODING, "br")]);
        assert!(matches!(decode(gz, &br, 1000), Err(Body::Unreadable)));
    }
}

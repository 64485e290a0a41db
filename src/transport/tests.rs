//! What a client must notice about an answer.

use actix_web::error::ParseError;
use awc::error::{ConnectError, SendRequestError};

use super::*;

fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn the_framing_is_explicit_or_the_connection_is_given_up() {
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
fn a_short_body_is_cut_and_a_chunked_one_is_unproven() {
    let none = HeaderMap::new();
    let bytes = || Bytes::from_static(b"{}");
    assert!(matches!(
        judge(bytes(), Framing::Length(2), &none, 9),
        Body::Whole(_)
    ));
    assert!(matches!(
        judge(bytes(), Framing::Length(3), &none, 9),
        Body::Cut
    ));
    assert!(matches!(
        judge(bytes(), Framing::Chunked, &none, 9),
        Body::Unproven(_)
    ));
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
    assert!(matches!(
        decode(gz.slice(..gz.len() - 9), &gzip, 1000),
        Err(Body::Cut)
    ));
    let br = headers(&[(header::CONTENT_ENCODING, "br")]);
    assert!(matches!(decode(gz, &br, 1000), Err(Body::Unreadable)));
}

#[test]
fn what_came_after_the_first_byte_may_have_arrived() {
    let disconnected = SendRequestError::Connect(ConnectError::Disconnected);
    assert_eq!(classify(disconnected), SendError::Lost(Lost::Closed));
    let refused = SendRequestError::Connect(ConnectError::Io(
        std::io::ErrorKind::ConnectionRefused.into(),
    ));
    assert_eq!(classify(refused), SendError::NotSent(Unreachable::Connect));
    assert_eq!(
        classify(SendRequestError::Timeout),
        SendError::Lost(Lost::Timeout)
    );
    let reset = ParseError::Io(std::io::ErrorKind::ConnectionReset.into());
    for (error, lost) in [
        (reset, Lost::Closed),
        (ParseError::Incomplete, Lost::Closed),
        (ParseError::Version, Lost::NotHttp),
    ] {
        let error = SendRequestError::Response(error);
        assert_eq!(classify(error), SendError::Lost(lost));
    }
}

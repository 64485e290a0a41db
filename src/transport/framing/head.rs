//! The head of an answer, as far as it says how long the answer is (RFC 9112 section 6).

use std::mem::MaybeUninit;

use actix_web::web::BytesMut;

/// The most header fields of an answer; awc accepts no more.
const MAX_FIELDS: usize = 96;
/// The longest name of a header field, in bytes.
const MAX_NAME: usize = 1024;

/// How the end of a body is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    None,
    /// By its length in bytes.
    Length(u64),
    /// By a last chunk.
    Chunked,
    /// By the end of the connection.
    UntilEnd,
}

/// Why an answer cannot be told from what surrounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misframed {
    #[error("the answer is not HTTP/1.x")]
    NotHttp,
    #[error("the answer has no length, or several")]
    Length,
    #[error("the answer's Transfer-Encoding is not chunked")]
    TransferEncoding,
    #[error("the answer switches to another protocol, unasked")]
    SwitchingProtocols,
    #[error("the answer's head is too long")]
    LongHead,
    #[error("too many interim (1xx) answers came")]
    TooMuchInterim,
    #[error("the answer's chunks are malformed")]
    Chunk,
}

/// A head, as far as its framing goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// The head of an interim answer (RFC 9110 section 15.2).
    Interim,
    /// The head of the final answer.
    Final {
        /// How the end of its body is marked.
        framing: Framing,
        /// In a form that awc reads rightly, if it would not do so as it is.
        rewritten: Option<BytesMut>,
    },
}

/// What the fields of a head say.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    /// Transfer-Encoding, and whether it is `chunked`.
    coding: Option<bool>,
    /// Another protocol is offered, which awc takes for more than that.
    offers_upgrade: bool,
    /// How often Host stands there. It means nothing in an answer, and awc refuses two.
    hosts: usize,
}

/// Reads a head. Returns its length in bytes too, or nothing if its end has not come.
///
/// # Errors
/// [`Misframed`]
pub(super) fn read(bytes: &[u8]) -> Result<Option<(usize, Head)>, Misframed> {
    let mut space = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    // As awc does; or else with lines that go on in the next (RFC 9112 section 5.2).
    let mut parser = httparse::ParserConfig::default();
    parser.allow_spaces_after_header_name_in_responses(true);
    let mut parsed = parser.parse_response_with_uninit_headers(&mut response, bytes, &mut space);
    let is_folded = parsed.is_err();
    let mut space = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    if is_folded {
        response = httparse::Response::new(&mut []);
        parser.allow_obsolete_multiline_headers_in_responses(true);
        parsed = parser.parse_response_with_uninit_headers(&mut response, bytes, &mut space);
    }
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Misframed::LongHead),
        Err(_) => return Err(Misframed::NotHttp),
    };
    // awc panics at a name that its header type does not hold.
    if response
        .headers
        .iter()
        .any(|field| field.name.len() > MAX_NAME)
    {
        return Err(Misframed::LongHead);
    }
    let status = match response.code {
        Some(101) => return Err(Misframed::SwitchingProtocols),
        Some(100..=199) => return Ok(Some((length, Head::Interim))),
        Some(status @ 200..=999) => status,
        _ => return Err(Misframed::NotHttp),
    };
    let is_old = response.version == Some(0);
    let fields = Fields::read(response.headers)?;
    if is_old && fields.coding.is_some() {
        return Err(Misframed::TransferEncoding);
    }
    let has_no_body = matches!(status, 204 | 304);
    let framing = match (fields.length, fields.coding) {
        (Some(_), Some(_)) => return Err(Misframed::Length),
        _ if has_no_body => Framing::None,
        (Some(length), None) => Framing::Length(length),
        (None, Some(true)) => Framing::Chunked,
        (None, Some(false) | None) => Framing::UntilEnd,
    };
    let announces_body = fields.coding.is_some() || fields.length.unwrap_or(0) > 0;
    let must_be_rewritten = is_folded
        || fields.offers_upgrade
        || fields.hosts > 1
        || is_old
        || framing == Framing::UntilEnd
        || (has_no_body && announces_body);
    let rewritten = must_be_rewritten.then(|| rewrite(status, response.headers, framing, is_old));
    Ok(Some((length, Head::Final { framing, rewritten })))
}

impl Fields {
    fn read(all: &[httparse::Header<'_>]) -> Result<Self, Misframed> {
        let mut fields = Self::default();
        for field in all {
            if is(field, "content-length") {
                if fields.length.is_some() {
                    return Err(Misframed::Length);
                }
                fields.length = Some(number(field.value).ok_or(Misframed::Length)?);
            } else if is(field, "transfer-encoding") {
                let coding = field.value.trim_ascii();
                let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
                let is_known = is_chunked || coding.eq_ignore_ascii_case(b"identity");
                if !is_known || fields.coding.is_some() {
                    return Err(Misframed::TransferEncoding);
                }
                fields.coding = Some(is_chunked);
            } else if is(field, "upgrade") {
                fields.offers_upgrade = true;
            } else if is(field, "host") {
                fields.hosts += 1;
            }
        }
        Ok(fields)
    }
}

fn is(field: &httparse::Header<'_>, name: &str) -> bool {
    field.name.len() == name.len() && field.name.eq_ignore_ascii_case(name)
}

fn number(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    let is_number = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()?
        .parse()
        .ok()
        .filter(|_| is_number)
}

/// The same head in the form of HTTP/1.1, with a framing that is passed on.
fn rewrite(
    status: u16,
    fields: &[httparse::Header<'_>],
    framing: Framing,
    is_old: bool,
) -> BytesMut {
    let mut head = BytesMut::from(format!("HTTP/1.1 {status} \r\n").as_bytes());
    let mut closes = is_old || framing == Framing::UntilEnd;
    for field in fields {
        if is(field, "connection") {
            let mut options = field.value.split(|byte| *byte == b',');
            closes |= options.any(|it| it.trim_ascii().eq_ignore_ascii_case(b"close"));
            continue;
        }
        let names = ["content-length", "transfer-encoding", "upgrade", "host"];
        if names.iter().any(|name| is(field, name)) {
            continue;
        }
        head.extend_from_slice(field.name.as_bytes());
        head.extend_from_slice(b": ");
        // Lines that belong together become one.
        let line_end = |byte: &u8| {
            if matches!(byte, b'\r' | b'\n') {
                b' '
            } else {
                *byte
            }
        };
        head.extend(field.value.iter().map(line_end));
        head.extend_from_slice(b"\r\n");
    }
    let length = match framing {
        Framing::None => "content-length: 0\r\n".to_owned(),
        Framing::Length(length) => format!("content-length: {length}\r\n"),
        Framing::Chunked | Framing::UntilEnd => "transfer-encoding: chunked\r\n".to_owned(),
    };
    head.extend_from_slice(length.as_bytes());
    if closes {
        head.extend_from_slice(b"connection: close\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

#[cfg(test)]
mod tests;

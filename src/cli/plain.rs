//! A request over plain HTTP to a gateway on this machine.

use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode, Uri};

use crate::domain::Egress;
use crate::transport::{Body, Request, Transport, TransportOptions};

/// The longest answer that is accepted, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Sends a request without a body and returns the status and body of the answer.
///
/// # Errors
/// A message for the operator.
pub async fn send(
    method: Method,
    url: &str,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
) -> Result<(StatusCode, String), String> {
    let uri = Uri::try_from(url).map_err(|_| "the URL is invalid".to_owned())?;
    if uri.scheme_str() != Some("http") {
        return Err("the URL must begin with http://".into());
    }
    let transport = Transport::new(&TransportOptions {
        ca_file: None,
        connect_timeout: timeout,
        request_timeout: timeout,
        tls: false,
        egress: Egress::default(),
    })
    .map_err(|error| error.to_string())?;
    let request = Request {
        method,
        uri,
        headers,
        body: Default::default(),
        max_answer: MAX_ANSWER,
        direct: false,
    };
    let answer = transport
        .client()
        .send(request)
        .await
        .map_err(|error| error.to_string())?;
    match &answer.body {
        Body::Whole(bytes) | Body::Unverified(bytes) => {
            Ok((answer.status(), String::from_utf8_lossy(bytes).into_owned()))
        }
        Body::Cut | Body::Unreadable => Err("the answer was cut off".into()),
    }
}

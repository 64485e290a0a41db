//! Why no answer came, sorted by what it means for the request.

use actix_web::error::ParseError;
use awc::error::{ConnectError, SendRequestError};

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Not one byte of the request has left.
    #[error("{0}")]
    NotSent(Unreachable),
    /// The request may have arrived.
    #[error("{0}")]
    Lost(Lost),
}

/// Why a request could not even be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The name could not be looked up.
    #[error("its name cannot be resolved")]
    Name,
    /// Nothing accepts connections there, or no way leads there.
    #[error("no connection to it could be made")]
    Connect,
    /// Connecting took too long.
    #[error("connecting to it timed out")]
    Timeout,
    /// The TLS handshake failed: most often an unknown CA.
    #[error("the TLS handshake with it failed; is its CA trusted?")]
    Tls,
    /// The request itself could not be built.
    #[error("the request could not be built")]
    Request,
}

/// How the answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// No answer in time.
    #[error("it did not answer in time")]
    Timeout,
    /// The connection ended first.
    #[error("it closed the connection without an answer")]
    Closed,
    /// The bytes were not HTTP.
    #[error("its answer was not HTTP")]
    NotHttp,
    /// It sent an interim (1xx) answer, behind which awc loses the final one.
    #[error("it sent only an interim answer")]
    Interim,
}

/// Sorts awc's errors by the one question that matters: can it have arrived?
/// `Connect(Disconnected)` comes after the request was written, and so counts
/// as lost; whatever is not known to come before the first byte does, too.
pub(super) fn classify(error: SendRequestError) -> SendError {
    use SendError::{Lost as L, NotSent as N};
    match error {
        SendRequestError::Url(_) | SendRequestError::Http(_) => N(Unreachable::Request),
        SendRequestError::Connect(error) => match error {
            ConnectError::Resolver(_) | ConnectError::NoRecords | ConnectError::Unresolved => {
                N(Unreachable::Name)
            }
            ConnectError::Timeout => N(Unreachable::Timeout),
            ConnectError::SslIsNotSupported => N(Unreachable::Tls),
            // The handshake's errors arrive as io errors, too.
            ConnectError::Io(error) if is_tls(&error) => N(Unreachable::Tls),
            ConnectError::Io(_) => N(Unreachable::Connect),
            _ => L(Lost::Closed),
        },
        SendRequestError::Timeout => L(Lost::Timeout),
        // A connection that broke while the answer was read said nothing.
        SendRequestError::Response(
            ParseError::Io(_) | ParseError::Incomplete | ParseError::Timeout,
        ) => L(Lost::Closed),
        SendRequestError::Response(_) => L(Lost::NotHttp),
        _ => L(Lost::Closed),
    }
}

fn is_tls(error: &std::io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>())
}

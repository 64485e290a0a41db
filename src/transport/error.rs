//! Why a request has no answer, sorted by whether it may have arrived.

use actix_web::error::ParseError;
use awc::error::{ConnectError, SendRequestError};

use super::connect::Stale;
use super::framing::Misframed;
use super::unreachable::Unreachable;

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No byte of the request was sent.
    #[error("{0}")]
    NotSent(Unreachable),
    /// The request may have arrived.
    #[error("{0}")]
    Lost(Lost),
}

impl SendError {
    /// What to do about it, if its own text does not say so. `ca_file` is the key of the file
    /// of extra authorities, `address` that of the server's address.
    #[must_use]
    pub fn remedy(&self, ca_file: &str, address: &str) -> String {
        match self {
            Self::NotSent(cause) => match cause {
                Unreachable::Tls(problem) => format!(": {}", problem.remedy(ca_file)),
                Unreachable::Name => {
                    format!(": check the host in {address}, and this machine's DNS")
                }
                Unreachable::Connect => format!(": check {address} and the firewall"),
                Unreachable::Exhausted => {
                    ": raise its limit of open files (ulimit -n, LimitNOFILE)".into()
                }
                Unreachable::Timeout => format!(": check {address}, DNS and the firewall"),
                Unreachable::Proxy(_) => String::new(),
                Unreachable::Request => format!(": check {address}"),
            },
            Self::Lost(_) => format!(": check {address}"),
        }
    }
}

/// How the answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The connection ended first.
    #[error("the connection was closed without an answer")]
    Closed,
    /// The bytes were not HTTP, or not an answer to this request alone.
    #[error("the answer was not HTTP")]
    NotHttp,
}

/// Sorts awc's errors. `Connect(Disconnected)` comes after the request was written, so
/// it counts as lost, like every error that is not known to precede the first byte.
pub(super) fn classify(error: SendRequestError) -> SendError {
    use SendError::{Lost as L, NotSent as N};
    match error {
        SendRequestError::Url(_) | SendRequestError::Http(_) => N(Unreachable::Request),
        SendRequestError::Connect(error) => match error {
            // What our own connector says.
            ConnectError::Io(error) => N(match error.downcast::<Unreachable>() {
                Ok(cause) => cause,
                Err(_) => Unreachable::Connect,
            }),
            ConnectError::Timeout => N(Unreachable::Timeout),
            ConnectError::Resolver(_)
            | ConnectError::NoRecords
            | ConnectError::Unresolved
            | ConnectError::SslIsNotSupported => N(Unreachable::Request),
            _ => L(Lost::Closed),
        },
        SendRequestError::Timeout => L(Lost::Timeout),
        SendRequestError::Response(ParseError::Io(error)) if is_misframed(&error) => {
            L(Lost::NotHttp)
        }
        // A connection that broke while the answer was read counts as an absent answer.
        SendRequestError::Response(
            ParseError::Io(_) | ParseError::Incomplete | ParseError::Timeout,
        ) => L(Lost::Closed),
        SendRequestError::Response(_) => L(Lost::NotHttp),
        _ => L(Lost::Closed),
    }
}

fn is_misframed(error: &std::io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(|inner| inner.is::<Misframed>())
}

/// Whether the request went into a connection that had ended while it was idle.
pub(super) fn is_stale(error: &SendRequestError) -> bool {
    match error {
        SendRequestError::Send(error) | SendRequestError::Response(ParseError::Io(error)) => {
            error.get_ref().is_some_and(|inner| inner.is::<Stale>())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_the_first_byte_may_have_arrived() {
        let reset = || std::io::ErrorKind::ConnectionReset.into();
        let connect = SendRequestError::Connect;
        for (error, expected) in [
            (
                connect(ConnectError::Disconnected),
                SendError::Lost(Lost::Closed),
            ),
            (
                connect(ConnectError::Io(reset())),
                SendError::NotSent(Unreachable::Connect),
            ),
            (SendRequestError::Timeout, SendError::Lost(Lost::Timeout)),
            (
                SendRequestError::Response(ParseError::Io(reset())),
                SendError::Lost(Lost::Closed),
            ),
            (
                SendRequestError::Response(ParseError::Io(std::io::Error::other(
                    Misframed::Length,
                ))),
                SendError::Lost(Lost::NotHttp),
            ),
            (
                SendRequestError::Response(ParseError::Incomplete),
                SendError::Lost(Lost::Closed),
            ),
            (
                SendRequestError::Response(ParseError::Version),
                SendError::Lost(Lost::NotHttp),
            ),
        ] {
            assert_eq!(classify(error), expected);
        }
    }
}

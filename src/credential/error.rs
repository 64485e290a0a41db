//! Errors of acquiring a token, with their remedies.

use std::time::Duration;

use crate::transport::SendError;

/// Why no token was acquired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenFetchError {
    /// The endpoint could not be reached, or did not answer.
    #[error("token endpoint: {0}{remedy}", remedy = .0.remedy("portal.ca_file", "authority or endpoint"))]
    Unreachable(SendError),
    /// The endpoint refused.
    #[error("token endpoint answered with an error ({status}{}{}){}", code_text(.aadsts), error_text(.error), remedy_text(.aadsts))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Entra's number, behind `AADSTS`.
        aadsts: Option<u32>,
        /// The OAuth error code (RFC 6749 section 5.2), for example `invalid_client`.
        error: Option<&'static str>,
    },
    /// The platform gives no token for a managed identity.
    #[error("managed identity endpoint answered with an error ({status}{}): {remedy}", error_text(.error))]
    NoIdentity {
        /// The HTTP status.
        status: u16,
        /// The error's code, for example `identity_not_found`.
        error: Option<&'static str>,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The endpoint asks for a pause (429 or 503).
    #[error("token endpoint asks for a pause ({status})")]
    Throttled {
        /// The HTTP status.
        status: u16,
        /// Its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// A 200 without a usable token.
    #[error("token endpoint answered 200, but {0}")]
    InvalidResponse(&'static str),
    /// The file with the token or assertion cannot be used.
    #[error("file not usable: {0}; check token_file or assertion_file")]
    File(&'static str),
    /// The token that came is not usable any more.
    #[error("the received token has expired or is about to")]
    AlreadyExpired,
    /// The certificate's key cannot sign.
    #[error("the certificate's key cannot sign; check key_file and assertion_algorithm")]
    Signing,
}

impl TokenFetchError {
    /// The pause that the endpoint asks for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => *retry_after,
            Self::Unreachable(_)
            | Self::Refused { .. }
            | Self::NoIdentity { .. }
            | Self::InvalidResponse(_)
            | Self::File(_)
            | Self::AlreadyExpired
            | Self::Signing => None,
        }
    }
}

fn code_text(aadsts: &Option<u32>) -> String {
    aadsts
        .map(|code| format!(", AADSTS{code}"))
        .unwrap_or_default()
}

fn error_text(error: &Option<&'static str>) -> String {
    error.map(|code| format!(", {code}")).unwrap_or_default()
}

fn remedy_text(aadsts: &Option<u32>) -> String {
    aadsts
        .and_then(remedy)
        .map(|text| format!(": {text}"))
        .unwrap_or_default()
}

/// The remedy for an error of Entra.
/// Source: Microsoft Entra authentication and authorization error codes.
#[must_use]
fn remedy(aadsts: u32) -> Option<&'static str> {
    Some(match aadsts {
        7_000_215 => {
            "the client secret is wrong; use the secret's value, not its id, or create a new one"
        }
        7_000_222 => "the client secret has expired; create a new one in the app registration",
        500_011 => "the resource or scope is unknown in this tenant; check resource or scope",
        90_002 => "unknown tenant; check tenant_id and authority",
        700_016 => "unknown application in this tenant; check client_id and tenant_id",
        700_024 => {
            "the client assertion has expired; check the machine's clock and the program that renews assertion_file"
        }
        700_027 => {
            "the client assertion's signature is not that of a registered certificate; register the certificate with the application, or check certificate_file"
        }
        70_021 | 70_025 | 700_211 | 700_212 | 700_213 => {
            "no federated credential of the application matches the platform's token; compare issuer, subject and audience"
        }
        900_144 | 900_023 => "a parameter is missing or malformed; check tenant_id and client_id",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_comes_with_a_remedy() {
        let failure = TokenFetchError::Refused {
            status: 401,
            aadsts: Some(7_000_215),
            error: Some("invalid_client"),
        };
        assert_eq!(
            failure.to_string(),
            "token endpoint answered with an error (401, AADSTS7000215, invalid_client): the client secret is wrong; use the secret's value, not its id, or create a new one"
        );
    }
}

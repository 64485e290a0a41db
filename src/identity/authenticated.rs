//! The result of authentication: a caller, or the reason for the refusal.

use std::sync::Arc;

use crate::domain::Caller;

/// The longest name or subject that is logged, in bytes, since it is chosen outside of the gateway.
pub(super) const MAX_LOGGED: usize = 256;
/// No caller of the configuration matches a valid credential.
pub(super) const NO_CALLER: &str = "no-caller-matches";
/// More than one caller of the configuration matches a valid credential.
pub(super) const SEVERAL_CALLERS: &str = "several-callers-match";

/// The caller that a credential belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticatedCaller {
    /// The caller.
    pub caller: Arc<Caller>,
    /// How the log names the credential: the beginning of a key's stored hash, a token's
    /// issuer and subject, a certificate's name.
    pub credential_label: Arc<str>,
}

/// Why a credential names no caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthenticationError {
    /// It is not accepted. The reason is for the log only.
    Rejected(&'static str),
    /// It is valid, but matches no caller, or more than one.
    NoCaller {
        /// How the log names it.
        credential_label: Arc<str>,
        /// For the log.
        reason: &'static str,
    },
    /// It cannot be checked at present.
    Unavailable,
}

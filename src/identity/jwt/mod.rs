//! Callers by JWT (RFC 7519): the token, its claims, its issuer's keys, and the caller
//! that it belongs to.

mod base64_text;
mod callers;
mod claims;
mod discovery;
mod jwks;
mod key_hint;
mod key_store;
mod token;
mod token_error;
mod verification_key;

pub use callers::{CallerMatch, Issuer, Tokens, VerifyError};
pub use claims::Claims;
pub use discovery::{KeyFetchError, KeySource};
pub use jwks::{Candidates, InvalidKeySet, KeySet};
pub use key_hint::KeyHint;
pub use key_store::{KeyLookupError, KeyRefresher, KeyStore, KeyStoreStatus};
pub use token::UnverifiedToken;
pub use token_error::TokenError;
pub use verification_key::{LeftOutReason, VerificationKey};

//! Callers by JWT (RFC 7519): the token, its claims, its issuer's keys, and the caller
//! that it belongs to.

mod callers;
mod claims;
mod discovery;
mod jwks;
mod key_store;
mod token;
mod token_error;

pub use callers::{CallerMatch, Issuer, Tokens, VerifyError};
pub use claims::Claims;
pub use discovery::{KeyFetchError, KeySource};
pub use jwks::{InvalidKeySet, KeySet};
pub use key_store::{KeyLookupError, KeyRefresher, KeyStore};
pub use token::UnverifiedToken;
pub use token_error::TokenError;

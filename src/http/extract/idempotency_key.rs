//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a client that does not
//! know whether its request arrived repeats it, and gets the answer of the first.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use sfv::{BareItem, Item, Parser};
use sha2::{Digest as _, Sha256};

use crate::domain::{Digest, Email, Idempotency, ProblemCode};
use crate::http::Problem;
use crate::policy::{Permit, Right};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key, in characters.
const MAX_KEY: usize = 255;

/// A key as it was sent.
pub struct IdempotencyKey(sfv::String);

/// The request's key, if it has one.
///
/// # Errors
/// 400 `invalid-header` for anything but one string in quotes (RFC 9651 section 3.3.3).
pub fn idempotency_key(request: &HttpRequest) -> Result<Option<IdempotencyKey>, Problem> {
    let mut lines = request.headers().get_all(IDEMPOTENCY_KEY);
    let line = match (lines.next(), lines.next()) {
        (None, _) => return Ok(None),
        (Some(line), None) => line,
        (Some(_), Some(_)) => return Err(invalid("Send only one Idempotency-Key.")),
    };
    let item = Parser::new(line.as_bytes()).parse::<Item>();
    match item.map(|item| item.bare_item) {
        Ok(BareItem::String(key)) if (1..=MAX_KEY).contains(&key.as_str().len()) => {
            Ok(Some(IdempotencyKey(key)))
        }
        Ok(BareItem::String(_)) => Err(invalid(
            "The Idempotency-Key must have 1 to 255 characters.",
        )),
        _ => Err(invalid(
            "The Idempotency-Key must be a string in double quotes, as in \
             Idempotency-Key: \"8e03978e-40d5-43e8-bc93-6894a57f9324\".",
        )),
    }
}

/// Refuses a key where it has no meaning.
///
/// # Errors
/// 400 `invalid-header`
pub fn refuse_idempotency_key(request: &HttpRequest) -> Result<(), Problem> {
    if request.headers().contains_key(IDEMPOTENCY_KEY) {
        return Err(invalid("GET does not support Idempotency-Key."));
    }
    Ok(())
}

fn invalid(detail: &str) -> Problem {
    let detail = format!("{detail} Nothing was sent.");
    Problem::new(ProblemCode::InvalidHeader, detail)
}

impl IdempotencyKey {
    /// The digests of the key and of what is requested with it: the action, its target
    /// and the addresses, however the request spelled them.
    #[must_use]
    pub fn fingerprint<R: Right>(&self, permit: &Permit<R>, notify: &[Email]) -> Idempotency {
        let addresses = notify.iter().map(Email::as_str);
        let target = permit.target();
        let what = [
            permit.action().as_str(),
            target.publisher().as_str(),
            target.offer().as_str(),
        ];
        Idempotency {
            key: digest([permit.caller().as_str(), self.0.as_str()].into_iter()),
            payload: digest(what.into_iter().chain(addresses)),
        }
    }
}

/// Of the parts in their order, each with its length, so that different lists have
/// different digests.
fn digest<'a>(parts: impl Iterator<Item = &'a str>) -> Digest {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    Digest::from(<[u8; 32]>::from(sha.finalize()))
}

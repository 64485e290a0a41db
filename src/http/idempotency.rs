//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): whoever does not know
//! whether a request arrived sends it again, and gets the answer of the first.
//!
//! A key belongs to its caller. What it stands for is decided by the ledger; here is
//! how it is read, and how an answer is written down and given again.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use sfv::{BareItem, Item, Parser};
use sha2::{Digest as _, Sha256};

use super::{Gate, Problem};
use crate::domain::{
    CallerName, Digest, Email, Idempotency, KeptAnswer, Operation, OperationId, ProblemCode,
};
use crate::ledger::{Claim, Claimed};
use crate::policy::{Permit, Right};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that nothing was done, because it had been done before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest key, in characters.
const MAX_KEY: usize = 255;
/// When a request whose key is in use may be worth another try.
const IN_USE_RETRY: Duration = Duration::from_secs(1);

/// A key as it was sent.
pub struct Key(sfv::String);

/// When there may be room for another key.
const FULL_RETRY: Duration = Duration::from_secs(60);
/// Not of an answer to be given again: it speaks of the wish of the first request.
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Whose turn it is under a key.
pub enum Turn {
    /// This request's: the action is to be done.
    First(Claim),
    /// Nobody's: this is what was answered.
    Again(Arc<KeptAnswer>),
    /// Nobody's: the operation is over, and is what was answered, or would have been.
    Over(Arc<Operation>),
    /// The action was done, or may have been, but nobody was answered: a crash, or a
    /// caller that went away while it waited. This request is answered with what has
    /// become of it.
    Unanswered(Claim, Arc<Operation>),
}

/// The key in the request, if it has one.
///
/// # Errors
/// 400 `invalid-header` for anything but one string in quotes (RFC 9651 section 3.3.3).
pub fn key(request: &HttpRequest) -> Result<Option<Key>, Problem> {
    let mut lines = request.headers().get_all(IDEMPOTENCY_KEY);
    let line = match (lines.next(), lines.next()) {
        (None, _) => return Ok(None),
        (Some(line), None) => line,
        (Some(_), Some(_)) => {
            return Err(invalid("There is more than one Idempotency-Key."));
        }
    };
    let item = Parser::new(line.as_bytes()).parse::<Item>();
    match item.map(|item| item.bare_item) {
        Ok(BareItem::String(key)) if (1..=MAX_KEY).contains(&key.as_str().len()) => {
            Ok(Some(Key(key)))
        }
        Ok(BareItem::String(_)) => Err(invalid(
            "The Idempotency-Key must have 1 to 255 characters.",
        )),
        _ => Err(invalid(
            "The Idempotency-Key is not a string in double quotes, as in \
             Idempotency-Key: \"8e03978e-40d5-43e8-bc93-6894a57f9324\".",
        )),
    }
}

fn invalid(detail: &str) -> Problem {
    Problem::new(
        ProblemCode::InvalidHeader,
        format!("{detail} The request was not sent."),
    )
}

impl Key {
    /// What is asked for under it: the action and what it is done to, however the
    /// request spelled that.
    #[must_use]
    pub fn asks<R: Right>(&self, permit: &Permit<R>, notify: &[Email]) -> Idempotency {
        let caller: &CallerName = permit.caller();
        let whom = notify.iter().map(Email::as_str);
        let what = [
            permit.action().as_str(),
            permit.target().publisher().as_str(),
            permit.target().offer().as_str(),
        ];
        Idempotency {
            key: digest([caller.as_str(), self.0.as_str()].into_iter()),
            payload: digest(what.into_iter().chain(whom)),
        }
    }
}

/// Of the parts in their order, each with its length, so that no two lists are alike.
fn digest<'a>(parts: impl Iterator<Item = &'a str>) -> Digest {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    Digest::from(<[u8; 32]>::from(sha.finalize()))
}

/// Whose turn it is.
///
/// # Errors
/// 409 `idempotency-key-in-use` while the first request is being answered, 422
/// `idempotency-key-reused` if it asked for something else, 503 if the ledger does not
/// say. Nothing was sent.
pub async fn turn(gate: &Gate, asked: Idempotency) -> Result<Turn, Problem> {
    let id = match gate.ledger.claim(asked) {
        Claimed::New(claim) => return Ok(Turn::First(claim)),
        Claimed::Given(answer) => return Ok(Turn::Again(answer)),
        Claimed::InUse { same_payload: true } => return Err(in_use()),
        Claimed::InUse {
            same_payload: false,
        } => return Err(reused()),
        Claimed::Full => return Err(full()),
        Claimed::Bound(id) => id,
    };
    let take_over = || gate.ledger.take_over(asked, id).ok_or_else(in_use);
    let known = gate.ledger.find(id).await?;
    let known = known.filter(|operation| operation.consumes_idempotency_key());
    let Some(operation) = known else {
        return Ok(Turn::First(take_over()?));
    };
    if operation.idempotency.as_deref() != Some(&asked) {
        return Err(reused());
    }
    match gate.ledger.answer(id).await? {
        Some(answer) => Ok(Turn::Again(Arc::new(answer))),
        None if operation.status.is_final() => Ok(Turn::Over(operation)),
        None => {
            let claim = take_over()?;
            // Somebody else may have had it, and answered, in the meantime.
            match gate.ledger.answer(id).await? {
                Some(answer) => Ok(Turn::Again(Arc::new(answer))),
                None => Ok(Turn::Unanswered(claim, operation)),
            }
        }
    }
}

fn in_use() -> Problem {
    let detail = "The first request with this Idempotency-Key has not been answered yet.";
    Problem::new(ProblemCode::IdempotencyKeyInUse, detail).retry_after(IN_USE_RETRY)
}

fn full() -> Problem {
    let detail = "As many keys are kept as the gateway has room for; ask without one, or later.";
    Problem::new(ProblemCode::Overloaded, detail).retry_after(FULL_RETRY)
}

fn reused() -> Problem {
    let detail = "This Idempotency-Key came with another request before; nothing was done.";
    Problem::new(ProblemCode::IdempotencyKeyReused, detail)
}

/// An answer as it is kept.
///
/// # Errors
/// 500 if its body is no plain bytes, which no answer to an action has.
pub fn write_down(response: HttpResponse, operation: OperationId) -> Result<KeptAnswer, Problem> {
    let status = response.status().as_u16();
    let mut headers = String::new();
    let said = response.headers().iter();
    for (name, value) in said.filter(|(name, _)| *name != PREFERENCE_APPLIED) {
        if let Ok(value) = value.to_str() {
            headers.push_str(name.as_str());
            headers.push_str(": ");
            headers.push_str(value);
            headers.push('\n');
        }
    }
    let body = response.into_body().try_into_bytes();
    let body =
        body.map_err(|_| Problem::new(ProblemCode::InternalError, "The answer is not whole."))?;
    Ok(KeptAnswer {
        operation,
        status,
        headers,
        body: body.into(),
    })
}

/// The answer that was kept.
#[must_use]
pub fn read(answer: &KeptAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status).body(answer.body.clone());
    for line in answer.headers.lines() {
        let Some((name, value)) = line.split_once(": ") else {
            continue;
        };
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// The code of the problem that was kept, if it was one.
#[must_use]
pub fn problem_code(answer: &KeptAnswer) -> Option<ProblemCode> {
    #[derive(Deserialize)]
    struct Document {
        code: String,
    }
    if answer.status < 400 {
        return None;
    }
    let document: Document = serde_json::from_slice(&answer.body).ok()?;
    ProblemCode::from_word(&document.code)
}

/// Refuses a key where there is nothing that it could be for.
///
/// # Errors
/// 400 `invalid-header`
pub fn refuse(request: &HttpRequest) -> Result<(), Problem> {
    if request.headers().contains_key(IDEMPOTENCY_KEY) {
        return Err(invalid("Idempotency-Key has no meaning for a GET."));
    }
    Ok(())
}

/// Says of an answer that nothing was done for it.
#[must_use]
pub fn replayed(mut response: HttpResponse) -> HttpResponse {
    let yes = HeaderValue::from_static("true");
    response.headers_mut().insert(REPLAYED, yes);
    response
}

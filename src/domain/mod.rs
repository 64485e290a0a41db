//! The words of the house: identifiers, actions, callers, operations, secrets.
//!
//! Everyone may import this module and it imports nobody. Whatever comes from
//! outside is parsed into one of these types at the edge and never checked again.

mod action;
mod caller;
mod email;
mod evidence;
mod glob;
mod idempotency;
mod ids;
mod operation;
mod problem_code;
mod redact;
mod san;
mod secret;
mod target;

pub use action::{Action, UnknownAction};
pub use caller::{Caller, CallerName, IDENTIFYING_CLAIMS, InvalidCallerName, Rule};
pub use email::{Email, InvalidEmail, MAX_EMAILS};
pub use evidence::Evidence;
pub use glob::{Glob, InvalidGlob};
pub use idempotency::{Digest, FirstAnswer, Idempotency, PortalProblem};
pub use ids::{InvalidId, OfferId, OperationId, PublisherId, RequestId};
pub use operation::{
    Delivered, Operation, OperationError, Outcome, PortalError, PortalFacts, Status, now,
};
pub use problem_code::{Origin, ProblemCode};
pub use redact::{Redactor, TokenHistory};
pub use san::{InvalidSan, San};
pub use secret::{ApiKeyHash, InvalidApiKeyHash, Secret};
pub use target::Target;

//! The vocabulary of the program: identifiers, actions, callers, operations, secrets.
//!
//! Every room may import this one, and it imports none. Input is parsed into these types
//! where it enters the program and needs no further validation.

mod action;
mod address_range;
mod byte_order_mark;
mod caller;
mod certificate;
pub mod clock;
mod credential;
mod durability;
mod egress;
mod email;
mod evidence;
mod first_answer;
mod glob;
mod idempotency;
mod ids;
mod json;
mod jwt;
mod limits;
mod operation;
mod problem_code;
mod redact;
mod san;
mod secret;
mod spelling;
mod target;
mod time;

pub use action::{Action, UnknownAction};
pub use address_range::AddressRange;
pub use byte_order_mark::without_byte_order_mark;
pub use caller::{Caller, CallerName, IDENTIFYING_CLAIMS, InvalidCallerName, Rule};
pub use certificate::{Certificate, CertificateKey, EXPIRY_WARNING_DAYS, Validity};
pub use credential::{
    Application, AssertionAlgorithm, CredentialKind, ManagedEndpoint, TokenEndpoint,
};
pub use durability::Durability;
pub use egress::{Egress, NoProxy, Proxy};
pub use email::{Email, InvalidEmail, MAX_EMAILS};
pub use evidence::Evidence;
pub use first_answer::{FirstAnswer, PortalProblem};
pub use glob::{Glob, InvalidGlob};
pub use idempotency::{Digest, Idempotency};
pub use ids::{InvalidId, OfferId, OperationId, PublisherId, RequestId};
pub use json::{parse_json, parse_json_leniently};
pub use jwt::{ClaimMatch, JWT_ALGORITHMS, TokenRules};
pub use limits::{CallerLimits, Limit, RateLimit, SharedCapacity};
pub use operation::{
    Delivered, Operation, OperationError, Outcome, PortalError, PortalFacts, Status,
};
pub use problem_code::{Origin, ProblemCode};
pub use redact::{Redactor, TokenHistory};
pub use san::{InvalidSan, San};
pub use secret::{ApiKeyHash, InvalidApiKeyHash, Secret};
pub use spelling::nearest;
pub use target::Target;
pub use time::{serialize_optional_time, serialize_time};

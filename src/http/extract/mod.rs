//! The parts of a request, parsed and validated: one file for each.

mod action_body;
mod caller;
mod idempotency_key;
mod offer;
mod prefer;

use std::rc::Rc;

use actix_web::HttpRequest;

use super::Problem;
use super::access_log::AccessLog;
use crate::domain::ProblemCode;

pub use action_body::action_body;
#[cfg(any(test, feature = "fuzzing"))]
pub use action_body::parse as parse_action_body;
pub use caller::{Authenticated, authenticate, reauthenticate};
pub use idempotency_key::{idempotency_key, refuse_idempotency_key};
pub use offer::{permit, refuse_unsupported};
pub use prefer::preferred_wait;

/// The request's record in the access log.
///
/// # Errors
/// 500 without the middleware that begins it: no request is handled unlogged.
pub fn access_log(request: &HttpRequest) -> Result<Rc<AccessLog>, Problem> {
    let log = AccessLog::of(request).ok_or_else(|| {
        let detail = "The access log's middleware is missing.";
        Problem::new(ProblemCode::InternalError, detail)
    })?;
    // Now, since the client may be gone before the handler's end.
    log.set_route(request);
    Ok(log)
}

//! Who is asking: the credential in the request, turned into a caller.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;

use super::Problem;
use crate::domain::Caller;
use crate::identity::{ApiKeys, KeyRefused};
use crate::telemetry::AccessLog;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The caller that the request's API key names. Several keys name nobody.
///
/// # Errors
/// 401 `unauthenticated`, the same for every reason.
pub fn authenticate(
    request: &HttpRequest,
    keys: &ApiKeys,
    log: &AccessLog,
) -> Result<Arc<Caller>, Problem> {
    let mut presented = request.headers().get_all(API_KEY);
    let key = match (presented.next(), presented.next()) {
        (Some(key), None) => key.as_bytes(),
        (None, _) | (Some(_), Some(_)) => return Err(KeyRefused.into()),
    };
    let caller = keys.authenticate(key)?;
    let _first = log.caller.set(caller.name.clone());
    Ok(caller)
}

//! The offer in the path, and the caller's permit to do something to it.

use actix_web::HttpRequest;
use actix_web::http::header;

use super::Authenticated;
use crate::domain::{Caller, OfferId, ProblemCode, PublisherId};
use crate::http::Problem;
use crate::http::access_log::AccessLog;
use crate::policy::{Permit, Right};

/// The caller's permit for the offer in the path.
///
/// # Errors
/// 400 for a malformed id, 403 `caller-not-allowed`.
pub fn permit<R: Right>(
    request: &HttpRequest,
    authenticated: &Authenticated,
    log: &AccessLog,
) -> Result<Permit<R>, Problem> {
    let Authenticated { caller, access } = authenticated;
    let offer = offer(request)?;
    let publisher = publisher(request, caller)?;
    let _first = log.offer.set(offer.clone());
    let _first = log.publisher.set(publisher.clone());
    Ok(access.policy.permit(caller, &publisher, &offer)?)
}

fn offer(request: &HttpRequest) -> Result<OfferId, Problem> {
    let text = request.match_info().get("offerId").unwrap_or_default();
    OfferId::parse(text).map_err(|error| {
        Problem::new(
            ProblemCode::InvalidOfferId,
            format!("The offer id {error}."),
        )
    })
}

/// The publisher in the path, or the caller's default one.
fn publisher(request: &HttpRequest, caller: &Caller) -> Result<PublisherId, Problem> {
    let Some(text) = request.match_info().get("publisherId") else {
        return caller.default_publisher.clone().ok_or_else(|| {
            let detail = "This caller has no default_publisher. Name the publisher: \
                          /publishers/{publisherId}/offers/…";
            Problem::new(ProblemCode::InvalidPublisherId, detail)
        });
    };
    PublisherId::parse(text).map_err(|error| {
        let detail = format!("The publisher id {error}.");
        Problem::new(ProblemCode::InvalidPublisherId, detail)
    })
}

/// Refuses what would change an action's meaning and is not supported.
///
/// # Errors
/// 400 for `If-Match` and for a query.
pub fn refuse_unsupported(request: &HttpRequest) -> Result<(), Problem> {
    if request.headers().contains_key(header::IF_MATCH) {
        let detail = "Actions do not support If-Match; nothing was sent.";
        return Err(Problem::new(ProblemCode::InvalidHeader, detail));
    }
    if !request.query_string().is_empty() {
        let detail = "Actions do not support a query; nothing was sent.";
        return Err(Problem::new(ProblemCode::InvalidQuery, detail));
    }
    Ok(())
}

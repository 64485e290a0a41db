//! `/offers/{offerId}/…`: what can be done to an offer.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::acting::{Acting, Begun};
use super::caller::Asking;
use super::{Gate, Problem, body, caller, idempotency};
use crate::domain::{Caller, Email, OfferId, ProblemCode, PublisherId};
use crate::operation::Work;
use crate::policy::{Permit, Right};
use crate::telemetry::AccessLog;

/// `POST /offers/{offerId}/cancel`
///
/// # Errors
/// Any problem of the contract.
pub async fn cancel(
    request: HttpRequest,
    gate: web::Data<Gate>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let log = super::log(&request)?;
    let asking = caller::authenticate(&request, &gate, &log).await?;
    let permit = permit(&request, &asking, &log)?;
    refuse_unsupported(&request)?;
    let key = idempotency::key(&request)?;
    let notify = notify(&request, payload, &gate).await?;
    let acting = Acting::on(&request, &gate, &log);
    let asked = key.map(|key| key.asks(&permit, &notify));
    let claim = match acting.begin(asked).await? {
        Begun::ToDo(claim) => claim,
        Begun::Answered(answer) => return Ok(answer),
    };
    let work = Work {
        place: asking.access.quotas.place(permit.caller())?,
        permit,
        request_id: log.request_id.clone(),
        notify,
        keyed: claim.map(|claim| acting.keyed(claim)),
    };
    acting.conclude(gate.desk.cancel(work).await).await
}

/// Whom the body asks to notify.
async fn notify(
    request: &HttpRequest,
    payload: web::Payload,
    gate: &Gate,
) -> Result<Vec<Email>, Problem> {
    let body = body::read(request, payload, gate.limits.body).await?;
    if !body.is_empty() {
        body::check_media_type(request)?;
    }
    body::notify(&body)
}

/// That the caller may do this to the offer in the path.
fn permit<R: Right>(
    request: &HttpRequest,
    asking: &Asking,
    log: &AccessLog,
) -> Result<Permit<R>, Problem> {
    let offer = offer(request)?;
    let publisher = publisher(request, &asking.caller)?;
    let _first = log.offer.set(offer.clone());
    let _first = log.publisher.set(publisher.clone());
    let Asking { caller, access } = asking;
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

/// The publisher in the path, else the caller's own.
fn publisher(request: &HttpRequest, caller: &Caller) -> Result<PublisherId, Problem> {
    let invalid = |detail: String| Problem::new(ProblemCode::InvalidPublisherId, detail);
    match request.match_info().get("publisherId") {
        Some(text) => {
            PublisherId::parse(text).map_err(|error| invalid(format!("The publisher id {error}.")))
        }
        None => caller.default_publisher.clone().ok_or_else(|| {
            invalid(
                "You have no default publisher; name one: /publishers/{publisherId}/offers/…"
                    .into(),
            )
        }),
    }
}

/// What would change an action's meaning, and is not built, is refused and never
/// ignored.
fn refuse_unsupported(request: &HttpRequest) -> Result<(), Problem> {
    if request.headers().contains_key(header::IF_MATCH) {
        let detail = "If-Match has no meaning for an action; the request was not sent.";
        return Err(Problem::new(ProblemCode::InvalidHeader, detail));
    }
    if !request.query_string().is_empty() {
        let detail = "An action takes no query; the request was not sent.";
        return Err(Problem::new(ProblemCode::InvalidQuery, detail));
    }
    Ok(())
}

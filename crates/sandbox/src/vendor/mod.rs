//! The portal: who may call (token, version, publisher), then one handler a call. The checks
//! run in the vendor's order, and nothing changes before all of them have passed.

mod actions;
mod catalog;
mod document;
mod error;
mod reads;

use jiff::Timestamp;
use uuid::Uuid;

use super::entra::TokenError;
use super::offer::OfferError;
use super::route::{Call, Route};
use super::state::SandboxState;
use super::wire::{Request, Response};

pub(super) use error::PortalError;

const API_VERSION: &str = "2017-10-31";
const CORRELATION: &str = "X-Ms-Correlation-Request-Id";

/// Executes a call to the portal.
pub(super) fn call(state: &SandboxState, route: &Route, request: &Request) -> Response {
    let now = Timestamp::now();
    let response = authorize(state, request, now)
        .and_then(|()| dispatch(state, route, request, now))
        .unwrap_or_else(|error| error.response());
    let mut response = identified(response);
    if let Some(key) = route.key() {
        let mut offers = state.offers.lock();
        response.dated = offers
            .get_or_create(key, now)
            .is_none_or(|offer| offer.behaviour.date);
    }
    response
}

/// Adds the correlation id that every response of the portal has.
pub(super) fn identified(response: Response) -> Response {
    response.with(CORRELATION, Uuid::new_v4().to_string())
}

fn authorize(state: &SandboxState, request: &Request, now: Timestamp) -> Result<(), PortalError> {
    let header = request.header("authorization");
    let bearer = header.and_then(|value| {
        let (scheme, token) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let token = bearer.ok_or(PortalError::Token(TokenError::OfferError))?;
    state
        .tokens
        .lock()
        .check(token, now)
        .map_err(PortalError::Token)?;
    match request.query_value("api-version").as_deref() {
        Some(API_VERSION) => Ok(()),
        _ => Err(PortalError::ApiVersion),
    }
}

fn dispatch(
    state: &SandboxState,
    route: &Route,
    request: &Request,
    now: Timestamp,
) -> Result<Response, PortalError> {
    let method = request.method.as_str();
    let allowed: &[&str] = match route {
        Route::Unknown | Route::Control(_) | Route::Token { .. } | Route::ManagedIdentity(_) => {
            return Err(PortalError::NoRoute(request.path.clone()));
        }
        Route::Offer {
            call: Call::Definition,
            ..
        } => &["GET", "PUT"],
        route if route.is_action() => &["POST"],
        _ => &["GET"],
    };
    if !allowed.contains(&method) {
        return Err(PortalError::Method(method.to_owned(), allowed.join(", ")));
    }
    // The vendor's web server refuses a write without Content-Length, even an empty one.
    if method != "GET" && !request.framed {
        return Err(PortalError::LengthRequired);
    }
    let mut offers = state.offers.lock();
    let (key, call) = match route {
        Route::Publishers => return Ok(catalog::publishers()),
        Route::Offers { publisher } => {
            return catalog::offers(&mut offers, publisher, request, now);
        }
        Route::Offer { key, call } => (key, call),
        _ => return Err(PortalError::NoRoute(request.path.clone())),
    };
    if (call, method) == (&Call::Definition, "PUT") {
        return catalog::write(&mut offers, key, request, now);
    }
    let offer = offers.visible(key, now).map_err(|error| match error {
        OfferError::Forbidden => PortalError::Forbidden,
        OfferError::NotFound => PortalError::NoOffer(key.offer.clone()),
    })?;
    let response = match call {
        Call::Definition => Ok(catalog::read(offer)),
        Call::Version(number) => catalog::version(offer, number),
        Call::Slot(name) => catalog::slot(offer, name),
        Call::Status => Ok(reads::status(offer)),
        Call::Submissions => Ok(reads::submissions(offer, request)),
        Call::Operation(id) => reads::operation(offer, id),
        Call::NamedOperation(slot) => reads::named_operation(offer, slot),
        Call::Cancel | Call::Publish | Call::GoLive => actions::execute(offer, call, request, now),
    };
    drop(offers);
    if route.is_action() && response.is_ok() {
        state.notify();
    }
    response
}

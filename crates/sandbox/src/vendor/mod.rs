//! The portal's side: who may call (token, version, publisher), then one handler a call. The
//! order of the checks is the vendor's, and nothing is changed before all of them passed.

mod actions;
mod catalog;
mod document;
mod error;
mod reads;

use jiff::Timestamp;
use uuid::Uuid;

use super::entra::Rejected;
use super::offer::Absent;
use super::route::{Call, Route};
use super::wire::{Answer, Request};
use super::world::World;

pub(super) use error::Fault;

const API_VERSION: &str = "2017-10-31";
const CORRELATION: &str = "X-Ms-Correlation-Request-Id";

/// Carries out a call to the portal.
pub(super) fn call(world: &World, route: &Route, request: &Request) -> Answer {
    let now = Timestamp::now();
    let answer = admit(world, request, now)
        .and_then(|()| dispatch(world, route, request, now))
        .unwrap_or_else(|fault| fault.answer());
    let mut answer = identified(answer);
    if let Some(key) = route.key() {
        let mut offers = world.offers();
        answer.dated = offers
            .touch(key, now)
            .is_none_or(|offer| offer.behaviour.date);
    }
    answer
}

/// Marks an answer as the portal's, as every one is.
pub(super) fn identified(answer: Answer) -> Answer {
    answer.with(CORRELATION, Uuid::new_v4().to_string())
}

fn admit(world: &World, request: &Request, now: Timestamp) -> Result<(), Fault> {
    let header = request.header("authorization");
    let bearer = header.and_then(|value| {
        let (scheme, token) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let token = bearer.ok_or(Fault::Token(Rejected::Absent))?;
    world.book().check(token, now).map_err(Fault::Token)?;
    match request.query_value("api-version").as_deref() {
        Some(API_VERSION) => Ok(()),
        _ => Err(Fault::ApiVersion),
    }
}

fn dispatch(
    world: &World,
    route: &Route,
    request: &Request,
    now: Timestamp,
) -> Result<Answer, Fault> {
    let method = request.method.as_str();
    let allowed: &[&str] = match route {
        Route::Nothing | Route::Control(_) | Route::Token { .. } | Route::ManagedIdentity(_) => {
            return Err(Fault::Nowhere(request.path.clone()));
        }
        Route::Publishers | Route::Offers { .. } => &["GET"],
        Route::Offer { call, .. } => match call {
            Call::Definition => &["GET", "PUT"],
            Call::Cancel | Call::Publish | Call::GoLive => &["POST"],
            _ => &["GET"],
        },
    };
    if !allowed.contains(&method) {
        return Err(Fault::Method(method.to_owned(), allowed.join(", ")));
    }
    // The vendor's web server wants to know where the body of a write ends, even if there
    // is none; who leaves Content-Length out never reaches the portal.
    if method != "GET" && !request.framed {
        return Err(Fault::LengthRequired);
    }
    let mut offers = world.offers();
    let (key, call) = match route {
        Route::Publishers => return Ok(catalog::publishers()),
        Route::Offers { publisher } => {
            return catalog::offers(&mut offers, publisher, request, now);
        }
        Route::Offer { key, call } => (key, call),
        _ => return Err(Fault::Nowhere(request.path.clone())),
    };
    if (call, method) == (&Call::Definition, "PUT") {
        let answer = catalog::write(&mut offers, key, request, now)?;
        return Ok(answer);
    }
    let offer = offers.visible(key, now).map_err(|absent| match absent {
        Absent::Forbidden => Fault::Forbidden,
        Absent::Missing => Fault::NoOffer(key.offer.clone()),
    })?;
    let answer = match call {
        Call::Definition => Ok(catalog::read(offer)),
        Call::Version(number) => catalog::version(offer, number),
        Call::Slot(name) => catalog::slot(offer, name),
        Call::Status => Ok(reads::status(offer)),
        Call::Submissions => Ok(reads::submissions(offer, request)),
        Call::Operation(id) => reads::operation(offer, id),
        Call::NamedOperation(slot) => reads::named_operation(offer, slot),
        Call::Cancel => actions::cancel(offer, request, now),
        Call::Publish => actions::publish(offer, request, now),
        Call::GoLive => actions::go_live(offer, request, now),
    };
    drop(offers);
    if route.is_action() && answer.is_ok() {
        world.ring();
    }
    answer
}

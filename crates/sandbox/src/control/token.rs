//! How the next tokens are to be, how many calls for one are allowed, and the end of those
//! handed out.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refused, ok, parameters};
use crate::entra::{Allowance, Book, Controls, InForm};
use crate::wire::{Answer, Request};
use crate::world::World;

/// What is given changes; what is not stays.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Change {
    expires_in: Option<u32>,
    expires_in_form: Option<InForm>,
    same_token: Option<bool>,
}

pub(super) fn controls(world: &World, request: &Request) -> Result<Answer, Refused> {
    parameters(request, &[])?;
    let mut book = world.book();
    match request.method.as_str() {
        "GET" => {}
        "POST" => {
            let change: Change = request.json()?;
            let old = book.controls().clone();
            book.set_controls(Controls {
                expires_in: change.expires_in.unwrap_or(old.expires_in),
                expires_in_form: change.expires_in_form.unwrap_or(old.expires_in_form),
                same_token: change.same_token.unwrap_or(old.same_token),
            });
        }
        "DELETE" => book.set_controls(Controls::default()),
        _ => return Err(Refused::Method("GET, POST, DELETE")),
    }
    Ok(ok(&describe(&book)))
}

pub(super) fn revoke(world: &World, request: &Request) -> Result<Answer, Refused> {
    if request.method != "POST" {
        return Err(Refused::Method("POST"));
    }
    let mut book = world.book();
    book.revoke_all();
    Ok(ok(&describe(&book)))
}

/// The body of `PUT /_sandbox/token/allowance`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Calls {
    calls: u64,
}

/// How many calls for a token are allowed, counted from the moment it is said.
pub(super) fn allowance(world: &World, request: &Request) -> Result<Answer, Refused> {
    parameters(request, &[])?;
    let mut allowance = world.allowance();
    match request.method.as_str() {
        "GET" => {}
        "PUT" => *allowance = Allowance::of(Some(request.json::<Calls>()?.calls)),
        "DELETE" => *allowance = Allowance::default(),
        _ => return Err(Refused::Method("GET, PUT, DELETE")),
    }
    Ok(ok(&allowance.to_json()))
}

fn describe(book: &Book) -> Value {
    let controls = book.controls();
    json!({
        "expiresIn": controls.expires_in,
        "expiresInForm": controls.expires_in_form,
        "sameToken": controls.same_token,
        "tenantId": book.mint().tenant_id(),
        "issued": book.issued(),
        "live": book.live(Timestamp::now()),
    })
}

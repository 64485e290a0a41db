//! `/_sandbox/`: how a test tells the vendor what to do, and asks it what is true. Not part
//! of what is emulated, and strict where the vendor is lax: an unknown member, parameter or
//! name is refused with a sentence that says what there is.

mod credentials;
mod journal;
mod offers;
mod token;

use serde_json::{Value, json};

use super::faults::{Order, Unordered};
use super::offer::NAMES;
use super::wire::{Answer, Request};
use super::world::World;

const HELP: &str = include_str!("help.txt");

/// Why a control call is refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Request(String),
    #[error("{0}")]
    Missing(String),
    #[error("this path has {0}")]
    Method(&'static str),
    #[error("{0}")]
    Conflict(String),
    #[error("a browser has no business here: the request carries an Origin header")]
    Browser,
}

impl Refused {
    fn answer(&self) -> Answer {
        let status = match self {
            Self::Request(_) => 400,
            Self::Missing(_) => 404,
            Self::Method(_) => 405,
            Self::Conflict(_) => 409,
            Self::Browser => 403,
        };
        let answer = Answer::json(status, &json!({"error": self.to_string()}));
        match self {
            Self::Method(allowed) => answer.with("Allow", *allowed),
            _ => answer,
        }
    }
}

impl From<serde_json::Error> for Refused {
    fn from(error: serde_json::Error) -> Self {
        Self::Request(error.to_string())
    }
}

/// The answer to a control call; `segments` are those behind `/_sandbox`.
pub(super) async fn answer(world: &World, request: &Request, segments: &[String]) -> Answer {
    route(world, request, segments)
        .await
        .unwrap_or_else(|refused| refused.answer())
        .with("X-Content-Type-Options", "nosniff")
        .with("Cache-Control", "no-store")
}

async fn route(world: &World, request: &Request, segments: &[String]) -> Result<Answer, Refused> {
    // A web page in somebody's browser must not be able to drive a sandbox on loopback.
    if request.header("origin").is_some() {
        return Err(Refused::Browser);
    }
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        [] => match request.method.as_str() {
            "GET" => Ok(Answer::text(200, &help())),
            _ => Err(Refused::Method("GET")),
        },
        ["reset"] => match request.method.as_str() {
            "POST" => Ok(reset(world)),
            _ => Err(Refused::Method("POST")),
        },
        ["journal"] => journal::answer(world, request).await,
        ["faults"] => faults(world, request),
        ["faults", id] => match request.method.as_str() {
            "DELETE" if world.faults().remove(id) => Ok(Answer::empty(204)),
            "DELETE" => Err(Refused::Missing(format!("no order {id} is waiting"))),
            _ => Err(Refused::Method("DELETE")),
        },
        ["token"] => token::controls(world, request),
        ["token", "revoke"] => token::revoke(world, request),
        ["token", "allowance"] => token::allowance(world, request),
        ["token", "secrets"] => credentials::secrets(world, request),
        ["certificates"] => credentials::certificates(world, request),
        ["federated"] => credentials::federated(world, request),
        ["identity"] => credentials::identity(world, request),
        ["offers", publisher, offer] => offers::offer(world, request, publisher, offer).await,
        ["offers", publisher, offer, step] => offers::step(world, request, publisher, offer, step),
        _ => Err(Refused::Missing(
            "there is no such control; GET /_sandbox/ lists them".into(),
        )),
    }
}

/// The help page, with the names of the scenarios eight to a line.
fn help() -> String {
    let lines: Vec<String> = NAMES.chunks(8).map(|names| names.join(" ")).collect();
    HELP.replace("{scenarios}", &lines.join("\n           "))
}

fn faults(world: &World, request: &Request) -> Result<Answer, Refused> {
    let mut faults = world.faults();
    match request.method.as_str() {
        "GET" => Ok(Answer::json(200, &faults.list())),
        "POST" => {
            let added = Order::parse(&request.body).and_then(|order| faults.add(order));
            match added {
                Ok(description) => Ok(Answer::json(201, &description)),
                Err(error @ Unordered::Full) => Err(Refused::Conflict(error.to_string())),
                Err(error) => Err(Refused::Request(error.to_string())),
            }
        }
        "DELETE" => {
            faults.clear();
            Ok(Answer::empty(204))
        }
        _ => Err(Refused::Method("GET, POST, DELETE")),
    }
}

/// Back to the beginning; tokens stay good, because whoever holds one did nothing wrong.
fn reset(world: &World) -> Answer {
    world.offers().clear();
    world.faults().clear();
    world.journal.clear();
    world.application().reset(&world.options);
    *world.allowance() = super::entra::Allowance::default();
    world.book().set_controls(super::entra::Controls::default());
    world.ring();
    Answer::empty(204)
}

/// The query's parameters, all of which must be among `known`.
fn parameters(request: &Request, known: &[&str]) -> Result<Vec<(String, String)>, Refused> {
    let pairs = request.query_pairs();
    match pairs
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()))
    {
        None => Ok(pairs),
        Some((name, _)) => Err(Refused::Request(format!(
            "no parameter is called {name:?}; there are: {}",
            known.join(", ")
        ))),
    }
}

/// A parameter that is a number.
fn number(name: &str, value: &str) -> Result<u64, Refused> {
    value
        .parse()
        .map_err(|_| Refused::Request(format!("{name} must be a number, not {value:?}")))
}

fn ok(document: &Value) -> Answer {
    Answer::json(200, document)
}

//! The public listener: the whole route table, and what its handlers share.
//!
//! A handler is a list of named steps and names its policy; a [`Problem`] is the
//! only error there is, rendered in one place by the guard around all routes.

mod access;
mod acting;
mod body;
mod caller;
mod connection;
mod events;
mod failure;
mod guard;
mod idempotency;
mod multiplex;
mod offers;
mod operations;
mod prefer;
mod problem;
mod problems;
mod quota;
mod waiting;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServiceFactory;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, Resource, Route, web};
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;

// Under its short name for the files that have not been renamed yet.
use crate::domain::{ProblemCode, ProblemCode as Code};
use crate::ledger::LedgerClient;
use crate::operation::Desk;
use crate::telemetry::{AccessLog, AccessSpan, RouteTemplate};

pub use access::{Access, CurrentAccess};
pub use body::BodyLimits;
pub use connection::{peer_certificate, watch_connection};
pub use guard::HeadLimits;
pub use multiplex::Counted;
pub use problem::Problem;
pub use quota::{Limits as CallerLimits, Quotas, Rate};
pub use waiting::Room;

/// What handlers need, on one thread.
pub struct Gate {
    /// Who may ask, and for what.
    pub access: CurrentAccess,
    /// Where their actions are taken in.
    pub desk: Rc<Desk>,
    /// Where their operations are.
    pub ledger: LedgerClient,
    /// Where callers reach us: no last slash.
    pub public_url: Arc<str>,
    /// Where the vendor is: no last slash.
    pub portal_url: Arc<str>,
    /// How often it is worth asking for an unfinished operation.
    pub poll: Duration,
    /// The longest that an answer is held back.
    pub max_wait: Duration,
    /// Between two comments on a stream of events.
    pub events_beat: Duration,
    /// Room for those who wait.
    pub room: Room,
    /// Set when waiting ends.
    pub draining: CancellationToken,
    /// How much a request may weigh.
    pub limits: Limits,
}

/// How much a request may weigh.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Its head.
    pub head: HeadLimits,
    /// Its body.
    pub body: BodyLimits,
}

/// The request's record.
///
/// # Errors
/// 500 if the middleware that begins it is missing: nothing runs unlogged.
fn log(request: &HttpRequest) -> Result<Rc<AccessLog>, Problem> {
    AccessLog::of(request)
        .ok_or_else(|| Problem::new(ProblemCode::InternalError, "The gateway is not set up."))
}

/// The application of one thread.
pub fn app(
    gate: web::Data<Gate>,
) -> App<
    impl ServiceFactory<
        actix_web::dev::ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse<impl actix_web::body::MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(gate)
        .configure(routes)
        .default_service(web::to(route_not_found))
        .wrap(from_fn(guard::guard))
        .wrap(TracingLogger::<AccessSpan>::new())
}

/// Every route of the public listener. Scopes are matched by their plain prefix, so
/// that a request meets one pattern and not all of them.
fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::scope("/offers").service(cancel("/offers/{offerId}/cancel")))
        .service(
            web::scope("/operations")
                .service(resource(
                    "/{id}",
                    "/operations/{id}",
                    "GET",
                    web::get().to(operations::show),
                ))
                .service(resource(
                    "/{id}/events",
                    "/operations/{id}/events",
                    "GET",
                    web::get().to(events::stream),
                )),
        )
        .service(
            web::scope("/publishers/{publisherId}/offers")
                .service(cancel("/publishers/{publisherId}/offers/{offerId}/cancel")),
        )
        .service(web::scope("/problems").service(resource(
            "/{code}",
            "/problems/{code}",
            "GET",
            web::get().to(problems::show),
        )));
}

/// The main job, below either prefix.
fn cancel(template: &'static str) -> Resource {
    let handler = web::post().to(offers::cancel);
    resource("/{offerId}/cancel", template, "POST", handler)
}

/// A resource that answers other methods with 405 and says which it takes. Its
/// `template` is what the log calls it.
fn resource(
    path: &'static str,
    template: &'static str,
    allow: &'static str,
    handler: Route,
) -> Resource {
    web::resource(path)
        .app_data(RouteTemplate(template))
        .route(handler)
        .default_service(web::to(move || async move {
            Err::<actix_web::HttpResponse, _>(Problem::method_not_allowed(allow))
        }))
}

async fn route_not_found() -> Result<actix_web::HttpResponse, Problem> {
    Err(Problem::new(
        ProblemCode::RouteNotFound,
        "There is no such route.",
    ))
}

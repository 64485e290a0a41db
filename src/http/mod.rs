//! The public listener: the whole route table.
//!
//! A handler in `routes` is a list of named steps; `extract` reads and checks what the
//! request says. A [`Problem`] is the only error, rendered by the guard around all routes.

mod access;
mod access_log;
mod client_address;
mod connection;
mod extract;
mod guard;
mod long_poll;
mod problem;
mod quota;
mod response;
mod routes;
mod state;

use actix_web::dev::ServiceFactory;
use actix_web::guard::{Any, Get, Head};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, Resource, Route, web};
use tracing_actix_web::TracingLogger;

use crate::domain::ProblemCode;
use crate::policy::Cancel;
use access_log::{RequestSpan, RouteTemplate};
use routes::{events, offers, operations, problems};

pub use access::{Access, CurrentAccess};
pub use connection::{
    CallerStream, Connection, ConnectionConfig, ConnectionTimeouts, peer_certificate,
};
#[cfg(any(test, feature = "fuzzing"))]
pub use extract::{idempotency_key, parse_action_body, preferred_wait};
pub use guard::track;
pub use problem::Problem;
pub use quota::{LongPollLimit, Quotas};
pub use state::{AppState, BodyLimits, HeadLimits, RequestLimits};

/// The application of one thread.
pub fn app(
    state: web::Data<AppState>,
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
        .app_data(state)
        .configure(routes)
        .default_service(web::to(route_not_found))
        .wrap(from_fn(guard::guard))
        .wrap(TracingLogger::<RequestSpan>::new())
}

/// Every route of the public listener. Scopes are matched by their plain prefix, so that
/// a request meets one pattern and not all of them.
fn routes(config: &mut web::ServiceConfig) {
    let monitor = read().to(operations::show);
    let stream = read().to(events::stream);
    let problem = read().to(problems::show);
    config
        .service(web::scope("/offers").service(cancel("/offers/{offerId}/cancel")))
        .service(
            web::scope("/publishers/{publisherId}/offers")
                .service(cancel("/publishers/{publisherId}/offers/{offerId}/cancel")),
        )
        .service(
            web::scope("/operations")
                .service(resource("/{id}", "/operations/{id}", READ, monitor))
                .service(resource(
                    "/{id}/events",
                    "/operations/{id}/events",
                    READ,
                    stream,
                )),
        )
        .service(web::scope("/problems").service(resource(
            "/{code}",
            "/problems/{code}",
            READ,
            problem,
        )));
}

/// The methods of a route that reads.
const READ: &str = "GET, HEAD";

/// A route that reads. The HTTP library leaves out the body of an answer to HEAD.
fn read() -> Route {
    web::route().guard(Any(Get()).or(Head()))
}

fn cancel(template: &'static str) -> Resource {
    let handler = web::post().to(offers::act::<Cancel>);
    resource("/{offerId}/cancel", template, "POST", handler)
}

/// A resource that answers other methods with 405 and `Allow`. The log calls it by its
/// `template`.
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
            Err::<HttpResponse, _>(Problem::method_not_allowed(allow))
        }))
}

async fn route_not_found() -> Result<HttpResponse, Problem> {
    let detail = "Unknown route; docs/api.md lists the routes.";
    Err(Problem::new(ProblemCode::RouteNotFound, detail))
}

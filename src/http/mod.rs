//! The public listener: the whole route table.
//!
//! A handler in `routes` is a list of named steps; `extract` reads and checks what the
//! request says. A [`Problem`] is the only error, rendered by the guard around all routes.
//! `openapi` describes each route; the table demands a description for every method.

mod access;
mod access_log;
mod client_address;
mod connection;
mod extract;
mod guard;
mod long_poll;
mod openapi;
mod page;
mod problem;
mod quota;
mod response;
mod route;
mod routes;
mod state;

use actix_web::dev::ServiceFactory;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, web};
use tracing_actix_web::TracingLogger;

use crate::domain::ProblemCode;
use crate::policy::Cancel;
use access_log::RequestSpan;
use openapi::descriptions;
use route::{ApiMethod, ApiRoute, RouteGroup, Verb};
use routes::{description, events, offers, operations, problems};

pub use access::{Access, CurrentAccess};
pub use connection::{
    CallerStream, Connection, ConnectionConfig, ConnectionTimeouts, peer_certificate,
};
#[cfg(any(test, feature = "fuzzing"))]
pub use extract::{idempotency_key, parse_action_body, preferred_wait};
pub use guard::track;
pub use openapi::Contract;
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
        .configure(|config| ROUTES.iter().for_each(|group| group.register(config)))
        .default_service(web::to(route_not_found))
        .wrap(from_fn(guard::guard))
        .wrap(TracingLogger::<RequestSpan>::new())
}

/// Every route of the public listener.
const ROUTES: &[RouteGroup] = &[
    RouteGroup {
        prefix: "/offers",
        routes: &[ApiRoute {
            path: "/offers/{offerId}/cancel",
            methods: &[ApiMethod {
                verb: Verb::Post,
                id: "cancelOffer",
                handle: |route| route.to(offers::act::<Cancel>),
                describe: descriptions::cancel,
            }],
        }],
    },
    RouteGroup {
        prefix: "/publishers/{publisherId}/offers",
        routes: &[ApiRoute {
            path: "/publishers/{publisherId}/offers/{offerId}/cancel",
            methods: &[ApiMethod {
                verb: Verb::Post,
                id: "cancelPublisherOffer",
                handle: |route| route.to(offers::act::<Cancel>),
                describe: descriptions::cancel_of_publisher,
            }],
        }],
    },
    RouteGroup {
        prefix: "/operations",
        routes: &[
            ApiRoute {
                path: "/operations/{id}",
                methods: &[ApiMethod {
                    verb: Verb::Get,
                    id: "getOperation",
                    handle: |route| route.to(operations::show),
                    describe: descriptions::operation,
                }],
            },
            ApiRoute {
                path: "/operations/{id}/events",
                methods: &[ApiMethod {
                    verb: Verb::Get,
                    id: "streamOperation",
                    handle: |route| route.to(events::stream),
                    describe: descriptions::events,
                }],
            },
        ],
    },
    RouteGroup {
        prefix: "/problems",
        routes: &[ApiRoute {
            path: "/problems/{code}",
            methods: &[ApiMethod {
                verb: Verb::Get,
                id: "explainProblem",
                handle: |route| route.to(problems::show),
                describe: descriptions::problem,
            }],
        }],
    },
    RouteGroup {
        prefix: "",
        routes: &[
            ApiRoute {
                path: "/openapi.json",
                methods: &[ApiMethod {
                    verb: Verb::Get,
                    id: "getDescription",
                    handle: |route| route.to(description::openapi),
                    describe: descriptions::openapi,
                }],
            },
            ApiRoute {
                path: "/docs",
                methods: &[ApiMethod {
                    verb: Verb::Get,
                    id: "getDocumentation",
                    handle: |route| route.to(description::docs),
                    describe: descriptions::docs,
                }],
            },
        ],
    },
];

/// The API's description, for callers that reach the gateway at `public_url`.
#[must_use]
pub fn contract(public_url: &str) -> Contract {
    Contract::new(ROUTES, public_url)
}

async fn route_not_found() -> Result<HttpResponse, Problem> {
    let detail = "Unknown route; GET /docs lists all of them.";
    Err(Problem::new(ProblemCode::RouteNotFound, detail))
}

//! What the description says about each route. A new route gets its function here.

use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Ref, Required, Response, Type};

use super::answers::{answer, json, with_links};
use super::description::{Description, Topic};
use super::examples::{CANCELED, RUNNING, UNKNOWN};
use crate::domain::ProblemCode;

/// The problems of an action: those of the request, then those of the vendor's answer.
const ACTION: &[ProblemCode] = &[
    ProblemCode::InvalidOfferId,
    ProblemCode::InvalidPublisherId,
    ProblemCode::InvalidBody,
    ProblemCode::InvalidQuery,
    ProblemCode::IdempotencyKeyInUse,
    ProblemCode::IdempotencyKeyReused,
    ProblemCode::BodyTooLarge,
    ProblemCode::UnsupportedMediaType,
    ProblemCode::LedgerUnavailable,
    ProblemCode::Overloaded,
    ProblemCode::Draining,
    ProblemCode::CredentialUnavailable,
    ProblemCode::PortalRejectedRequest,
    ProblemCode::PublisherAccessDenied,
    ProblemCode::OfferNotFound,
    ProblemCode::Conflict,
    ProblemCode::PreconditionFailed,
    ProblemCode::PortalValidationFailed,
    ProblemCode::PortalThrottled,
    ProblemCode::PortalRejectedCredential,
    ProblemCode::PortalBadResponse,
    ProblemCode::PortalFailed,
    ProblemCode::PortalTimeout,
];

/// The problems of reading an operation.
const OPERATION: &[ProblemCode] = &[
    ProblemCode::OperationNotFound,
    ProblemCode::LedgerUnavailable,
    ProblemCode::Overloaded,
];

const CANCEL: &str = "Cancels what the vendor is doing with the offer, usually a publish. The \
    vendor takes one to three minutes to act on a cancel, so the answer is mostly 202 with an \
    operation to follow: poll `Operation-Location`, wait with `Prefer: wait=N`, or open its event \
    stream.\n\nThe request is recorded before it is sent, and is sent once. If `status` is \
    `Succeeded`, the vendor's data proves that nothing is running any more; `outcome` says \
    which way. Headers and queries that would change the meaning, such as If-Match, are refused.";

/// `POST /offers/{offerId}/cancel`
pub fn cancel() -> Description {
    Description {
        topic: Topic::Actions,
        summary: "Cancel an offer's publish",
        text: CANCEL,
        headers: &["Idempotency-Key", "Prefer", "X-Request-Id"],
        body: Some(action_body()),
        answers: vec![(200, finished_action()), (202, unfinished_action())],
        problems: ACTION,
        authenticated: true,
    }
}

/// `POST /publishers/{publisherId}/offers/{offerId}/cancel`
pub fn cancel_of_publisher() -> Description {
    Description {
        summary: "Cancel the publish of a publisher's offer",
        text: "The same for callers with more than one publisher. Without a publisher in the path \
               the caller's `default_publisher` applies.",
        ..cancel()
    }
}

/// `GET /operations/{id}`
pub fn operation() -> Description {
    let found = answer(
        "The operation, finished or not. `Retry-After` is there while it is unfinished.",
        &[
            ("Operation-Location", true),
            ("Retry-After", false),
            ("Preference-Applied", false),
            ("RateLimit-Policy", false),
            ("RateLimit", false),
        ],
    );
    Description {
        topic: Topic::Operations,
        summary: "The status monitor",
        text: "Always 200 with the operation if it is the caller's own: `status` tells how it is. \
               The pollers of Azure's SDKs follow it unchanged.",
        headers: &["Prefer", "X-Request-Id"],
        body: None,
        answers: vec![(
            200,
            json(found, "Operation", &[RUNNING, CANCELED, UNKNOWN]).build(),
        )],
        problems: OPERATION,
        authenticated: true,
    }
}

/// `GET /operations/{id}/events`
pub fn events() -> Description {
    let stream = answer(
        "The stream. It ends with the operation.",
        &[
            ("X-Accel-Buffering", true),
            ("RateLimit-Policy", false),
            ("RateLimit", false),
        ],
    );
    let over = answer(
        "The operation has ended, and `Last-Event-ID` names its last state: nothing is left to \
         send, and a client does not reconnect.",
        &[("RateLimit-Policy", false), ("RateLimit", false)],
    );
    let events = ContentBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(
            "retry: 2000\nid: 1764608401482205\ndata: {\"id\":\"01996b2e-7d5c-7c3a-8f3e-2b1a0c9d8e7f\",\
             \"action\":\"cancel\",\"status\":\"Running\",…}\n\n"
                .into(),
        ));
    Description {
        topic: Topic::Operations,
        summary: "Every change of an operation as it happens",
        text: "Server-sent events: each is the whole operation as one line of JSON, and its id \
               names the state. Comments keep the connection open. After a loss, reconnect with \
               `Last-Event-ID`.",
        headers: &["Last-Event-ID", "X-Request-Id"],
        body: None,
        answers: vec![
            (
                200,
                stream.content("text/event-stream", events.build()).build(),
            ),
            (204, over.build()),
        ],
        problems: OPERATION,
        authenticated: true,
    }
}

/// `GET /problems/{code}`
pub fn problem() -> Description {
    let page = answer(
        "The explanation: a page if `Accept` names HTML, as browsers do, else plain text.",
        &[("Vary", true)],
    );
    Description {
        topic: Topic::Contract,
        summary: "What a code means and what to do",
        text: "The page that a problem's `type` leads to. It tells what has happened, what to do, \
               and whether repeating the request helps, also for the codes in an operation's \
               `error`.",
        headers: &["X-Request-Id"],
        body: None,
        answers: vec![(
            200,
            page.content("text/plain", document("conflict (409 Conflict)\n…"))
                .content("text/html", document("<!doctype html>\n…"))
                .build(),
        )],
        problems: &[ProblemCode::RouteNotFound],
        authenticated: false,
    }
}

/// `GET /openapi.json`
pub fn openapi() -> Description {
    let any = ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::Object)));
    Description {
        topic: Topic::Contract,
        summary: "This description, for machines",
        text: "OpenAPI 3.1. It describes the routes that this version has, and no others.",
        headers: &["X-Request-Id"],
        body: None,
        answers: vec![(
            200,
            answer("The OpenAPI document.", &[])
                .content("application/json", any.build())
                .build(),
        )],
        problems: &[],
        authenticated: false,
    }
}

/// `GET /docs`
pub fn docs() -> Description {
    Description {
        topic: Topic::Contract,
        summary: "This description, for people",
        text: "One page, without scripts and without anything from another site.",
        headers: &["X-Request-Id"],
        body: None,
        answers: vec![(
            200,
            answer("The page.", &[])
                .content("text/html", document("<!doctype html>\n…"))
                .build(),
        )],
        problems: &[],
        authenticated: false,
    }
}

fn document(example: &str) -> utoipa::openapi::Content {
    ContentBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(example.into()))
        .build()
}

fn action_body() -> RequestBody {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("ActionBody")))
        .example(Some(
            serde_json::json!({ "notificationEmails": ["release@contoso.example"] }),
        ));
    RequestBodyBuilder::new()
        .description(Some(
            "Whom the vendor notifies. Optional; unknown members are refused.",
        ))
        .required(Some(Required::False))
        .content("application/json", content.build())
        .build()
}

fn finished_action() -> Response {
    let finished = answer(
        "The operation has ended.",
        &[
            ("Operation-Location", true),
            ("Preference-Applied", false),
            ("Idempotent-Replayed", false),
            ("RateLimit-Policy", false),
            ("RateLimit", false),
        ],
    );
    with_links(json(finished, "Operation", &[CANCELED, UNKNOWN])).build()
}

fn unfinished_action() -> Response {
    let unfinished = answer(
        "The operation was recorded and sent, and its end is not known yet: follow it.",
        &[
            ("Operation-Location", true),
            ("Azure-AsyncOperation", true),
            ("Location", true),
            ("Retry-After", true),
            ("Preference-Applied", false),
            ("Idempotent-Replayed", false),
            ("RateLimit-Policy", false),
            ("RateLimit", false),
        ],
    );
    with_links(json(unfinished, "Operation", &[RUNNING])).build()
}

//! Examples of documents, by name. Tests hold them against the schemas.

use serde_json::{Value, json};

use crate::domain::{Origin, ProblemCode};
use crate::operation::{ProblemContext, RequestFailure, reply};

/// A cancel that the vendor has accepted and whose end is not known yet.
pub const RUNNING: &str = "running";
/// One that took effect.
pub const CANCELED: &str = "canceled";
/// One that ended without an answer to what became of it.
pub const UNKNOWN: &str = "outcome-unknown-operation";

const ID: &str = "01996b2e-7d5c-7c3a-8f3e-2b1a0c9d8e7f";
const REQUEST_ID: &str = "release-2026-12-01.4";
const CORRELATION_ID: &str = "2b7ee1a4-3a75-4b4e-8d3f-6d1f0f1a7c55";

/// Every example: its name, what it shows, and the document.
pub fn definitions(public_url: &str) -> Vec<(&'static str, &'static str, Value)> {
    let mut all = vec![
        (
            RUNNING,
            "Accepted, and followed to its end",
            operation(public_url, "Running", Value::Null, Value::Null),
        ),
        (
            CANCELED,
            "The publish was canceled",
            operation(public_url, "Succeeded", json!("canceled"), Value::Null),
        ),
        (
            UNKNOWN,
            "What became of it could not be proven",
            operation(
                public_url,
                "Failed",
                json!("unknown"),
                json!({
                    "code": ProblemCode::OutcomeUnknown.as_str(),
                    "message": "The vendor was throttling (429) when the deadline came, so the \
                                last state could not be read.",
                }),
            ),
        ),
    ];
    let codes = ProblemCode::ALL
        .iter()
        .filter(|code| !code.is_of_operation());
    all.extend(codes.map(|code| (code.as_str(), code.title(), problem(*code, public_url))));
    all
}

fn operation(public_url: &str, status: &str, outcome: Value, error: Value) -> Value {
    json!({
        "id": ID,
        "action": "cancel",
        "status": status,
        "outcome": outcome,
        "offerId": "contoso-vm",
        "publisherId": "contoso",
        "operationLocation": format!("{public_url}/operations/{ID}"),
        "createdAt": "2026-12-01T17:00:00.000000Z",
        "updatedAt": "2026-12-01T17:00:01.482205Z",
        "requestedBy": "release-pipeline",
        "requestId": REQUEST_ID,
        "portal": {
            "httpStatus": 202,
            "status": if status == "Succeeded" { "canceled" } else { "running" },
            "operationLocation": format!(
                "https://cloudpartner.azure.com/api/publishers/contoso/offers/contoso-vm\
                 /operations/56615b67-2185-49fe-80d2-c4ddf77bb2e8"
            ),
            "correlationId": CORRELATION_ID,
            "delivered": "yes",
        },
        "error": error,
    })
}

/// The problem as the gateway itself writes it; the vendor's part is added where it spoke.
fn problem(code: ProblemCode, public_url: &str) -> Value {
    let context = ProblemContext {
        public_url,
        path: match code {
            ProblemCode::OperationNotFound => "/operations/01996b2e-7d5c-7c3a-8f3e-2b1a0c9d8e70",
            ProblemCode::RouteNotFound => "/problems/no-such-code",
            _ => "/offers/contoso-vm/cancel",
        },
        request_id: REQUEST_ID,
    };
    let reply = reply::problem(&RequestFailure::new(code, code.cause()), &context);
    let mut document: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let unreached = matches!(code, ProblemCode::PortalTimeout | ProblemCode::PortalFailed);
    if code.origin() != Origin::Portal {
        return document;
    }
    document["operationLocation"] = format!("{public_url}/operations/{ID}").into();
    if !unreached {
        document["delivered"] = "yes".into();
        document["portal"] = json!({
            "httpStatus": if code.status() == 502 { 401 } else { code.status() },
            "code": "BadRequest",
            "message": "The offer is not in a state that admits this.",
            "correlationId": CORRELATION_ID,
        });
    }
    document
}

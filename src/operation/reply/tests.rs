//! Answers, and that a replay is the first answer again.

use serde_json::{Value, json};

use super::*;
use crate::domain::{PortalError, PortalProblem};

fn config() -> ReplyConfig {
    ReplyConfig {
        public_url: "https://gateway.test".into(),
        portal_url: "https://portal.test".into(),
        poll: Duration::from_millis(4500),
    }
}

fn running() -> Operation {
    let mut operation = Operation::sample();
    operation.portal.http_status = Some(202);
    operation.portal.location = Some("/api/x".into());
    operation.follow(Delivered::Yes);
    operation
}

fn json(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn an_action_is_answered_202_until_it_has_ended() {
    let mut operation = running();
    let location = format!("https://gateway.test/operations/{}", operation.id);
    let reply = action(&operation, Some(Duration::from_secs(3)), &config());
    assert_eq!((reply.status, reply.retry_after), (202, Some(5)));
    assert_eq!(reply.preference_applied, Some(3));
    assert_eq!(reply.operation_location.as_deref(), Some(&*location));
    let document = json(&reply);
    assert_eq!(document["status"], "Running");
    assert_eq!(document["operationLocation"], location);
    let at_vendor = &document["portal"]["operationLocation"];
    assert_eq!(at_vendor, "https://portal.test/api/x");

    assert_eq!(monitor(&operation, None, &config()).status, 200);
    operation.finish(Outcome::Canceled, None);
    let reply = action(&operation, None, &config());
    assert_eq!((reply.status, reply.retry_after), (200, None));
    assert_eq!(reply.preference_applied, None);
}

#[test]
fn a_problem_includes_its_operation() {
    let context = ProblemContext {
        public_url: "https://gateway.test",
        path: "/offers/vm/cancel",
        request_id: "this-request",
    };
    let failure = RequestFailure::new(ProblemCode::RateLimited, "Too many.");
    let reply = problem(&failure, &context);
    assert_eq!(reply.content_type, "application/problem+json");
    let expected = json!({
        "type": "https://gateway.test/problems/rate-limited",
        "title": ProblemCode::RateLimited.title(),
        "status": 429,
        "detail": "Too many.",
        "instance": "/offers/vm/cancel",
        "code": "rate-limited",
        "requestId": "this-request",
        "origin": "gateway",
        "retryable": true,
        "delivered": "no",
    });
    assert_eq!(json(&reply), expected);

    let mut operation = running();
    operation.portal.http_status = Some(503);
    let operation = Arc::new(operation);
    let said = PortalError {
        code: Some("Busy".into()),
        message: None,
    };
    let code = ProblemCode::PortalFailed;
    let failure = RequestFailure::of_operation(PortalProblem { code, said }, &operation);
    let document = json(&problem(&failure, &context));
    assert_eq!(document["requestId"], operation.request_id.as_str());
    assert_eq!(document["origin"], "portal");
    assert_eq!(document["delivered"], "yes");
    assert_eq!(document["portal"]["httpStatus"], 503);
    assert_eq!(document["portal"]["code"], "Busy");
}

#[test]
fn a_replay_is_the_first_answer_again() {
    let (path, config) = ("/offers/vm/cancel", config());
    let refused = {
        let mut operation = running();
        let error = OperationError::new(ProblemCode::OfferNotFound, "No such offer.");
        operation.refuse(Delivered::Yes, error);
        operation
    };
    let problems = [
        (refused, ProblemCode::OfferNotFound, "No such offer."),
        (running(), ProblemCode::PortalFailed, "operationLocation"),
    ];
    for (operation, code, detail) in problems {
        let operation = Arc::new(operation);
        let said = PortalError::default();
        let failure = RequestFailure::of_operation(PortalProblem { code, said }, &operation);
        let context = ProblemContext {
            public_url: &config.public_url,
            path,
            request_id: operation.request_id.as_str(),
        };
        let answer = problem(&failure, &context);
        assert!(failure.detail.contains(detail), "{failure:?}");
        let first = FirstAnswer {
            problem: Some(failure.portal_problem()),
            ..FirstAnswer::of(operation)
        };
        assert_eq!(replay(&first, path, &config), answer);
    }
    let first = FirstAnswer {
        waited: Some(Duration::from_secs(2)),
        ..FirstAnswer::of(Arc::new(running()))
    };
    let answer = action(&first.operation, first.waited, &config);
    assert_eq!(replay(&first, path, &config), answer);
}

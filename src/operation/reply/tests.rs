//! Answers, and that a replay is the first answer again.

use serde_json::{Value, json};

use super::*;
use crate::domain::{PortalError, PortalProblem};

/// Until the next poll.
const NEXT: Duration = Duration::from_millis(4500);

fn config() -> ReplyConfig {
    ReplyConfig {
        public_url: "https://gateway.test".into(),
        portal_url: "https://portal.test".into(),
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
    let reply = action(&operation, Some(Duration::from_secs(3)), NEXT, &config());
    assert_eq!((reply.status, reply.retry_after), (202, Some(6)));
    assert_eq!(reply.preference_applied, Some(3));
    assert_eq!(reply.operation_location.as_deref(), Some(&*location));
    assert!(reply.has_arm_location);
    let document = json(&reply);
    assert_eq!(document["status"], "Running");
    assert_eq!(document["operationLocation"], location);
    let at_vendor = &document["portal"]["operationLocation"];
    assert_eq!(at_vendor, "https://portal.test/api/x");

    let shown = monitor(&operation, None, NEXT, &config());
    assert_eq!((shown.status, shown.retry_after), (200, Some(6)));
    assert!(!shown.has_arm_location);
    operation.finish(Outcome::Canceled, None);
    let reply = action(&operation, None, NEXT, &config());
    assert_eq!((reply.status, reply.retry_after), (200, None));
    assert!(!reply.has_arm_location);
    assert_eq!(reply.preference_applied, None);
}

#[test]
fn retry_after_is_a_second_after_the_next_poll() {
    let operation = running();
    for (next_poll, retry_after) in [
        (Duration::ZERO, 1),
        (Duration::from_millis(1), 2),
        (Duration::from_secs(5), 6),
        (Duration::from_millis(5001), 7),
        (Duration::from_secs(7200), 3600),
        (Duration::MAX, 3600),
    ] {
        let reply = monitor(&operation, None, next_poll, &config());
        assert_eq!(reply.retry_after, Some(retry_after), "{next_poll:?}");
    }
}

/// What each code says of repeating the request, before and after an action was recorded.
#[test]
fn only_what_did_nothing_can_be_repeated() {
    let context = ProblemContext {
        public_url: "https://gateway.test",
        path: "/offers/vm/cancel",
        request_id: "this-request",
    };
    let check = |failure: RequestFailure, retryable: bool| {
        let reply = problem(&failure, &context);
        let document = json(&reply);
        assert_eq!(document["retryable"], retryable, "{document}");
        assert_eq!(reply.retry_after.is_some(), retryable, "{document}");
    };
    for code in ProblemCode::ALL.iter().copied() {
        let status = code.status();
        let repeats =
            [408, 429, 503, 504].contains(&status) || code == ProblemCode::IdempotencyKeyInUse;
        check(RequestFailure::new(code, ""), repeats);

        let said = PortalError::default;
        let refused = |delivered| {
            let mut operation = Operation::sample();
            operation.refuse(delivered, OperationError::new(code, ""));
            Arc::new(operation)
        };
        let unsent = refused(Delivered::No);
        let of = |operation: &_| {
            let problem = PortalProblem { code, said: said() };
            RequestFailure::of_operation(problem, operation)
        };
        check(of(&unsent), repeats || code == ProblemCode::PortalFailed);
        // It may have acted.
        check(of(&Arc::new(running())), false);
    }
    let lost = RequestFailure::result_not_recorded(Arc::new(running()), PortalError::default());
    check(lost, false);
    // The vendor's own time, up to an hour; else ours.
    let throttled = RequestFailure::new(ProblemCode::PortalThrottled, "");
    for (asked, retry_after) in [(None, 5), (Some(40), 40), (Some(4_294_967_295), 3600)] {
        let failure = RequestFailure {
            retry_after: asked.map(Duration::from_secs),
            ..throttled.clone()
        };
        assert_eq!(problem(&failure, &context).retry_after, Some(retry_after));
    }
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
        "message": "Too many.",
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
        assert_eq!(replay(&first, path, NEXT, &config), answer);
    }
    let first = FirstAnswer {
        waited: Some(Duration::from_secs(2)),
        ..FirstAnswer::of(Arc::new(running()))
    };
    let answer = action(&first.operation, first.waited, NEXT, &config);
    assert_eq!(replay(&first, path, NEXT, &config), answer);
}

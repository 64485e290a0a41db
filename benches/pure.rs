//! The pure parts of a request's way: what each costs without any input or output.
//!
//! `cargo bench --bench pure`

#![allow(clippy::unwrap_used)]
// criterion_group! makes public functions.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::{SignedDuration, Timestamp};
use offergate::domain::{
    Action, Caller, CallerName, Delivered, Evidence, Glob, OfferId, PublisherId, Redactor, Rule,
};
use offergate::operation::outcome::{self, Case, Look, Patience};
use offergate::policy::{Cancel, Policy};
use offergate::portal::{Location, RunState, Submission, Target, action_answer};
use offergate::transport::Body;
use uuid::Uuid;

const GUID: &str = "56615b67-2185-49fe-80d2-c4ddf77bb2e8";
const LOCATION: &str = "https://cloudpartner.azure.com/api/publishers/contoso/offers/contoso-vm/operations/56615b67-2185-49fe-80d2-c4ddf77bb2e8?api-version=2017-10-31";

fn target() -> Target {
    Target {
        publisher: PublisherId::parse("contoso").unwrap(),
        offer: OfferId::parse("contoso-vm").unwrap(),
    }
}

fn glob(text: &str) -> Glob {
    Glob::parse(text).unwrap()
}

fn ids(c: &mut Criterion) {
    let longest = "x".repeat(128);
    c.bench_function("OfferId::parse, 10 characters", |b| {
        b.iter(|| OfferId::parse(black_box("contoso-vm")))
    });
    c.bench_function("OfferId::parse, 128 characters", |b| {
        b.iter(|| OfferId::parse(black_box(&longest)))
    });
}

/// A policy in which only the last rule of each caller allows a cancel.
fn policy(callers: usize, rules: usize) -> (Policy, Caller) {
    let rule = |n| Rule {
        actions: vec![Action::Read, Action::Cancel],
        publishers: vec![glob("contoso")],
        offers: vec![match n + 1 == rules {
            true => glob("contoso-*"),
            false => glob(&format!("other-{n}-*")),
        }],
    };
    let name = |n| CallerName::parse(&format!("caller-{n}")).unwrap();
    let all = (0..callers).map(|n| (name(n), (0..rules).map(rule).collect()));
    let caller = Caller {
        name: name(callers / 2),
        default_publisher: None,
    };
    (
        Policy::new(all, [PublisherId::parse("contoso").unwrap()]),
        caller,
    )
}

fn policies(c: &mut Criterion) {
    let Target { publisher, offer } = target();
    for (callers, rules) in [(3, 2), (1000, 50)] {
        let (policy, caller) = policy(callers, rules);
        c.bench_function(
            &format!("Policy::permit, {callers} callers with {rules} rules"),
            |b| b.iter(|| policy.permit::<Cancel>(black_box(&caller), &publisher, &offer)),
        );
    }
}

fn locations(c: &mut Criterion) {
    let target = target();
    c.bench_function("Location::recognize, one of ours", |b| {
        b.iter(|| Location::recognize(black_box(LOCATION), &target))
    });
    c.bench_function("Location::recognize, another's", |b| {
        let other = LOCATION.replace("contoso-vm", "fabrikam-vm");
        b.iter(|| Location::recognize(black_box(&other), &target))
    });
}

/// As in a process that has fetched two tokens of Entra's length.
fn redactor() -> Redactor {
    let redactor = Redactor::default();
    redactor.guard("a-client-secret-of-forty-characters-0123");
    for seed in [7_u32, 11] {
        let letters = (0..1500_u32).map(|i| char::from(b'a' + (i * i * seed % 26) as u8));
        redactor.remember_token(&letters.collect::<String>());
    }
    redactor
}

fn redaction(c: &mut Criterion) {
    let redactor = redactor();
    c.bench_function("Redactor::redact, 36 characters", |b| {
        b.iter(|| redactor.redact(black_box(GUID)).len())
    });
}

fn normalize(c: &mut Criterion) {
    let (target, redactor, now) = (target(), redactor(), Timestamp::now());
    let headers = |extra: &[(&'static str, &str)]| -> HeaderMap {
        let usual = [
            ("date", "Thu, 13 Sep 2018 10:11:12 GMT"),
            ("x-ms-correlation-request-id", GUID),
        ];
        usual
            .iter()
            .chain(extra)
            .map(|(name, value)| {
                let value = HeaderValue::from_str(value).unwrap();
                (HeaderName::from_static(name), value)
            })
            .collect()
    };
    let error = r#"{"error":{"code":"Conflict","message":"The offer has a publish in progress."}}"#;
    for (name, status, headers, body) in [
        ("200 without a body", 200, headers(&[]), ""),
        (
            "202 with a location",
            202,
            headers(&[("operation-location", LOCATION)]),
            "",
        ),
        ("409 with an error document", 409, headers(&[]), error),
    ] {
        let body = Body::Whole(Bytes::from_static(body.as_bytes()));
        c.bench_function(&format!("portal::action_answer, {name}"), |b| {
            b.iter(|| action_answer(status, black_box(&headers), &body, &target, &redactor, now))
        });
    }
}

fn outcomes(c: &mut Criterion) {
    let answered: Timestamp = "2018-09-13T10:11:12Z".parse().unwrap();
    let list: Vec<Submission> = (0..50)
        .map(|n| Submission {
            id: Uuid::from_u128(n),
            state: match n {
                0 => RunState::Running,
                _ => RunState::Completed,
            },
            changed: answered
                .checked_sub(SignedDuration::from_hours(1 + n as i64))
                .ok(),
        })
        .collect();
    let first = Evidence {
        answered_at: Some(answered),
        vendor_date: Some(answered),
        ..Evidence::default()
    };
    let case = Case {
        named: None,
        delivered: Delivered::Yes,
    };
    let patience = Patience {
        settle: Duration::from_secs(30),
        give_up: Duration::from_secs(1800),
    };
    for (name, list) in [
        ("50 submissions, one running", &list[..]),
        ("49 submissions, none running", &list[1..]),
    ] {
        let look = Look {
            at: answered,
            submissions: Some(list),
        };
        c.bench_function(&format!("outcome::judge, {name}"), |b| {
            b.iter(|| {
                let mut evidence = first.clone();
                outcome::judge(case, black_box(&mut evidence), look, patience)
            })
        });
    }
}

criterion_group!(
    benches, ids, policies, locations, redaction, normalize, outcomes
);
criterion_main!(benches);

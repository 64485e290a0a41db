//! The pure parts of a request's way: what each costs without any input or output.
//!
//! `cargo bench --bench pure`

#![allow(clippy::unwrap_used)]
// criterion_group! makes public functions.
#![allow(missing_docs)]

#[path = "common/token.rs"]
mod token;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use arc_swap::ArcSwap;
use aws_lc_rs::signature::{
    KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use offergate::credential::{Handle, TokenFile, TokenRefresher, TokenSource};
use offergate::domain::{
    Action, Caller, CallerName, ClaimMatch, Delivered, Evidence, Glob, OfferId, PublisherId,
    Redactor, Rule, Target, TokenRules,
};
use offergate::identity::{ApiKeys, Issuer, KeySet, KeyStore, Tokens, hash};
use offergate::operation::outcome::{self, Deadlines, Facts, Observation};
use offergate::policy::{Cancel, Policy};
use offergate::portal::{Location, RunState, Submission, action_answer};
use offergate::transport::{Body, Transport, TransportOptions};
use tempfile::NamedTempFile;
use token::{AUDIENCE, AZP, ISSUER, Signer};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use uuid::Uuid;

const GUID: &str = "56615b67-2185-49fe-80d2-c4ddf77bb2e8";
const LOCATION: &str = "https://cloudpartner.azure.com/api/publishers/contoso/offers/contoso-vm/operations/56615b67-2185-49fe-80d2-c4ddf77bb2e8?api-version=2017-10-31";

fn ids_of_target() -> (PublisherId, OfferId) {
    (
        PublisherId::parse("contoso").unwrap(),
        OfferId::parse("contoso-vm").unwrap(),
    )
}

fn target() -> Target {
    let (publisher, offer) = ids_of_target();
    let (policy, caller) = policy(1, 1);
    let permit = policy.permit::<Cancel>(&caller, &publisher, &offer);
    permit.unwrap().target().clone()
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
    let (publisher, offer) = ids_of_target();
    for (callers, rules) in [(1, 1), (3, 2), (1000, 50), (10_000, 5)] {
        let (policy, caller) = policy(callers, rules);
        c.bench_function(
            &format!("Policy::permit, {callers} callers with {rules} rules"),
            |b| b.iter(|| policy.permit::<Cancel>(black_box(&caller), &publisher, &offer)),
        );
    }
}

fn caller(n: usize) -> Arc<Caller> {
    Arc::new(Caller {
        name: CallerName::parse(&format!("caller-{n}")).unwrap(),
        default_publisher: None,
    })
}

fn api_keys(c: &mut Criterion) {
    let key = |n| format!("an-api-key-of-43-characters-0123456789-{n:04}");
    for callers in [1, 10_000] {
        let hashes = |n| vec![hash(key(n).as_bytes())];
        let keys = ApiKeys::new((0..callers).map(|n| (caller(n), hashes(n)))).unwrap();
        let presented = key(callers / 2);
        c.bench_function(&format!("ApiKeys::authenticate, one of {callers}"), |b| {
            b.iter(|| keys.authenticate(black_box(presented.as_bytes())))
        });
    }
}

/// Tokens of an application, as many callers' as that; the last one is its.
fn tokens_of(signer: &Signer, callers: usize) -> Tokens {
    let rules = TokenRules {
        issuer: ISSUER.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        algorithms: vec![jsonwebtoken::Algorithm::RS256],
        typ: None,
    };
    let set = KeySet::parse(signer.key_set().as_bytes(), None).unwrap();
    let keys = KeyStore::fixed(ISSUER.to_owned(), set);
    let azp = |n| match n + 1 == callers {
        true => AZP.to_owned(),
        false => format!("2f1f0c6a-8d54-4f0e-9a57-{n:012}"),
    };
    let claims = |n| ClaimMatch {
        issuer: ISSUER.to_owned(),
        claims: BTreeMap::from([("azp".to_owned(), azp(n))]),
    };
    let callers = (0..callers).map(|n| (caller(n), claims(n)));
    Tokens::new(vec![Issuer { rules, keys }], callers)
}

/// What a first check costs beside the signature that it cannot do without.
fn tokens(c: &mut Criterion) {
    let signer = Signer::new().unwrap();
    let token = signer.token(token::ID).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key: RsaPublicKeyComponents<Vec<u8>> = signer.public();
    let check = |key: &RsaPublicKeyComponents<Vec<u8>>| {
        let message = black_box(message).as_bytes();
        key.verify(&RSA_PKCS1_2048_8192_SHA256, message, &signature)
    };
    assert!(check(&key).is_ok());
    c.bench_function("RS256, the signature alone, the key as in a key set", |b| {
        b.iter(|| check(&key))
    });

    let parsed = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, signer.0.public_key()).unwrap();
    c.bench_function("RS256, the signature alone, the key parsed before", |b| {
        b.iter(|| parsed.verify_sig(black_box(message).as_bytes(), &signature))
    });

    let authenticate = |tokens: &Tokens| {
        let known = tokens.authenticate(black_box(&token)).now_or_never();
        known.unwrap().unwrap()
    };
    c.bench_function("Tokens::authenticate, first time", |b| {
        // A token that has been seen is not forgotten, so each time another memory; in
        // one that has just been made, the first token of all costs more.
        let other = signer.token("another").unwrap();
        let fresh = || {
            let tokens = tokens_of(&signer, 1);
            assert!(tokens.authenticate(&other).now_or_never().unwrap().is_ok());
            tokens
        };
        b.iter_batched_ref(fresh, |tokens| authenticate(tokens), BatchSize::SmallInput)
    });
    for callers in [1, 10_000] {
        let tokens = tokens_of(&signer, callers);
        let name = format!("Tokens::authenticate, remembered, one of {callers}");
        c.bench_function(&name, |b| b.iter(|| authenticate(&tokens)));
    }
}

/// A credential whose keeper has brought a token of Entra's size, and rests. Its runtime
/// does not run any more: nobody changes the token under the measurement.
fn with_token() -> (Handle, Runtime) {
    let file = NamedTempFile::new().unwrap();
    let token = Signer::new().unwrap().token(token::ID).unwrap();
    std::fs::write(file.path(), token).unwrap();
    let source = TokenSource::TokenFile(TokenFile {
        path: file.path().to_owned(),
    });
    let wait = Duration::from_secs(1);
    let (refresher, handle) = TokenRefresher::new("main".into(), source, wait, &Arc::default());
    let transport = Transport::new(&TransportOptions {
        ca_file: None,
        connect_timeout: wait,
        request_timeout: wait,
        tls: false,
        egress: offergate::domain::Egress::default(),
    });
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let client = transport.unwrap().client();
    LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            () = refresher.run(client) => {}
            _ = handle.first_attempt() => {}
        }
    });
    assert!(handle.current().is_some());
    (handle, runtime)
}

/// What the hot path pays for its token, beside the load that it cannot do without.
fn credentials(c: &mut Criterion) {
    let bare = ArcSwap::from_pointee(0_u64);
    c.bench_function("ArcSwap::load_full", |b| {
        b.iter(|| black_box(&bare).load_full())
    });
    c.bench_function("Instant::now", |b| b.iter(tokio::time::Instant::now));
    let (handle, _runtime) = with_token();
    c.bench_function("Handle::current", |b| {
        b.iter(|| black_box(&handle).current())
    });
    c.bench_function("Handle::token", |b| {
        b.iter(|| black_box(&handle).token().now_or_never())
    });
    c.bench_function("Handle::token, and the header's value", |b| {
        b.iter(|| {
            let token = black_box(&handle).token().now_or_never();
            token.unwrap().unwrap().authorization().clone()
        })
    });
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
fn redactor() -> Arc<Redactor> {
    let redactor = Arc::new(Redactor::default());
    redactor.guard("a-client-secret-of-forty-characters-0123");
    for seed in [7_u32, 11] {
        let letters = (0..1500_u32).map(|i| char::from(b'a' + (i * i * seed % 26) as u8));
        redactor
            .token_history("contoso")
            .remember(&letters.collect::<String>());
    }
    redactor
}

fn redaction(c: &mut Criterion) {
    let redactor = redactor();
    c.bench_function("Redactor::redact, 36 characters", |b| {
        b.iter(|| redactor.redact(black_box(GUID)).len())
    });
    // Each way to read it as base64 gives text that may be base64 again.
    let worst = "V".repeat(4096);
    c.bench_function("Redactor::redact, 4 KiB of base64", |b| {
        b.iter(|| redactor.redact(black_box(&worst)).len())
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
    let facts = Facts {
        action: Action::Cancel,
        named: None,
        delivered: Delivered::Yes,
        accepted: true,
    };
    let deadlines = Deadlines {
        settle: Duration::from_secs(30),
        give_up: Duration::from_secs(1800),
    };
    for (name, list) in [
        ("50 submissions, one running", &list[..]),
        ("49 submissions, none running", &list[1..]),
    ] {
        let observation = Observation {
            at: answered,
            ended: answered,
            date: Some(answered),
            submissions: Ok(list),
        };
        c.bench_function(&format!("outcome::judge, {name}"), |b| {
            b.iter(|| {
                let mut evidence = first.clone();
                outcome::judge(facts, black_box(&mut evidence), observation, deadlines)
            })
        });
    }
}

criterion_group!(
    benches,
    ids,
    policies,
    api_keys,
    tokens,
    credentials,
    locations,
    redaction,
    normalize,
    outcomes
);
criterion_main!(benches);

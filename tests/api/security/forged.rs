//! Tokens that must be rejected: forged ones, and genuine ones for another audience or time,
//! under the names of their advisories. The caller gets the same answer for all; the log has
//! the reason for each.

use serde_json::{Value, json};

use crate::client::{self, Answer};
use crate::helpers::{KEY, Setup};
use crate::idp::Idp;
use crate::jwt::toml;
use crate::mint::{self, Signer, encode, hs256, now};
use crate::process::Served;
use crate::vendor::Vendor;

/// A name, the reason in the log, and the token.
type Row = (&'static str, &'static str, String);

/// Valid claims with replacements; `null` removes one.
fn changed(claims: &Value, changes: Value) -> Value {
    let mut claims = claims.clone();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// Tokens that can be made without the issuer's key.
fn forged(good: &Value, rsa: &Signer, attacker: &Signer) -> Vec<Row> {
    let header =
        |members: Value| changed(&json!({"alg": "RS256", "kid": "k", "typ": "JWT"}), members);
    let own = |members: Value| attacker.sign(&header(members), good);
    let unsigned = |alg: &str| format!("{}.", mint::message(&header(json!({"alg": alg})), good));
    let genuine = rsa.token(good);
    let (message, signature) = genuine.rsplit_once('.').unwrap();
    let (head, _) = message.split_once('.').unwrap();
    let other_claims = encode(changed(good, json!({"azp": "other"})).to_string());
    let symmetric = |secret: &[u8]| hs256(&header(json!({"alg": "HS256"})), good, secret);
    let jwk = attacker.jwk();
    vec![
        (
            "CVE-2022-23540 jsonwebtoken: none",
            "malformed-token",
            unsigned("none"),
        ),
        ("none in capitals", "malformed-token", unsigned("None")),
        ("no signature", "wrong-signature", unsigned("RS256")),
        (
            "CVE-2015-9235 jsonwebtoken: public key as secret",
            "wrong-algorithm",
            symmetric(&rsa.public_bytes()),
        ),
        (
            "CVE-2022-23541 jsonwebtoken: modulus as secret",
            "wrong-algorithm",
            symmetric(rsa.jwk()["n"].as_str().unwrap().as_bytes()),
        ),
        ("empty secret", "wrong-algorithm", symmetric(b"")),
        (
            "CVE-2018-0114 node-jose: embedded key",
            "wrong-signature",
            own(json!({"jwk": jwk})),
        ),
        (
            "embedded key under its own id",
            "unknown-signing-key",
            own(json!({"kid": "mine", "jwk": jwk})),
        ),
        (
            "jku",
            "wrong-signature",
            own(json!({"jku": "https://evil.example/keys"})),
        ),
        (
            "x5u",
            "wrong-signature",
            own(json!({"x5u": "https://evil.example/cert", "x5c": ["MIIB"]})),
        ),
        (
            "another's key under the right id",
            "wrong-signature",
            own(json!({})),
        ),
        (
            "kid as path",
            "unknown-signing-key",
            own(json!({"kid": "../../../../dev/null"})),
        ),
        (
            "kid as query",
            "unknown-signing-key",
            own(json!({"kid": "k' OR '1'='1"})),
        ),
        ("kid of no text", "malformed-token", own(json!({"kid": 7}))),
        (
            "CVE-2022-21449 Java: empty ECDSA signature",
            "wrong-signature",
            format!(
                "{}.{}",
                mint::message(&header(json!({"alg": "ES256", "kid": "ec"})), good),
                encode([0; 64])
            ),
        ),
        (
            "claims exchanged",
            "wrong-signature",
            format!("{head}.{other_claims}.{signature}"),
        ),
        (
            "signature cut",
            "wrong-signature",
            genuine[..genuine.len() - 2].to_owned(),
        ),
        ("a fourth part", "malformed-token", format!("{genuine}.x")),
        (
            "five parts, as if encrypted",
            "malformed-token",
            format!("{genuine}.x.y"),
        ),
        ("padding", "malformed-token", format!("{genuine}=")),
        ("nothing", "unsupported-scheme", String::new()),
        ("an API key", "malformed-token", KEY.to_owned()),
    ]
}

/// Tokens that the issuer has signed for another audience or time.
fn misused(good: &Value, rsa: &Signer, idp: &Idp) -> Vec<Row> {
    let with = |changes: Value| rsa.token(&changed(good, changes));
    let header = |members: Value| {
        let header = changed(&json!({"alg": "RS256", "kid": "k", "typ": "JWT"}), members);
        rsa.sign(&header, good)
    };
    let issuer = idp.issuer();
    vec![
        ("expired", "expired", with(json!({"exp": now() - 60}))),
        ("expired long ago", "expired", with(json!({"exp": 1}))),
        ("expires never", "missing-claim", with(json!({"exp": null}))),
        (
            "expires in words",
            "missing-claim",
            with(json!({"exp": "tomorrow"})),
        ),
        (
            "expires before 1970",
            "missing-claim",
            with(json!({"exp": -1})),
        ),
        (
            "not yet valid",
            "not-yet-valid",
            with(json!({"nbf": now() + 300})),
        ),
        (
            "valid from a word",
            "missing-claim",
            with(json!({"nbf": "now"})),
        ),
        (
            "wrong audience",
            "wrong-audience",
            with(json!({"aud": "other"})),
        ),
        (
            "wrong audiences",
            "wrong-audience",
            with(json!({"aud": ["other", "offergate2"]})),
        ),
        (
            "audience in another case",
            "wrong-audience",
            with(json!({"aud": "Offergate"})),
        ),
        ("no audience", "missing-claim", with(json!({"aud": null}))),
        ("empty audience", "wrong-audience", with(json!({"aud": []}))),
        (
            "wrong issuer",
            "unknown-issuer",
            with(json!({"iss": "https://evil.example"})),
        ),
        (
            "issuer with a slash",
            "unknown-issuer",
            with(json!({"iss": format!("{issuer}/")})),
        ),
        (
            "several issuers",
            "malformed-token",
            with(json!({"iss": [issuer, "https://evil.example"]})),
        ),
        ("no issuer", "malformed-token", with(json!({"iss": null}))),
        (
            "CVE-2025-59420 Authlib: unknown critical extension",
            "critical-extension",
            header(json!({"crit": ["bork"], "bork": 1})),
        ),
        (
            "unencoded payload (RFC 7797)",
            "critical-extension",
            header(json!({"crit": ["b64"], "b64": false})),
        ),
        (
            "another algorithm of the same key",
            "wrong-algorithm",
            header(json!({"alg": "RS512"})),
        ),
        (
            "a token of another type",
            "wrong-type",
            header(json!({"typ": "secevent+jwt"})),
        ),
        (
            "claims that are no object",
            "malformed-token",
            rsa.token(&json!("text")),
        ),
    ]
}

async fn cancel(served: &Served, token: &str, request: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", &*bearer), ("X-Request-Id", request)];
    let path = "/offers/sync-1/cancel";
    client::send(served.address, "POST", path, &headers, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_refused_for_its_own_reason() {
    let (rsa, ec) = (Signer::rsa("k", "RS256"), Signer::ec("ec"));
    let attacker = Signer::rsa("k", "RS256");
    let ed = Signer::ed("ed");
    let idp = Idp::start(&[&rsa, &ec, &ed]);
    let setup = Setup {
        toml: toml(&idp, "typ = \"JWT\"\nalgorithms = [\"RS256\", \"ES256\"]"),
        ..Setup::default()
    };
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let mut served = Served::start(&vendor, &setup).await;
    let good = idp.claims("release");
    for signer in [&rsa, &ec] {
        let answer = cancel(&served, &signer.token(&good), "good").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let mut rows = forged(&good, &rsa, &attacker);
    rows.extend(misused(&good, &rsa, &idp));
    let other = ed.token(&good);
    rows.push(("an algorithm that nobody allowed", "wrong-algorithm", other));
    let mut seen: Option<Value> = None;
    for (number, (name, _, token)) in rows.iter().enumerate() {
        let answer = cancel(&served, token, &format!("row-{number}")).await;
        assert_eq!(answer.status, 401, "{name}: {answer:?}");
        let mut problem = answer.problem(401, "unauthenticated");
        problem["requestId"] = Value::Null;
        assert_eq!(*seen.get_or_insert(problem.clone()), problem, "{name}");
    }
    for (number, (name, word, _)) in rows.iter().enumerate() {
        let request = format!("row-{number}");
        let of_row = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["request_id"] == *request).then_some(line)
        };
        let line = served.process.wait_for_line(of_row).await;
        assert_eq!(line["refused"], *word, "{name}: {line}");
        assert_eq!(line["caller"], Value::Null, "{name}: {line}");
    }
    let received = vendor.received("/api/").await;
    assert_eq!(received.len(), 2, "only the good ones: {received:?}");
}

//! What is read of a key set, and which keys a token may be signed with.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::Algorithm;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::base64_text::encode;
use super::*;

fn number(length: usize) -> Vec<u8> {
    vec![0xff; length]
}

fn rsa(kid: &str) -> Value {
    json!({"kty": "RSA", "kid": kid, "n": encode(&number(256)), "e": "AQAB"})
}

/// The generator of P-256.
fn ec() -> Value {
    json!({"kty": "EC", "kid": "ec", "crv": "P-256",
           "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
           "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"})
}

fn ed() -> Value {
    json!({"kty": "OKP", "kid": "ed", "crv": "Ed25519",
           "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn with(mut key: Value, member: &str, value: Value) -> Value {
    key[member] = value;
    key
}

fn without(mut key: Value, member: &str) -> Value {
    key.as_object_mut().unwrap().remove(member);
    key
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(&serde_json::to_vec(&json!({"keys": keys})).unwrap(), None).unwrap()
}

fn hint(kid: Option<&str>, algorithm: Algorithm) -> KeyHint<'_> {
    KeyHint {
        kid,
        x5t: None,
        x5t_s256: None,
        algorithm,
    }
}

#[test]
fn an_odd_member_of_one_key_costs_no_other_key() {
    for odd in ["1e999", r#""\ud83d""#, "[[-1e999]]"] {
        let bad = format!(r#"{{"kty":"RSA","kid":"bad","n":"AA","e":"AQAB","x":{odd}}}"#);
        let document = format!(r#"{{"x":{odd},"keys":[{},{bad}]}}"#, rsa("good"));
        let set = KeySet::parse(document.as_bytes(), None).unwrap();
        assert_eq!(set.count(), 1, "{odd}");
        assert!(set.has_id(Some("bad")), "{odd}");
    }
}

#[test]
fn what_cannot_verify_is_left_out_and_counted() {
    use LeftOutReason::{Invalid, Malformed, OtherUse, Size, Unsupported};
    let good = rsa("good");
    let table = [
        (with(good.clone(), "use", json!("enc")), OtherUse),
        (with(good.clone(), "use", json!(7)), Malformed),
        (with(good.clone(), "key_ops", json!(["sign"])), OtherUse),
        (with(good.clone(), "key_ops", json!([])), OtherUse),
        (with(good.clone(), "key_ops", json!("verify")), Malformed),
        (with(good.clone(), "alg", json!("RSA-OAEP")), OtherUse),
        (with(good.clone(), "alg", json!("RSA-OAEP-256")), OtherUse),
        (with(good.clone(), "alg", json!("HS256")), Unsupported),
        (with(good.clone(), "alg", json!("ES256")), Malformed),
        (with(good.clone(), "alg", json!(7)), Malformed),
        (with(good.clone(), "kty", json!("oct")), Unsupported),
        (with(good.clone(), "kty", json!(7)), Malformed),
        (without(good.clone(), "kty"), Malformed),
        (without(good.clone(), "n"), Malformed),
        (without(good.clone(), "e"), Malformed),
        (with(good.clone(), "n", json!("not base64!")), Malformed),
        (with(good.clone(), "n", json!("")), Size),
        (with(good.clone(), "n", json!("AAAA")), Size),
        (with(good.clone(), "n", json!(encode(&number(128)))), Size),
        (with(good.clone(), "n", json!(encode(&number(1025)))), Size),
        (
            with(good.clone(), "n", json!(encode(&[0xfe; 256]))),
            Invalid,
        ),
        (with(good.clone(), "e", json!("AQAA")), Invalid),
        (with(good.clone(), "e", json!("AQ")), Invalid),
        (with(good.clone(), "e", json!("AA")), Invalid),
        (with(good.clone(), "e", json!("_______w")), Invalid),
        (with(ec(), "crv", json!("secp256k1")), Unsupported),
        (with(ec(), "crv", json!("P-521")), Unsupported),
        (with(ec(), "crv", json!("P-384")), Invalid),
        (with(ec(), "y", json!("AQ")), Invalid),
        (with(ec(), "x", json!(encode(&number(33)))), Malformed),
        (without(ec(), "crv"), Malformed),
        (without(ec(), "y"), Malformed),
        (with(ed(), "crv", json!("X25519")), Unsupported),
        (with(ed(), "x", json!("AAAA")), Malformed),
        (json!({"kty": "oct", "k": "c2VjcmV0"}), Unsupported),
        (json!({}), Malformed),
        (json!("text"), Malformed),
        (json!(null), Malformed),
    ];
    for (key, reason) in table {
        let alone = set(std::slice::from_ref(&key));
        assert_eq!(alone.count(), 0, "{key}");
        let counted: Vec<_> = alone.left_out().iter().collect();
        assert_eq!(counted, [(&reason, &1)], "{key}");
        assert_eq!(set(&[key.clone(), good.clone()]).count(), 1, "{key}");
    }
    for document in ["{}", "[]", r#"{"keys": {}}"#, "", "{\"keys\": ["] {
        assert!(KeySet::parse(document.as_bytes(), None).is_err());
    }
}

#[test]
fn what_leaves_no_doubt_is_put_right() {
    let zeros = |number: &[u8]| encode(&[&[0, 0][..], number].concat());
    let n = encode(&number(256));
    let x = ec()["x"].as_str().unwrap().to_owned();
    let table = [
        (rsa("k"), "n", json!(zeros(&number(256)))),
        (rsa("k"), "n", json!(format!("{n}=="))),
        (rsa("k"), "n", json!(n.replace('_', "/").replace('-', "+"))),
        (
            rsa("k"),
            "n",
            json!(format!("{}\r\n{}", &n[..64], &n[64..])),
        ),
        (rsa("k"), "e", json!("AAEAAQ")),
        (rsa("k"), "e", json!("AQAB=")),
        (rsa("k"), "use", json!(null)),
        (rsa("k"), "use", json!("sig")),
        (rsa("k"), "alg", json!(null)),
        (rsa("k"), "key_ops", json!(["verify", "sign"])),
        (rsa("k"), "x5c", json!(7)),
        (rsa("k"), "x5c", json!(["not a certificate"])),
        (rsa("k"), "x5t", json!(7)),
        (rsa("k"), "x5u", json!({})),
        (rsa("k"), "issuer", json!("https://id.example")),
        (rsa("k"), "value", json!("-----BEGIN PUBLIC KEY-----")),
        (ec(), "x", json!(format!("AAAA{x}"))),
        (ed(), "alg", json!("Ed25519")),
    ];
    for (key, member, value) in table {
        let key = with(key, member, value);
        assert_eq!(set(std::slice::from_ref(&key)).count(), 1, "{key}");
    }
    // Some of these were the same key before, and none is another now.
    let plain = set(&[rsa("k")]);
    let odd = with(rsa("k"), "n", json!(zeros(&number(256))));
    let document = serde_json::to_vec(&json!({"keys": [odd]})).unwrap();
    assert!(
        KeySet::parse(&document, Some(&plain))
            .unwrap()
            .is_same(&plain)
    );
}

/// A certificate, as `x5c` has it.
fn x5c(algorithm: &'static rcgen::SignatureAlgorithm) -> (Vec<u8>, Value) {
    let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key);
    let der = certificate.unwrap().der().to_vec();
    let text = json!([STANDARD.encode(&der)]);
    (der, text)
}

#[test]
fn a_certificate_alone_is_a_key_and_names_it() {
    for (kty, algorithm, signature) in [
        ("RSA", &rcgen::PKCS_RSA_SHA256, Algorithm::RS256),
        ("EC", &rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
        ("EC", &rcgen::PKCS_ECDSA_P384_SHA384, Algorithm::ES384),
    ] {
        let (der, x5c) = x5c(algorithm);
        let set = set(&[json!({"kty": kty, "kid": "k", "x5c": x5c}), rsa("other")]);
        assert_eq!(set.count(), 2, "{signature:?}");
        let sha256 = encode(&Sha256::digest(&der));
        let hint = KeyHint {
            x5t_s256: Some(&sha256),
            ..hint(None, signature)
        };
        assert_eq!(found(&set, &hint), ("k".into(), true), "{signature:?}");
        // Of another type than the key says.
        let other = if kty == "EC" { "RSA" } else { "EC" };
        let wrong = self::set(&[json!({"kty": other, "x5c": x5c})]);
        assert_eq!(wrong.left_out()[&LeftOutReason::Malformed], 1);
        // The certificate of another key names none.
        let stranger = self::set(&[with(rsa("k"), "x5c", x5c), rsa("other")]);
        let hint = KeyHint {
            algorithm: Algorithm::RS256,
            ..hint
        };
        assert_eq!(found(&stranger, &hint), ("k other".into(), false));
    }
}

#[test]
fn keys_beyond_the_limit_are_counted() {
    let keys: Vec<Value> = (0..MAX_KEYS + 3).map(|n| rsa(&n.to_string())).collect();
    let set = set(&keys);
    assert_eq!(set.count(), MAX_KEYS);
    assert_eq!(set.left_out()[&LeftOutReason::Excess], 3);
}

#[test]
fn a_token_names_a_key_that_fits_its_algorithm() {
    use Algorithm::{ES256, ES384, EdDSA, HS256, PS256, RS256};
    let tied = with(rsa("tied"), "alg", json!("PS256"));
    let set = set(&[rsa("free"), tied, ec(), ed()]);
    let table = [
        ("free", RS256, true),
        ("free", PS256, true),
        ("free", ES256, false),
        ("free", HS256, false),
        ("tied", PS256, true),
        ("tied", RS256, false),
        ("ec", ES256, true),
        ("ec", ES384, false),
        ("ec", RS256, false),
        ("ed", EdDSA, true),
        ("ed", ES256, false),
        ("other", RS256, false),
    ];
    for (kid, algorithm, found) in table {
        let candidates = set.candidates(&hint(Some(kid), algorithm));
        assert_eq!(
            candidates.keys.len(),
            usize::from(found),
            "{kid} {algorithm:?}"
        );
        assert_eq!(candidates.are_final, kid != "other", "{kid} {algorithm:?}");
    }
}

/// The ids of the candidates, and whether no fetch could bring another.
fn found(set: &KeySet, hint: &KeyHint<'_>) -> (String, bool) {
    let candidates = set.candidates(hint);
    let names = candidates.keys.iter().map(|key| key.kid().unwrap_or("-"));
    (names.collect::<Vec<_>>().join(" "), candidates.are_final)
}

#[test]
fn candidates_are_found_by_kid_then_thumbprint_then_algorithm() {
    let (one, two) = (encode(&[1; 20]), encode(&[2; 32]));
    let keys = [
        with(rsa("a"), "x5t", json!(one)),
        with(rsa("b"), "x5t#S256", json!(two)),
        with(without(rsa(""), "kid"), "e", json!("Aw")),
        ec(),
        with(rsa("enc"), "use", json!("enc")),
    ];
    let set = set(&keys);
    let rs256 = hint(None, Algorithm::RS256);
    assert_eq!(found(&set, &rs256), ("a b -".into(), true));
    let by_kid = |kid| KeyHint {
        kid: Some(kid),
        ..rs256
    };
    assert_eq!(found(&set, &by_kid("b")), ("b".into(), true));
    // It may be the one without an id, or one that is not known yet.
    assert_eq!(found(&set, &by_kid("c")), ("-".into(), false));
    // The set has it, but it does not verify.
    assert_eq!(found(&set, &by_kid("enc")), ("-".into(), true));
    assert_eq!(found(&set, &by_kid("ec")), ("-".into(), true));
    let by_x5t = |x5t| KeyHint {
        x5t: Some(x5t),
        ..rs256
    };
    assert_eq!(found(&set, &by_x5t(&one)), ("a".into(), true));
    assert_eq!(
        found(&set, &by_x5t("b")),
        ("b".into(), true),
        "as AD FS names keys"
    );
    assert_eq!(found(&set, &by_x5t("zz")), ("a b -".into(), false));
    let s256 = KeyHint {
        x5t_s256: Some(&two),
        ..rs256
    };
    assert_eq!(found(&set, &s256), ("b".into(), true));
    // The id counts more.
    let both = KeyHint {
        kid: Some("a"),
        ..s256
    };
    assert_eq!(found(&set, &both), ("a".into(), true));
    let renamed = KeyHint {
        kid: Some("new name"),
        ..s256
    };
    assert_eq!(found(&set, &renamed), ("b".into(), true));
    let of_none = hint(None, Algorithm::EdDSA);
    assert_eq!(found(&set, &of_none), (String::new(), true));
}

#[test]
fn an_empty_id_is_none() {
    let set = set(&[rsa(""), rsa("a")]);
    let by_kid = hint(Some("b"), Algorithm::RS256);
    assert_eq!(found(&set, &by_kid), ("-".into(), false));
    assert!(!set.has_id(Some("")));
}

#[test]
fn the_number_of_candidates_is_limited() {
    let keys: Vec<Value> = (0..20).map(|n| rsa(&n.to_string())).collect();
    let candidates = set(&keys).candidates(&hint(None, Algorithm::RS256));
    assert_eq!(candidates.keys.len(), MAX_CANDIDATES);
}

#[test]
fn a_key_that_stays_is_the_same_object() {
    let document = |keys: &[Value]| serde_json::to_vec(&json!({"keys": keys})).unwrap();
    let first = set(&[rsa("a")]);
    let key = first
        .candidates(&hint(Some("a"), Algorithm::RS256))
        .keys
        .remove(0);
    let second = KeySet::parse(&document(&[rsa("b"), rsa("a")]), Some(&first)).unwrap();
    assert!(second.contains(&key) && !second.is_same(&first));
    // The same id with other material is another key.
    let exchanged = with(rsa("a"), "e", json!("Aw"));
    let third = KeySet::parse(&document(&[exchanged]), Some(&second)).unwrap();
    assert!(!third.contains(&key));
}

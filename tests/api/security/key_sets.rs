//! Key sets as issuers really publish them, with keys of our own: what they contain is
//! understood, and what is odd in them costs nothing else.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::helpers::{Setup, World, spawn_with};
use crate::idp::Idp;
use crate::jwt::{cancel_with, spawn_jwt};
use crate::mint::{Signer, encode};

/// An issuer: what it publishes, how it signs, and what is of use of its keys.
struct Shape {
    name: &'static str,
    keys: Vec<Value>,
    /// Each with the header of its tokens.
    signers: Vec<(Signer, Value)>,
    usable: usize,
    left_out: usize,
}

/// The members of a public key, without its names.
fn numbers(signer: &Signer) -> Value {
    let mut jwk = signer.jwk();
    for name in ["kid", "use"] {
        jwk.as_object_mut().unwrap().remove(name);
    }
    jwk
}

fn with(mut jwk: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

/// A certified key, the members for its certificate, and its thumbprint.
fn certified() -> (Signer, Value, String) {
    let (signer, certificate) = Signer::certified("");
    let x5t = encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate));
    (signer, json!([STANDARD.encode(certificate)]), x5t)
}

/// Two keys, each with a certificate whose thumbprint is the id; no `alg`; an `issuer` beside
/// the members of the standard.
fn entra() -> Shape {
    let (mut keys, mut signers) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let (signer, x5c, x5t) = certified();
        keys.push(with(
            numbers(&signer),
            json!({"use": "sig", "kid": x5t, "x5t": x5t, "x5c": x5c,
                   "cloud_instance_name": "microsoftonline.com",
                   "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}),
        ));
        let header = json!({"typ": "JWT", "alg": "RS256", "x5t": x5t, "kid": x5t});
        signers.push((signer, header));
    }
    Shape {
        name: "Entra",
        keys,
        signers,
        usable: 2,
        left_out: 0,
    }
}

/// Tokens of AD FS have `x5t` and no `kid`. Of one key, only the certificate is published; of
/// the other, the thumbprint is the id alone.
fn adfs() -> Shape {
    let (first, x5c, x5t) = certified();
    let (second, _, other) = certified();
    let keys = vec![
        json!({"kty": "RSA", "use": "sig", "alg": "RS256", "x5c": x5c}),
        with(
            numbers(&second),
            json!({"use": "sig", "alg": "RS256", "kid": other}),
        ),
    ];
    let header = |x5t: &str| json!({"typ": "JWT", "alg": "RS256", "x5t": x5t});
    let signers = vec![(first, header(&x5t)), (second, header(&other))];
    Shape {
        name: "AD FS",
        keys,
        signers,
        usable: 2,
        left_out: 0,
    }
}

/// Keys for signatures and for encryption side by side, and a symmetric one by mistake.
fn keycloak() -> Shape {
    let (signer, x5c, x5t) = certified();
    let (encrypting, enc_x5c, enc_x5t) = certified();
    let elliptic = Signer::ec("HkI0");
    let keys = vec![
        with(
            numbers(&encrypting),
            json!({"kid": "Xq9", "alg": "RSA-OAEP", "use": "enc", "x5c": enc_x5c, "x5t": enc_x5t}),
        ),
        with(
            numbers(&signer),
            json!({"kid": "FJ86", "alg": "RS256", "use": "sig", "x5c": x5c, "x5t": x5t}),
        ),
        with(
            numbers(&elliptic),
            json!({"kid": "HkI0", "alg": "ES256", "use": "sig"}),
        ),
        json!({"kid": "hs", "kty": "oct", "alg": "HS512", "use": "sig"}),
    ];
    let header = |alg: &str, kid: &str| json!({"alg": alg, "typ": "JWT", "kid": kid});
    let signers = vec![
        (signer, header("RS256", "FJ86")),
        (elliptic, header("ES256", "HkI0")),
    ];
    Shape {
        name: "Keycloak",
        keys,
        signers,
        usable: 2,
        left_out: 2,
    }
}

/// Google and Okta: `kid`, `use` and `alg`, nothing else.
fn plain(name: &'static str) -> Shape {
    let (mut keys, mut signers) = (Vec::new(), Vec::new());
    for kid in ["6719c67c83f7", "f08e6fb4a7b5"] {
        let signer = Signer::rsa(kid, "RS256");
        let members = json!({"kid": kid, "use": "sig", "alg": "RS256"});
        keys.push(with(numbers(&signer), members));
        signers.push((signer, json!({"alg": "RS256", "kid": kid, "typ": "JWT"})));
    }
    Shape {
        name,
        keys,
        signers,
        usable: 2,
        left_out: 0,
    }
}

/// An API server after a rotation: the old key and the new one.
fn kubernetes() -> Shape {
    let mut shape = plain("Kubernetes");
    for key in &mut shape.keys {
        key.as_object_mut().unwrap().remove("alg");
    }
    for (_, header) in &mut shape.signers {
        header.as_object_mut().unwrap().remove("typ");
    }
    shape
}

/// The modulus with the sign octet of a Java `BigInteger`, padded; the key once more as PEM.
/// A second key is cut, as if by a template.
fn uaa() -> Shape {
    let signer = Signer::rsa("key-1", "RS256");
    let mut jwk = with(
        numbers(&signer),
        json!({"kid": "key-1", "use": "sig", "alg": "RS256",
               "value": "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----"}),
    );
    let octets = |jwk: &Value, name: &str| {
        let text = jwk[name].as_str().unwrap();
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(text)
            .unwrap()
    };
    for name in ["n", "e"] {
        let number = [vec![0], octets(&jwk, name)].concat();
        jwk[name] = json!(base64::engine::general_purpose::URL_SAFE.encode(number));
    }
    let cut = with(jwk.clone(), json!({"kid": "key-0", "n": "AJ1"}));
    let header = json!({"alg": "RS256", "kid": "key-1", "typ": "JWT",
                        "jku": "https://uaa.example/token_keys"});
    let signers = vec![(signer, header)];
    Shape {
        name: "UAA",
        keys: vec![cut, jwk],
        signers,
        usable: 1,
        left_out: 1,
    }
}

/// A world with an issuer for each shape, whose tokens belong to a caller of its own.
async fn world_of(shapes: &[Shape]) -> (World, Vec<Idp>) {
    let mut toml = String::new();
    let mut callers = String::new();
    let mut issuers = Vec::new();
    for (number, shape) in shapes.iter().enumerate() {
        let idp = Idp::start(&[]);
        idp.publish_as(shape.keys.clone());
        let issuer = idp.issuer();
        toml += &format!(
            "[[identity.jwt]]\nissuer = \"{issuer}\"\naudience = \"offergate\"\n\
             algorithms = [\"RS256\", \"ES256\"]\n"
        );
        callers += &format!(
            "[[callers]]\nname = \"caller-{number}\"\ndefault_publisher = \"contoso\"\n\
             jwt = {{ issuer = \"{issuer}\", claims = {{ azp = \"release\" }} }}\n\
             allow = [ {{ actions = [\"cancel\"], publishers = [\"contoso\"], offers = [\"*\"] }} ]\n"
        );
        issuers.push(idp);
    }
    let toml = toml + &callers;
    let world = spawn_with(Setup {
        toml,
        ..Setup::default()
    })
    .await;
    (world, issuers)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_real_shape_is_understood() {
    let shapes = [
        entra(),
        adfs(),
        keycloak(),
        plain("Google"),
        kubernetes(),
        uaa(),
        plain("Okta"),
    ];
    let (world, issuers) = world_of(&shapes).await;
    for (shape, idp) in shapes.iter().zip(&issuers) {
        for (signer, header) in &shape.signers {
            let token = signer.sign(header, &idp.claims("release"));
            let answer = cancel_with(&world, &token).await;
            assert_eq!(answer.status, 200, "{}: {header}: {answer:?}", shape.name);
            // Signed by a key of nobody's, under the same name.
            let forger = match signer.algorithm {
                "ES256" => Signer::ec(""),
                _ => Signer::rsa("", "RS256"),
            };
            let forged = forger.sign(header, &idp.claims("release"));
            let answer = cancel_with(&world, &forged).await;
            assert_eq!(answer.status, 401, "{}: {header}: {answer:?}", shape.name);
        }
        assert_eq!(idp.fetches(), (1, 1), "{}", shape.name);
    }
    let ready = world.readiness(200).await;
    for (number, shape) in shapes.iter().enumerate() {
        let issuer = &ready["issuers"][number];
        assert_eq!(
            issuer["usableKeys"], shape.usable,
            "{}: {issuer}",
            shape.name
        );
        let left_out = issuer["leftOut"].as_array().unwrap().iter();
        let left_out: u64 = left_out.map(|keys| keys["count"].as_u64().unwrap()).sum();
        assert_eq!(left_out, shape.left_out as u64, "{}: {issuer}", shape.name);
    }
    // Keys of other kinds are nothing unusual; a broken one is.
    let warnings = ready["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let warning = warnings[0].as_str().unwrap();
    assert!(warning.contains(&issuers[5].issuer()), "{warning}");
    assert!(
        warning.contains("1 RSA modulus of less than 2048"),
        "{warning}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_kid_every_key_that_fits_is_tried() {
    let signers = [
        Signer::rsa("a", "RS256"),
        Signer::rsa("b", "RS256"),
        Signer::ec("c"),
    ];
    let idp = Idp::start(&signers.each_ref());
    let world = spawn_jwt(&idp, r#"algorithms = ["RS256", "ES256"]"#).await;
    for signer in &signers {
        let header = json!({"alg": signer.algorithm});
        let token = signer.sign(&header, &idp.claims("release"));
        assert_eq!(
            cancel_with(&world, &token).await.status,
            200,
            "{}",
            signer.kid
        );
    }
    let forger = Signer::rsa("a", "RS256");
    for number in 0..10 {
        let mut claims = idp.claims("release");
        claims["jti"] = json!(number);
        let token = forger.sign(&json!({"alg": "RS256"}), &claims);
        cancel_with(&world, &token)
            .await
            .problem(401, "unauthenticated");
    }
    assert_eq!(idp.fetches().1, 1, "no fetch while there are candidates");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_without_ids_are_tried_before_the_issuer_is_asked_again() {
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let idp = Idp::start(&[]);
    let nameless = |signer: &Signer| numbers(signer);
    idp.publish_as(vec![nameless(&old)]);
    let world = spawn_jwt(&idp, r#"algorithms = ["ES256"]"#).await;
    let token = old.token(&idp.claims("release"));
    assert_eq!(cancel_with(&world, &token).await.status, 200);
    assert_eq!(idp.fetches().1, 1);
    idp.publish_as(vec![nameless(&old), nameless(&new)]);
    let token = new.token(&idp.claims("release"));
    assert_eq!(
        cancel_with(&world, &token).await.status,
        200,
        "the named key was fetched"
    );
    assert_eq!(idp.fetches().1, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_key_that_verifies_nothing_is_not_fetched_again() {
    let (good, broken) = (Signer::rsa("good", "RS256"), Signer::rsa("broken", "RS256"));
    let idp = Idp::start(&[]);
    let even = encode([0xfe; 256]);
    idp.publish_as(vec![good.jwk(), with(broken.jwk(), json!({"n": even}))]);
    let world = spawn_jwt(&idp, "").await;
    for _ in 0..8 {
        let token = broken.token(&idp.claims("release"));
        cancel_with(&world, &token)
            .await
            .problem(401, "unauthenticated");
    }
    assert_eq!(idp.fetches().1, 1);
    let ready = world.readiness(200).await;
    let issuer = &ready["issuers"][0];
    assert_eq!(issuer["issuer"], idp.issuer());
    assert_eq!(issuer["usableKeys"], 1);
    let reason = json!([{"count": 1, "reason": "not a valid public key"}]);
    assert_eq!(issuer["leftOut"], reason);
    assert!(
        ready["warnings"]
            .to_string()
            .contains("1 not a valid public key")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_asked_for_by_their_own_media_type() {
    for media_type in ["application/jwk-set+json", "application/json", "*/*"] {
        let signer = Signer::ec("k");
        let idp = Idp::start(&[&signer]);
        idp.serve_keys_only_as(media_type);
        let world = spawn_jwt(&idp, r#"algorithms = ["ES256"]"#).await;
        let answer = cancel_with(&world, &signer.token(&idp.claims("release"))).await;
        assert_eq!(answer.status, 200, "{media_type}: {answer:?}");
    }
}

//! Tokens and key sets as Entra ID, Keycloak and Kubernetes write them.

use serde_json::{Value, json};

use crate::helpers::{Setup, spawn_with};
use crate::idp::Idp;
use crate::jwt::{cancel_with, toml};
use crate::mint::Signer;

/// A member of a key set as its issuer writes it, around the public part of `signer`.
fn member(signer: &Signer, others: Value) -> Value {
    let mut member = signer.jwk();
    for (name, value) in others.as_object().unwrap() {
        member[name] = value.clone();
    }
    member
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_entra_keycloak_and_kubernetes_are_accepted() {
    let signer = Signer::rsa("k", "RS256");
    let encrypting = Signer::rsa("enc", "RS256");
    let header = json!({"alg": "RS256", "kid": "k"});
    let table = [
        (
            "Entra ID, v2.0",
            "azp = \"6a9c1b1e-client\", roles = \"Offers.Cancel\"",
            vec![member(
                &signer,
                json!({"x5t": "k", "x5c": ["MIIDBTCC"], "issuer": "https://login.microsoftonline.com/t/v2.0", "cloud_instance_name": "microsoftonline.com"}),
            )],
            json!({"typ": "JWT", "alg": "RS256", "kid": "k", "x5t": "k"}),
            json!({"azp": "6a9c1b1e-client", "azpacr": "1", "oid": "o", "sub": "o", "rh": "1.A", "roles": ["Offers.Read", "Offers.Cancel"], "tid": "t", "uti": "u", "ver": "2.0", "aio": "E2Zg", "xms_ftd": "x"}),
        ),
        (
            "Entra ID, v1.0",
            "appid = \"6a9c1b1e-client\"",
            vec![member(&signer, json!({"x5t": "k", "x5c": ["MIIDBTCC"]}))],
            json!({"typ": "JWT", "alg": "RS256", "x5t": "k", "kid": "k"}),
            json!({"appid": "6a9c1b1e-client", "appidacr": "1", "idp": "https://sts.windows.net/t/", "oid": "o", "sub": "o", "tid": "t", "ver": "1.0"}),
        ),
        (
            "Keycloak",
            "azp = \"release-pipeline\"",
            vec![
                member(
                    &encrypting,
                    json!({"use": "enc", "alg": "RSA-OAEP", "x5c": ["MIICnz"]}),
                ),
                member(&signer, json!({"alg": "RS256", "x5t#S256": "x"})),
            ],
            json!({"alg": "RS256", "typ": "JWT", "kid": "k"}),
            json!({"typ": "Bearer", "azp": "release-pipeline", "client_id": "release-pipeline", "aud": ["offergate", "account"], "acr": "1", "jti": "trrtcc:1", "realm_access": {"roles": ["offline_access"]}, "scope": "profile email", "preferred_username": "service-account-release-pipeline"}),
        ),
        (
            "a Kubernetes service account",
            "sub = \"system:serviceaccount:release:pipeline\"",
            vec![member(&signer, json!({"alg": "RS256"}))],
            header,
            json!({"aud": ["offergate"], "sub": "system:serviceaccount:release:pipeline", "jti": "j", "nbf": crate::mint::now(), "kubernetes.io": {"namespace": "release", "pod": {"name": "p", "uid": "u"}, "serviceaccount": {"name": "pipeline", "uid": "u"}, "warnafter": 1}}),
        ),
    ];
    for (name, claims, keys, header, members) in table {
        let idp = Idp::start(&[]);
        idp.publish_as(keys);
        let world = spawn_with(Setup {
            toml: toml(&idp, "").replace("azp = \"release\"", claims),
            ..Setup::default()
        })
        .await;
        let mut token = idp.claims("x");
        token.as_object_mut().unwrap().remove("azp");
        for (name, value) in members.as_object().unwrap() {
            token[name] = value.clone();
        }
        let answer = cancel_with(&world, &signer.sign(&header, &token)).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
}

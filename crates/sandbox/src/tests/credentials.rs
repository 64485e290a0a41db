//! The controls for credentials over real TCP: what they change, and that they tell nothing.

use serde_json::{Value, json};

use super::client::{Got, Running, start};
use super::signer::{Signer, first};
use crate::text::sha256_hex;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const MACHINE: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01\
                       &resource=https%3A%2F%2Fcloudpartner.azure.com";

async fn token(sandbox: &Running, proof: &str) -> Got {
    let form = format!(
        "grant_type=client_credentials&client_id=offergate&{proof}\
         &resource=https%3A%2F%2Fcloudpartner.azure.com"
    );
    sandbox
        .send("POST", "/sandbox/oauth2/token", FORM, &form)
        .await
}

fn assertion(text: &str) -> String {
    let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    format!("client_assertion_type={kind}&client_assertion={text}")
}

#[tokio::test]
async fn secrets_are_changed_by_control_and_shown_as_hashes() {
    let sandbox = start().await;
    let both = json!({"secrets": ["the-new-one", {"value": "sandbox-secret", "expired": true}]});
    let set = sandbox.control("PUT", "token/secrets", &both).await;
    assert_eq!(set.status, 200, "{set:?}");
    assert_eq!(
        token(&sandbox, "client_secret=the-new-one").await.status,
        200
    );
    let old = token(&sandbox, "client_secret=sandbox-secret").await;
    assert_eq!(old.json()["error_codes"], json!([7000222]));
    for wrong in [json!({"secrets": "the-new-one"}), json!({"secrets": [""]})] {
        let refused = sandbox.control("PUT", "token/secrets", &wrong).await;
        assert_eq!(refused.status, 400);
        assert!(!refused.body.contains("the-new-one"), "{refused:?}");
    }
    let listed = sandbox.control("GET", "token/secrets", &Value::Null).await;
    let hash = format!("sha256:{}", sha256_hex(b"the-new-one"));
    assert_eq!(
        listed.json()[0],
        json!({"value": hash, "expired": false, "used": 1})
    );
    sandbox.control("POST", "reset", &Value::Null).await;
    assert_eq!(
        token(&sandbox, "client_secret=sandbox-secret").await.status,
        200
    );
    assert_eq!(
        token(&sandbox, "client_secret=the-new-one").await.status,
        401
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn certificates_and_issuers_are_registered_by_control() {
    let sandbox = start().await;
    let put = sandbox
        .send("PUT", "/_sandbox/v1/certificates", "", first().pem())
        .await;
    assert_eq!(put.status, 200, "{put:?}");
    let mut claims = Signer::claims();
    // The tests' client says `IdentityHost: sandbox`.
    claims["aud"] = json!("http://sandbox/sandbox/oauth2/v2.0/token");
    let proof = first().sign(&first().header("PS256", "x5t#S256"), &claims);
    assert_eq!(token(&sandbox, &assertion(&proof)).await.status, 200);
    let again = token(&sandbox, &assertion(&proof)).await;
    assert_eq!(again.json()["error_codes"], json!([50013]));
    let key = first().private_pem();
    let refused = sandbox
        .send("POST", "/_sandbox/v1/certificates", "", &key)
        .await;
    assert!(
        refused.status == 400 && refused.body.contains("private key"),
        "{refused:?}"
    );
    let none = sandbox
        .control("DELETE", "certificates", &Value::Null)
        .await;
    assert_eq!(none.json(), json!([]));

    let jwks = json!({"keys": [first().jwk("one")]});
    let registration = json!({"issuer": "https://i", "subject": "s", "jwks": jwks});
    let put = sandbox.control("PUT", "federated", &registration).await;
    assert_eq!(put.json()[0]["audience"], "api://AzureADTokenExchange");
    claims["iss"] = json!("https://i");
    claims["sub"] = json!("s");
    claims["aud"] = json!("api://AzureADTokenExchange");
    let word = first().sign(&json!({"alg": "RS256", "kid": "one"}), &claims);
    assert_eq!(token(&sandbox, &assertion(&word)).await.status, 200);
    let refused = sandbox
        .control("POST", "federated", &json!({"issuer": "i"}))
        .await;
    assert_eq!(refused.status, 400);

    let journal = sandbox.control("GET", "journal", &Value::Null).await.body;
    for sent in [&proof, &word] {
        assert!(!journal.contains(sent.rsplit_once('.').unwrap().1));
        assert!(journal.contains(&sha256_hex(sent.as_bytes())));
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_surplus_call_is_refused_and_in_the_journal() {
    let sandbox = start().await;
    let one = json!({"calls": 1});
    sandbox.control("PUT", "token/allowance", &one).await;
    let machine = async || sandbox.send("GET", MACHINE, "Metadata: true\r\n", "").await;
    assert_eq!(machine().await.status, 200);
    for surplus in [
        machine().await,
        token(&sandbox, "client_secret=sandbox-secret").await,
    ] {
        assert_eq!(
            (surplus.status, &surplus.json()["error"]),
            (400, &json!("surplus_call"))
        );
    }
    let told = sandbox
        .control("GET", "token/allowance", &Value::Null)
        .await;
    assert_eq!(told.json(), json!({"calls": 1, "made": 3, "surplus": 2}));
    let journal = sandbox
        .control("GET", "journal?path=token", &Value::Null)
        .await
        .json();
    let faults = journal.as_array().unwrap().iter();
    let taken = faults.filter(|entry| entry["fault"] == "surplus").count();
    assert_eq!(taken, 2, "{journal}");
    sandbox
        .control("DELETE", "token/allowance", &Value::Null)
        .await;
    assert_eq!(machine().await.status, 200);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_managed_identity_fails_in_its_own_words() {
    let sandbox = start().await;
    let machine = async || sandbox.send("GET", MACHINE, "Metadata: true\r\n", "").await;
    for (fault, status, error) in [
        (
            json!({"kind": "throttle", "retryAfterSeconds": 3}),
            429,
            "too_many_requests",
        ),
        (json!({"kind": "internal-error"}), 500, "unknown"),
    ] {
        let order = json!({"on": "token", "fault": fault});
        sandbox.control("POST", "faults", &order).await;
        let got = machine().await;
        assert_eq!((got.status, &got.json()["error"]), (status, &json!(error)));
        assert_eq!(got.header("retry-after"), (status == 429).then_some("3"));
    }
    let put = sandbox
        .control("PUT", "identity", &json!({"header": "hush"}))
        .await;
    assert!(put.status == 200 && !put.body.contains("hush"), "{put:?}");
    let target = "/msi/token?api-version=2019-08-01&resource=https://cloudpartner.azure.com";
    for (header, status) in [("hush", 200), ("sandbox-identity-header", 401)] {
        let header = format!("X-IDENTITY-HEADER: {header}\r\n");
        assert_eq!(
            sandbox.send("GET", target, &header, "").await.status,
            status
        );
    }
    let journal = sandbox
        .control("GET", "journal?path=msi", &Value::Null)
        .await;
    assert!(!journal.body.contains("hush"));
    sandbox.stop().await;
}

//! The four kinds of answer that the gateway reads (to an action, to a look, of a token
//! endpoint, of an issuer) in every form that HTTP and JSON allow, and in forms that they do
//! not: those are never believed.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::client;
use crate::forms::{Fault, Form, Framing};
use crate::helpers::{Setup, World, spawn_with};
use crate::mint::{Signer, now};
use crate::raw::RawServer;

const UNKNOWN: &str = "/operations/01996b2e-0000-7000-8000-000000000000";

/// A gateway whose vendor, token endpoints and issuers answer in these forms: for each there
/// is a publisher with a credential of its own, and a caller with an issuer of its own.
async fn spawn(server: &RawServer, forms: &[Form]) -> World {
    let address = server.address;
    let mut toml = format!("[portal]\nbase_url = \"http://{address}\"\n");
    for form in forms.iter().map(Form::name) {
        let lower = form.to_lowercase();
        write!(
            toml,
            r#"
[credentials.{lower}]
kind = "client-secret"
authority = "http://{address}"
tenant_id = "{form}"
client_id = "gateway"
client_secret = "a-secret-of-the-gateway"
wait_ms = 1000
[[publishers]]
id = "{form}"
credential = "{lower}"
[[identity.jwt]]
issuer = "http://{address}/{form}"
audience = "offergate"
[[callers]]
name = "{lower}"
jwt = {{ issuer = "http://{address}/{form}", claims = {{ azp = "client" }} }}
"#
        )
        .unwrap();
    }
    toml.push_str(
        r#"
[[publishers]]
id = "contoso"
credential = "main"
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline"]
allow = [ { actions = ["*"], publishers = ["*"], offers = ["*"] } ]
"#,
    );
    spawn_with(Setup {
        toml,
        ..Setup::default()
    })
    .await
}

fn token(server: &RawServer, signer: &Signer, form: &str) -> String {
    signer.token(&serde_json::json!({
        "iss": format!("http://{}/{form}", server.address),
        "aud": "offergate",
        "sub": "client",
        "azp": "client",
        "iat": now(),
        "exp": now() + 600,
    }))
}

/// What a request with a token of this form's issuer is answered, once its keys were fetched.
async fn status_with_token(world: &World, server: &RawServer, signer: &Signer, form: &str) -> u16 {
    let bearer = format!("Bearer {}", token(server, signer, form));
    let headers = [("Authorization", bearer.as_str())];
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        let answer = client::send(world.address(), "GET", UNKNOWN, &headers, "").await;
        if answer.status != 503 || Instant::now() > deadline {
            return answer.status;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn cancel(world: &World, publisher: &str, offer: &str) -> client::Answer {
    let path = format!("/publishers/{publisher}/offers/{offer}/cancel");
    world.send("POST", &path, "").await
}

fn operation_id(answer: &client::Answer) -> String {
    let location = answer.header("operation-location").unwrap();
    location.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_legal_form_is_understood() {
    let signer = Signer::rsa("one", "RS256");
    let server = RawServer::start(Form::legal(), vec![signer.jwk()]).await;
    let some = Form::some_legal();
    let world = spawn(&server, &some).await;
    // Looks, which go on meanwhile.
    let mut followed = Vec::new();
    for form in Form::legal() {
        let answer = cancel(&world, "contoso", &format!("look.{}", form.name())).await;
        assert_eq!(answer.status, 202, "{form:?}: {answer:?}");
        followed.push((form, operation_id(&answer)));
    }
    // Actions.
    for form in Form::legal() {
        let answer = cancel(&world, "contoso", &format!("action.{}", form.name())).await;
        assert_eq!(answer.status, 200, "{form:?}: {answer:?}");
        assert_eq!(answer.json()["outcome"], "canceled", "{form:?}");
    }
    // Token endpoints and issuers.
    for form in &some {
        let name = form.name();
        let answer = cancel(&world, &name, "action").await;
        assert_eq!(answer.status, 200, "{form:?}: {answer:?}");
        assert_eq!(
            server.count(&format!("Bearer token-of-{name}-")),
            1,
            "{form:?}"
        );
        let status = status_with_token(&world, &server, &signer, &name).await;
        assert_eq!(status, 404, "{form:?}");
    }
    for (form, id) in followed {
        let operation = world.ended(&id).await;
        assert_eq!(operation["outcome"], "canceled", "{form:?}: {operation}");
    }
}

/// How a 200 in a broken form is answered: the status, and `delivered`.
fn expected(form: Form) -> (u16, &'static str) {
    let Form::Broken(fault) = form else {
        panic!("{form:?} is not broken");
    };
    match fault {
        // The vendor has answered, with a body that says nothing.
        Fault::BytesBehindGzip | Fault::UnknownCoding | Fault::CutClose => (202, "yes"),
        // The answer broke off.
        Fault::CutGzip
        | Fault::CutSecondMember
        | Fault::CutChunked
        | Fault::MalformedChunk
        | Fault::ShortLength => (202, "unknown"),
        // It is no answer to this request alone.
        Fault::LengthAndChunked
        | Fault::TwoLengths
        | Fault::OldChunked
        | Fault::SwitchingProtocols => (502, "unknown"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_broken_form_is_believed() {
    let signer = Signer::rsa("one", "RS256");
    let server = RawServer::start(Form::broken(), vec![signer.jwk()]).await;
    let forms: Vec<Form> = Form::broken().collect();
    let world = spawn(&server, &forms).await;
    let mut followed = Vec::new();
    for form in &forms {
        let name = form.name();
        let (status, delivered) = expected(*form);
        let answer = cancel(&world, "contoso", &format!("action.{name}")).await;
        assert_eq!(answer.status, status, "{form:?}: {answer:?}");
        if status == 502 {
            answer.problem(502, "portal-bad-response");
        }
        let id = operation_id(&answer);
        let operation = world.recorded(&id).await;
        assert_eq!(
            operation["portal"]["delivered"], delivered,
            "{form:?}: {operation}"
        );
        followed.push((*form, id));
        let answer = cancel(&world, "contoso", &format!("look.{name}")).await;
        assert_eq!(answer.status, 202, "{form:?}: {answer:?}");
        followed.push((*form, operation_id(&answer)));
    }
    for form in &forms {
        let name = form.name();
        let answer = cancel(&world, &name, "action").await;
        let problem = answer.problem(503, "credential-unavailable");
        assert_eq!(problem["delivered"], "no", "{form:?}");
        let bearer = format!("Bearer {}", token(&server, &signer, &name));
        let headers = [("Authorization", bearer.as_str())];
        let answer = client::send(world.address(), "GET", UNKNOWN, &headers, "").await;
        answer.problem(503, "issuer-unavailable");
        assert!(
            server.count(&format!("/{name}/.well-known/")) > 0,
            "{form:?}"
        );
    }
    assert_eq!(server.count("Bearer token-of-"), 0);
    // Looks whose answers all say that the run is canceled have been taken by now.
    for form in &forms {
        let path = format!("look.{}/submissions", form.name());
        let deadline = Instant::now() + Duration::from_secs(20);
        while server.count(&path) < 3 {
            assert!(Instant::now() < deadline, "{form:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
    for (form, id) in followed {
        let operation = world.operation(&id).await;
        assert_eq!(operation["status"], "Running", "{form:?}: {operation}");
        assert_eq!(operation["outcome"], Value::Null, "{form:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_an_answer_answers_nothing() {
    let framings = [Framing::Length, Framing::Chunked, Framing::Interim];
    let forms = framings.map(Form::Followed);
    let server = RawServer::start(forms.into_iter(), Vec::new()).await;
    let world = spawn(&server, &[]).await;
    for form in forms.repeat(5) {
        let answer = cancel(&world, "contoso", &format!("action.{}", form.name())).await;
        assert_eq!(answer.status, 200, "{form:?}: {answer:?}");
        assert_eq!(
            cancel(&world, "contoso", "action").await.status,
            200,
            "{form:?}"
        );
    }
}

//! Every kind of credential acquires a token from the sandbox, which verifies the request;
//! and one token serves all callers.

use std::path::Path;

use serde_json::{Value, json};

use crate::client;
use crate::entra::{
    Certified, allow, application, assert_all_used, assert_one_serves_all, by_certificate,
    platform_token, prepare_for_one, trust, used,
};
use crate::helpers::{Setup, World, spawn_before};
use crate::mint::Signer;
use crate::vendor::Vendor;

const MANAGED: &str = "kind = \"managed-identity\"\nwait_ms = 5000\n";
const IMDS: &str = "endpoint = \"http://$vendor/metadata/identity/oauth2/token\"\n";
const APP_SERVICE: &str = "endpoint = \"http://$vendor/msi/token\"\n";

fn setup(credential: String, files: Vec<(&'static str, String)>) -> Setup {
    Setup {
        toml: "[server]\nmax_in_flight_actions = 1000\n[portal]\nrequest_timeout_ms = 30000".into(),
        credential: Some(credential),
        files,
        ..Setup::default()
    }
}

/// The only request for a token.
async fn request_for_a_token(world: &World, path: &str) -> Value {
    let mut asked = world.vendor.received(path).await;
    assert_eq!(asked.len(), 1, "{asked:?}");
    asked.remove(0)
}

/// Replaces a file atomically, as the platform does.
fn exchange(directory: &Path, name: &str, text: &str) {
    let new = directory.join("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, directory.join(name)).unwrap();
}

async fn certificate(more: &str) {
    let vendor = Vendor::start(Setup::default().vendor).await;
    let (ours, other) = (Certified::first(), Certified::second());
    Certified::register(&vendor, &[ours, other]).await;
    prepare_for_one(&vendor).await;
    let world = spawn_before(vendor, setup(by_certificate(more), ours.files())).await;
    assert_one_serves_all(&world).await;
    assert_eq!(used(&world.vendor, "certificates").await, [1, 0], "{more}");
    let body = request_for_a_token(&world, "/oauth2/").await["body"].to_string();
    assert!(!body.contains("client_secret"), "{body}");
    // The sandbox accepts no assertion twice.
    allow(&world.vendor, 1).await;
    let revoked = world.vendor.control("POST", "token/revoke", Value::Null);
    revoked.await;
    assert_eq!(world.cancel("sync-1").await.status, 200);
    assert_all_used(&world.vendor, 1).await;
    assert_eq!(used(&world.vendor, "certificates").await, [2, 0], "{more}");
    let ready = world.readiness(200).await;
    assert_eq!(ready["credentials"][0]["kind"], "client-certificate");
    assert_eq!(ready["warnings"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_signs_with_ps256() {
    certificate("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_signs_with_rs256() {
    certificate("assertion_algorithm = \"RS256\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_works_at_the_older_endpoint() {
    certificate("endpoint_version = \"v1\"\nresource = \"https://cloudpartner.azure.com\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unregistered_certificate_is_named_in_the_error() {
    let vendor = Vendor::start(Setup::default().vendor).await;
    Certified::register(&vendor, &[Certified::second()]).await;
    let files = Certified::first().files();
    let world = spawn_before(vendor, setup(by_certificate(""), files)).await;
    world
        .cancel("sync-1")
        .await
        .problem(503, "credential-unavailable");
    let ready = world.readiness(503).await;
    let why = ready["reasons"].to_string();
    assert!(why.contains("AADSTS700027"), "{why}");
    assert!(
        why.contains("not that of a registered certificate"),
        "{why}"
    );
}

/// A gateway on a platform that says `one` of it.
async fn workload(signer: &Signer) -> World {
    let vendor = Vendor::start(Setup::default().vendor).await;
    trust(&vendor, signer, &["one", "two"]).await;
    prepare_for_one(&vendor).await;
    let credential = application("workload-identity", "assertion_file = \"assertion\"");
    let text = format!(" \t{}\n\n", platform_token(signer, "one"));
    spawn_before(vendor, setup(credential, vec![("assertion", text)])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_assertion_is_read_for_each_request() {
    let signers = [Signer::ec("a"), Signer::rsa("b", "RS256")];
    for signer in &signers {
        let world = workload(signer).await;
        assert_one_serves_all(&world).await;
        assert_eq!(used(&world.vendor, "federated").await, [1, 0]);
        // Another file is tried while the token from the first is valid for an hour.
        allow(&world.vendor, 1).await;
        let text = format!("{}\r\n", platform_token(signer, "two"));
        exchange(world.directory.path(), "assertion", &text);
        world.vendor.receives("/oauth2/", 2).await;
        assert_eq!(world.cancel("sync-1").await.status, 200);
        assert_eq!(used(&world.vendor, "federated").await, [1, 1]);
        assert_all_used(&world.vendor, 1).await;
        let ready = world.readiness(200).await;
        assert_eq!(ready["credentials"][0]["kind"], "workload-identity");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_that_changes_during_a_request_is_noticed() {
    let signer = Signer::ec("a");
    let world = workload(&signer).await;
    // The endpoint has the first and takes its time.
    world.vendor.receives("/oauth2/", 1).await;
    allow(&world.vendor, 1).await;
    exchange(
        world.directory.path(),
        "assertion",
        &platform_token(&signer, "two"),
    );
    world.vendor.receives("/oauth2/", 2).await;
    assert_eq!(world.cancel("sync-1").await.status, 200);
    assert_eq!(used(&world.vendor, "federated").await, [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_assertion_leaves_the_token_in_use() {
    let signer = Signer::ec("a");
    let world = workload(&signer).await;
    assert_one_serves_all(&world).await;
    world
        .vendor
        .control("DELETE", "token/allowance", Value::Null)
        .await;
    let stranger = platform_token(&signer, "three");
    for (text, why) in [
        (stranger.as_str(), "AADSTS700213"),
        ("", "it is empty"),
        ("no.jwt", "token endpoint answered with an error"),
    ] {
        exchange(world.directory.path(), "assertion", text);
        let ready = world
            .readiness_until(|body| body["warnings"].to_string().contains(why))
            .await;
        assert_eq!(ready["ready"], true);
        let warnings = ready["warnings"].to_string();
        assert!(warnings.contains("renewal fails; the current token still serves contoso"));
        assert_eq!(world.cancel("sync-1").await.status, 200);
    }
    exchange(
        world.directory.path(),
        "assertion",
        &platform_token(&signer, "two"),
    );
    let all_well = |body: &Value| body["warnings"] == json!([]);
    world.readiness_until(all_well).await;
    assert_eq!(used(&world.vendor, "federated").await, [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_has_an_identity_of_its_own() {
    for (more, query) in [
        ("", ""),
        ("client_id = \"$client_id\"\n", "&client_id=offergate"),
    ] {
        let vendor = Vendor::start(Setup::default().vendor).await;
        prepare_for_one(&vendor).await;
        let credential = format!("{MANAGED}{IMDS}{more}");
        let world = spawn_before(vendor, setup(credential, Vec::new())).await;
        assert_one_serves_all(&world).await;
        let asked = request_for_a_token(&world, "/metadata/identity").await;
        assert_eq!(asked["method"], "GET");
        assert_eq!(asked["headers"]["metadata"], "true");
        let expected =
            format!("api-version=2018-02-01&resource=https%3A%2F%2Fcloudpartner.azure.com{query}");
        assert_eq!(asked["query"], expected);
        let ready = world.readiness(200).await;
        assert_eq!(ready["credentials"][0]["kind"], "managed-identity");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_has_an_identity_of_its_own() {
    let vendor = Vendor::start(Setup::default().vendor).await;
    prepare_for_one(&vendor).await;
    let header = "identity_header = \"sandbox-identity-header\"";
    let credential = format!("{MANAGED}{APP_SERVICE}{header}");
    let world = spawn_before(vendor, setup(credential, Vec::new())).await;
    assert_one_serves_all(&world).await;
    let asked = request_for_a_token(&world, "/msi/token").await;
    let proof = asked["headers"]["x-identity-header"].as_str().unwrap();
    assert!(proof.starts_with("sha256:"), "{asked}");
    assert!(asked["headers"]["metadata"].is_null(), "{asked}");
    assert_eq!(
        asked["query"],
        "api-version=2019-08-01&resource=https%3A%2F%2Fcloudpartner.azure.com"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_endpoint_may_refuse() {
    let hasty = MANAGED.replace("5000", "100");
    let app_service = |more: &str| format!("{hasty}{APP_SERVICE}{more}");
    let machine = |more: &str| format!("{hasty}{IMDS}{more}");
    for (credential, why) in [
        (
            app_service("identity_header = \"wrong\""),
            "(401): check identity_header",
        ),
        (app_service(""), "(401): check resource and endpoint"),
        (
            machine("client_id = \"nobody\""),
            "(400, invalid_request): check client_id",
        ),
        (
            machine("resource = \"https://nowhere.example\""),
            "(400, AADSTS500011, invalid_resource): the resource or scope is unknown",
        ),
    ] {
        let vendor = Vendor::start(Setup::default().vendor).await;
        let world = spawn_before(vendor, setup(credential.clone(), Vec::new())).await;
        world
            .cancel("sync-1")
            .await
            .problem(503, "credential-unavailable");
        let reasons = world.readiness(503).await["reasons"].to_string();
        assert!(reasons.contains(why), "{why}: {reasons}");
        assert!(world.vendor.received("/api/").await.is_empty());
    }
}

/// A token of the sandbox that another client has obtained.
pub async fn token(vendor: &Vendor, seconds: u32) -> String {
    let lifetime = json!({"expiresIn": seconds});
    vendor.control("POST", "token", lifetime).await;
    let form = "grant_type=client_credentials&client_id=offergate&client_secret=sandbox-secret\
                &scope=https%3A%2F%2Fcloudpartner.azure.com%2F.default";
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let path = "/sandbox/oauth2/v2.0/token";
    let answer = client::send(vendor.address, "POST", path, &headers, form).await;
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_come_from_a_file() {
    let vendor = Vendor::start(Setup::default().vendor).await;
    let first = token(&vendor, 3600).await;
    let credential = "kind = \"token-file\"\ntoken_file = \"token\"".to_owned();
    let setup = setup(credential, vec![("token", format!("\n{first}\n"))]);
    allow(&vendor, 0).await;
    let world = spawn_before(vendor, setup).await;
    assert_eq!(world.cancel("sync-1").await.status, 200);
    let ready = world.readiness(200).await;
    let credential = &ready["credentials"][0];
    assert_eq!(credential["kind"], "token-file");
    let usable = credential["tokenUsableMs"].as_u64().unwrap();
    assert!((3_400_000..3_571_000).contains(&usable), "{ready}");
    // It comes from the file: the gateway has sent no token request.
    assert_all_used(&world.vendor, 0).await;
    world
        .vendor
        .control("DELETE", "token/allowance", Value::Null)
        .await;

    let second = token(&world.vendor, 7200).await;
    exchange(world.directory.path(), "token", &second);
    let long = |body: &Value| body["credentials"][0]["tokenUsableMs"].as_u64() > Some(3_600_000);
    world.readiness_until(long).await;
    assert_eq!(world.cancel("sync-2").await.status, 200);

    // An expired token, then the previous one again.
    let short = token(&world.vendor, 10).await;
    for (text, why) in [
        (
            short.as_str(),
            "the received token has expired or is about to",
        ),
        (" \n", "it is empty"),
        ("sandbox", "it does not hold a JWT with an exp claim"),
    ] {
        exchange(world.directory.path(), "token", text);
        let is_warned = |body: &Value| body["warnings"].to_string().contains(why);
        let ready = world.readiness_until(is_warned).await;
        assert_eq!(ready["ready"], true, "{ready}");
        assert_eq!(world.cancel("sync-3").await.status, 200);
    }
    exchange(world.directory.path(), "token", &second);
    world
        .readiness_until(|body| body["warnings"] == json!([]))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_file_that_has_expired_is_not_sent() {
    let vendor = Vendor::start(Setup::default().vendor).await;
    let expired = Signer::ec("a").token(&json!({"exp": crate::mint::now() - 60}));
    let credential = "kind = \"token-file\"\ntoken_file = \"token\"\nwait_ms = 100".to_owned();
    let world = spawn_before(vendor, setup(credential, vec![("token", expired)])).await;
    world
        .cancel("sync-1")
        .await
        .problem(503, "credential-unavailable");
    let reasons = world.readiness(503).await["reasons"].to_string();
    assert!(reasons.contains("the token in it has expired"), "{reasons}");
    assert!(world.vendor.received("/").await.is_empty());
    // The file is renewed late, but in time.
    let good = token(&world.vendor, 3600).await;
    exchange(world.directory.path(), "token", &good);
    world.readiness(200).await;
    assert_eq!(world.cancel("sync-1").await.status, 200);
}

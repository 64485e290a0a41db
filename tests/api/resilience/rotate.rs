//! Replacing a credential while requests are served: no request fails, and other credentials
//! are not affected.

use aws_lc_rs::digest::{SHA256, digest};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep};

use crate::client::Answer;
use crate::config::write_config;
use crate::entra::{Certified, application, by_certificate, trust, used};
use crate::helpers::{Setup, World, spawn_before, spawn_with};
use crate::mint::Signer;
use crate::process::Served;
use crate::vendor::Vendor;

/// Concurrent callers.
const CALLERS: usize = 4;

/// The progress of callers whose requests must not fail.
struct Work {
    rounds: watch::Receiver<usize>,
}

impl Work {
    /// Each of them has been served at least once, all of it from now on.
    async fn goes_on(&mut self) {
        let enough = *self.rounds.borrow() + 2 * CALLERS;
        let far = self.rounds.wait_for(|rounds| *rounds >= enough).await;
        drop(far.unwrap());
    }
}

/// Callers cancel, one offer after another, for the duration of `change`, and every request
/// succeeds.
async fn at_work(cancel: impl AsyncFn(String) -> Answer, change: impl AsyncFnOnce(&mut Work)) {
    let (told, rounds) = watch::channel(0);
    let caller = async |name: usize| {
        for n in 0.. {
            if told.receiver_count() == 0 {
                break;
            }
            let answer = cancel(format!("sync-{name}-{n}")).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            told.send_modify(|rounds| *rounds += 1);
        }
    };
    let change = async {
        let mut work = Work { rounds };
        work.goes_on().await;
        change(&mut work).await;
        work.goes_on().await;
    };
    tokio::join!(join_all((0..CALLERS).map(caller)), change);
}

/// Invalidates every token issued so far.
async fn revoke(vendor: &Vendor) {
    vendor.control("POST", "token/revoke", Value::Null).await;
}

/// Checks that no credential needs attention. (The tests' gateways are started with shorter waits
/// than are in their files, which is warned of.)
fn is_quiet(body: &Value) -> bool {
    !body["warnings"].to_string().contains("credential")
}

fn stays(body: &Value, why: &str) -> bool {
    let warnings = body["warnings"].to_string();
    warnings
        .contains("credential main: no token with the changed credential; the old one stays in use")
        && warnings.contains(why)
}

/// Waits until `/readyz` meets the condition; the gateway is ready all the time.
async fn served_until(served: &Served, wished: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = served.admin("/readyz").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        if wished(&answer.json()) {
            return;
        }
        assert!(Instant::now() < deadline, "still {answer:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_replaced_in_its_file() {
    let setup = Setup {
        credential: Some(application(
            "client-secret",
            "client_secret_file = \"secret\"",
        )),
        files: vec![("secret", "sandbox-secret\n".into())],
        ..Setup::default()
    };
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let served = Served::start(&vendor, &setup).await;
    let secret = served.directory.path().join("secret");
    let cancel = async |offer: String| served.cancel(&offer).await;
    at_work(cancel, async |work| {
        std::fs::write(&secret, "wrong").unwrap();
        served_until(&served, |body| stays(body, "AADSTS7000215")).await;
        work.goes_on().await;
        // Two that overlap, as Entra has it for an application.
        let both = json!({"secrets": ["sandbox-secret", "next-secret"]});
        vendor.control("PUT", "token/secrets", both).await;
        std::fs::write(&secret, "next-secret").unwrap();
        served_until(&served, |body| body["warnings"] == json!([])).await;
        assert_eq!(used(&vendor, "token/secrets").await, [0, 1]);
        work.goes_on().await;
        // The old one is not needed any more.
        let new = json!({"secrets": ["next-secret"]});
        vendor.control("PUT", "token/secrets", new).await;
        revoke(&vendor).await;
        work.goes_on().await;
        assert_eq!(used(&vendor, "token/secrets").await, [1]);
    })
    .await;
    let log = served.process.stdout();
    assert!(log.contains("no token with the changed credential; the old one stays in use"));
    assert!(log.contains("credential replaced"), "{log}");
}

/// A gateway with the first certificate, before a vendor that knows the first two.
async fn certified() -> World {
    let setup = certified_setup();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let both = [Certified::first(), Certified::second()];
    Certified::register(&vendor, &both).await;
    spawn_before(vendor, setup).await
}

fn certified_setup() -> Setup {
    Setup {
        credential: Some(by_certificate("")),
        files: Certified::first().files(),
        ..Setup::default()
    }
}

/// Has the running gateway read another configuration.
async fn reconfigure(world: &World, setup: &Setup) {
    write_config(&world.directory, world.vendor.address, setup);
    world.reload(&setup.toml).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_and_its_key_are_replaced() {
    let world = certified().await;
    let cancel = async |offer: String| world.cancel(&offer).await;
    at_work(cancel, async |work| {
        // One file is replaced before the other.
        let half = Setup {
            files: vec![("app.pem", Certified::second().pem.clone())],
            ..certified_setup()
        };
        reconfigure(&world, &half).await;
        let ready = world.readiness(200).await;
        let warnings = ready["warnings"].to_string();
        assert!(
            warnings.contains("the previous version stays"),
            "{warnings}"
        );
        work.goes_on().await;
        let whole = Setup {
            files: Certified::second().files(),
            ..certified_setup()
        };
        reconfigure(&world, &whole).await;
        world.vendor.receives("/oauth2/", 2).await;
        world.readiness_until(is_quiet).await;
        assert_eq!(used(&world.vendor, "certificates").await, [1, 1]);
        Certified::register(&world.vendor, &[Certified::second()]).await;
        revoke(&world.vendor).await;
        work.goes_on().await;
        assert_eq!(used(&world.vendor, "certificates").await, [2]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_registered_yet_waits() {
    let world = certified().await;
    Certified::register(&world.vendor, &[Certified::first()]).await;
    let cancel = async |offer: String| world.cancel(&offer).await;
    at_work(cancel, async |work| {
        let other = Setup {
            files: Certified::second().files(),
            ..certified_setup()
        };
        reconfigure(&world, &other).await;
        let ready = world
            .readiness_until(|body| stays(body, "AADSTS700027"))
            .await;
        assert_eq!(ready["ready"], true);
        let failure = ready["credentials"][0]["rotationFailure"].to_string();
        assert!(failure.contains("registered certificate"), "{failure}");
        // The old one stays in use and acquires further tokens.
        revoke(&world.vendor).await;
        work.goes_on().await;
        let both = [Certified::first(), Certified::second()];
        Certified::register(&world.vendor, &both).await;
        world.readiness_until(is_quiet).await;
        assert_eq!(used(&world.vendor, "certificates").await, [2, 1]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reverted_change_leaves_no_warning() {
    let world = certified().await;
    Certified::register(&world.vendor, &[Certified::first()]).await;
    let other = Setup {
        files: Certified::second().files(),
        ..certified_setup()
    };
    reconfigure(&world, &other).await;
    world
        .readiness_until(|body| stays(body, "AADSTS700027"))
        .await;
    reconfigure(&world, &certified_setup()).await;
    world.readiness_until(is_quiet).await;
    assert_eq!(world.cancel("sync-1").await.status, 200);
}

/// The refresher must renew the old token meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_new_endpoint_delays_no_request() {
    let world = spawn_with(Setup::default()).await;
    assert_eq!(world.cancel("sync-1").await.status, 200);
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = format!("http://{}", silent.local_addr().unwrap());
    let toml = format!("[credentials.main]\nauthority = \"{authority}\"");
    world.reload(&toml).await;
    let (_connection, _) = silent.accept().await.unwrap();
    revoke(&world.vendor).await;
    let started = Instant::now();
    assert_eq!(world.cancel("sync-2").await.status, 200);
    // The silent endpoint is given up after 2 s at the earliest: it was not waited for.
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_never_worked_is_corrected_by_a_reload() {
    let secret = |secret: &str| Setup {
        credential: Some(application(
            "client-secret",
            &format!("client_secret = \"{secret}\""),
        )),
        ..Setup::default()
    };
    let world = spawn_with(secret("wrong")).await;
    let refused = |body: &Value| body["reasons"].to_string().contains("AADSTS7000215");
    world.readiness_until(refused).await;
    reconfigure(&world, &secret("wrong-again")).await;
    world
        .readiness_until(|body| stays(body, "AADSTS7000215"))
        .await;
    world.readiness(503).await;
    reconfigure(&world, &secret("sandbox-secret")).await;
    assert!(is_quiet(&world.readiness(200).await));
    assert_eq!(world.cancel("sync-1").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_changes_its_kind() {
    let world = spawn_with(Setup::default()).await;
    let signer = Signer::ec("a");
    trust(&world.vendor, &signer, &["one"]).await;
    Certified::register(&world.vendor, &[Certified::first()]).await;
    let assertion = crate::entra::platform_token(&signer, "one");
    let workload = Setup {
        credential: Some(application(
            "workload-identity",
            "assertion_file = \"assertion\"",
        )),
        files: vec![("assertion", assertion)],
        ..Setup::default()
    };
    let managed = "kind = \"managed-identity\"\nwait_ms = 3000\n\
                   endpoint = \"http://$vendor/metadata/identity/oauth2/token\"";
    let managed = Setup {
        credential: Some(managed.into()),
        ..Setup::default()
    };
    let kinds = [
        ("client-certificate", certified_setup()),
        ("workload-identity", workload),
        ("managed-identity", managed),
        ("client-secret", Setup::default()),
    ];
    let cancel = async |offer: String| world.cancel(&offer).await;
    at_work(cancel, async |work| {
        for (kind, setup) in &kinds {
            reconfigure(&world, setup).await;
            let ready = world
                .readiness_until(|body| body["credentials"][0]["kind"] == *kind)
                .await;
            assert!(is_quiet(&ready), "{kind}: {ready}");
            work.goes_on().await;
        }
        // The last one acquires the next token.
        revoke(&world.vendor).await;
        work.goes_on().await;
    })
    .await;
    assert_eq!(used(&world.vendor, "certificates").await, [1]);
    assert_eq!(used(&world.vendor, "federated").await, [1]);
    assert_eq!(used(&world.vendor, "token/secrets").await, [3]);
    let managed = world.vendor.received("/metadata/identity").await;
    assert_eq!(managed.len(), 1, "{managed:?}");
}

/// How the journal shows a token.
fn shown(token: &str) -> String {
    let hash = digest(&SHA256, token.as_bytes());
    let digits: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    format!("Bearer sha256:{digits}")
}

/// The tokens with which a publisher was asked, each once.
async fn tokens_of(world: &World, publisher: &str) -> Vec<String> {
    let path = format!("/publishers/{publisher}/");
    let asked = world.vendor.received(&path).await.into_iter();
    let mut tokens: Vec<String> = asked
        .map(|entry| entry["headers"]["authorization"].as_str().unwrap().into())
        .collect();
    tokens.sort();
    tokens.dedup();
    tokens
}

#[tokio::test(flavor = "multi_thread")]
async fn each_publisher_is_served_with_its_own_credential_only() {
    let mut setup = certified_setup();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let own = crate::kinds::token(&vendor, 3600).await;
    setup.files.push(("token", own.clone()));
    setup.toml = "[credentials.other]\nkind = \"token-file\"\ntoken_file = \"token\"\n\
         [[publishers]]\nid = \"contoso\"\ncredential = \"main\"\n\
         [[publishers]]\nid = \"fabrikam\"\ncredential = \"other\"\n\
         [[callers]]\nname = \"pipeline\"\ndefault_publisher = \"contoso\"\n\
         api_key_sha256 = [\"$pipeline\"]\n\
         allow = [ { actions = [\"*\"], publishers = [\"*\"], offers = [\"*\"] } ]"
        .into();
    // contoso's certificate is not registered yet.
    let world = spawn_before(vendor, setup).await;
    let fabrikams = |offer: String| format!("/publishers/fabrikam/offers/{offer}/cancel");
    let cancel = async |offer: String| world.send("POST", &fabrikams(offer), "").await;
    at_work(cancel, async |work| {
        let failed = |body: &Value| body["warnings"].to_string().contains("AADSTS700027");
        let ready = world.readiness_until(failed).await;
        assert_eq!(ready["ready"], true, "{ready}");
        let warnings = ready["warnings"].as_array().unwrap();
        let [warning] = &warnings[..] else {
            panic!("{ready}")
        };
        let warning = warning.as_str().unwrap();
        assert!(
            warning.starts_with("credential main: no token for contoso: "),
            "{warning}"
        );
        let refused = world.cancel("sync-refused").await;
        refused.problem(503, "credential-unavailable");
        assert!(tokens_of(&world, "contoso").await.is_empty());
        work.goes_on().await;
        Certified::register(&world.vendor, &[Certified::first()]).await;
        world.readiness_until(is_quiet).await;
        for n in 0..20 {
            assert_eq!(world.cancel(&format!("sync-{n}")).await.status, 200);
        }
    })
    .await;
    assert_eq!(tokens_of(&world, "fabrikam").await, [shown(&own)]);
    let contosos = tokens_of(&world, "contoso").await;
    assert_eq!(contosos.len(), 1, "{contosos:?}");
    assert_ne!(contosos[0], shown(&own));
}

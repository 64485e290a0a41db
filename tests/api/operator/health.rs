//! What `/readyz` and the commands report about a credential before and after it fails: the
//! days left, the refusals of Entra and of the vendor, and the remedies.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::config::write_config;
use crate::entra::{Certified, application, by_certificate, platform_token, trust};
use crate::helpers::{KEY, Setup, World, spawn, spawn_before, spawn_toml, spawn_with};
use crate::mint::Signer;
use crate::process::{Process, run};
use crate::vendor::Vendor;

/// The credential of `/readyz`, and the warnings there.
async fn credential_health(world: &World) -> (Value, String) {
    let ready = world.readiness(200).await;
    (
        ready["credentials"][0].clone(),
        ready["warnings"].to_string(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiring_secret_is_a_warning() {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    // A secret is valid until the end of its day.
    for (days, warning) in [
        (40, None),
        (7, Some("expires in 7 day(s); replace it")),
        (0, Some("expires within a day; replace it")),
        (-3, Some("has expired; replace it")),
    ] {
        let date = today.checked_add(days.days()).unwrap();
        let world = spawn_toml(&format!(
            "[credentials.main]\nclient_secret_expires = \"{date}\""
        ))
        .await;
        let (credential, warnings) = credential_health(&world).await;
        assert_eq!(credential["endsInDays"], days, "{credential}");
        let midnight = date.tomorrow().unwrap().to_string();
        let ends = credential["ends"].as_str().unwrap();
        assert!(ends.starts_with(&midnight), "{ends}");
        assert_eq!(
            warnings.contains("secret or certificate"),
            warning.is_some()
        );
        assert!(warnings.contains(warning.unwrap_or_default()), "{warnings}");
        assert_eq!(world.cancel("sync-1").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiring_certificate_is_a_warning() {
    for (days, warning) in [(35, None), (5, Some("expires in 5 day(s); replace it"))] {
        let certified = Certified::ending_in(days);
        let vendor = Vendor::start(Setup::default().vendor).await;
        Certified::register(&vendor, &[&certified]).await;
        let setup = Setup {
            credential: Some(by_certificate("")),
            files: certified.files(),
            ..Setup::default()
        };
        let world = spawn_before(vendor, setup).await;
        let (credential, warnings) = credential_health(&world).await;
        assert_eq!(credential["endsInDays"], days, "{credential}");
        assert_eq!(
            warnings.contains("secret or certificate"),
            warning.is_some()
        );
        assert!(warnings.contains(warning.unwrap_or_default()), "{warnings}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_the_vendor_has_a_remedy() {
    let world = spawn_toml(
        "[[publishers]]\nid = \"contoso\"\ncredential = \"main\"\n\
         [[publishers]]\nid = \"fabrikam\"\ncredential = \"main\"\n\
         [[callers]]\nname = \"pipeline\"\ndefault_publisher = \"contoso\"\n\
         api_key_sha256 = [\"$pipeline\"]\n\
         allow = [ { actions = [\"*\"], publishers = [\"*\"], offers = [\"*\"] } ]",
    )
    .await;
    for (fault, status, told_to_caller, remedy) in [
        (
            json!({"kind": "unauthorized"}),
            401,
            502,
            "the token has another audience; check resource or scope",
        ),
        (
            json!({"kind": "status", "status": 403}),
            403,
            403,
            "add the application to the publisher's account",
        ),
    ] {
        let order = json!({"on": "cancel", "publisher": "contoso", "times": 0, "fault": fault});
        world.vendor.order(order).await;
        assert_eq!(world.cancel("sync-1").await.status, told_to_caller);
        // Another publisher of the same credential is not affected.
        let other = "/publishers/fabrikam/offers/sync-1/cancel";
        let answer = world.send_as(KEY, "POST", other, "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let (credential, warnings) = credential_health(&world).await;
        assert_eq!(credential["vendorRefusal"], status);
        assert!(warnings.contains(remedy), "{warnings}");
        let whose = format!("the vendor refuses its token for contoso ({status})");
        assert!(warnings.contains(&whose), "{warnings}");
        world.vendor.heal().await;
        assert_eq!(world.cancel("sync-2").await.status, 200);
        let (credential, warnings) = credential_health(&world).await;
        assert_eq!(credential["vendorRefusal"], Value::Null);
        assert!(!warnings.contains("refuses"), "{warnings}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_entra_has_a_remedy() {
    for (code, remedy) in [
        (7_000_215, "the client secret is wrong"),
        (7_000_222, "the client secret has expired"),
        (500_011, "check resource or scope"),
        (90_002, "check tenant_id and authority"),
        (700_016, "check client_id and tenant_id"),
        (700_024, "check the machine's clock"),
        (700_027, "not that of a registered certificate"),
    ] {
        let fault = json!({"kind": "entra-error", "code": code});
        let order = json!({"on": "token", "times": 0, "fault": fault});
        let world = spawn_with(Setup {
            prepare: vec![("faults", order)],
            ..Setup::default()
        })
        .await;
        let code_text = format!("AADSTS{code}");
        let ready = world
            .readiness_until(|body| body["reasons"].to_string().contains(&code_text))
            .await;
        let failure = ready["credentials"][0]["lastFailure"].as_str().unwrap();
        assert!(
            failure.contains(&code_text) && failure.contains(remedy),
            "{failure}"
        );
        let arguments = ["check", "--config", ".", "--profile", "test"];
        let ended = run(world.directory.path(), &arguments).await;
        assert_eq!(ended.code, Some(69), "{ended:?}");
        let line = ended.stdout.lines().find(|line| line.contains(&code_text));
        let line = line.unwrap_or_else(|| panic!("{ended:?}"));
        assert!(line.starts_with("FAIL  credential main"), "{line}");
        assert!(line.contains(remedy), "{line}");
    }
}

/// A credential of each kind; the variables that the platform sets; and how `check` has it.
struct Kind {
    name: &'static str,
    setup: Setup,
    variables: Vec<(&'static str, String)>,
    detail: &'static str,
}

/// All of them, with a vendor that takes them for good. What the platform's variables
/// can say is not in the configuration.
async fn every_kind() -> (Vendor, Vec<Kind>) {
    let vendor = Vendor::start(Setup::default().vendor).await;
    let signer = Signer::ec("a");
    trust(&vendor, &signer, &["one"]).await;
    Certified::register(&vendor, &[Certified::first()]).await;
    let token = crate::kinds::token(&vendor, 3600).await;
    let kind = |name, credential: &str, files, variables, detail| Kind {
        name,
        setup: Setup {
            credential: Some(credential.into()),
            files,
            ..Setup::default()
        },
        variables,
        detail,
    };
    let address = vendor.address;
    let assertion = vec![("assertion", platform_token(&signer, "one"))];
    let pod = vec![
        ("AZURE_TENANT_ID", "sandbox".to_owned()),
        ("AZURE_CLIENT_ID", "offergate".to_owned()),
        ("AZURE_AUTHORITY_HOST", format!("http://{address}/")),
        ("AZURE_FEDERATED_TOKEN_FILE", "assertion".to_owned()),
    ];
    let app = vec![
        ("IDENTITY_ENDPOINT", format!("http://{address}/msi/token")),
        ("IDENTITY_HEADER", "sandbox-identity-header".to_owned()),
    ];
    let secret = "client_secret = \"sandbox-secret\"\nclient_secret_expires = \"2099-12-31\"";
    let kinds = vec![
        kind(
            "client-secret",
            &application("client-secret", secret),
            vec![],
            vec![],
            "; its secret or certificate expires in ",
        ),
        kind(
            "client-certificate",
            &by_certificate(""),
            Certified::first().files(),
            vec![],
            "; its secret or certificate expires in 400 day(s)",
        ),
        kind(
            "workload-identity",
            "kind = \"workload-identity\"",
            assertion,
            pod,
            "",
        ),
        kind(
            "managed-identity",
            "kind = \"managed-identity\"",
            vec![],
            app,
            "",
        ),
        kind(
            "token-file",
            "kind = \"token-file\"\ntoken_file = \"token\"",
            vec![("token", token)],
            vec![],
            "",
        ),
    ];
    (vendor, kinds)
}

async fn ended(vendor: &Vendor, kind: &Kind, arguments: &[&str]) -> crate::process::Ended {
    let directory = TempDir::new().unwrap();
    write_config(&directory, vendor.address, &kind.setup);
    let variables: Vec<(&str, &str)> = kind
        .variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let arguments = [arguments, &["--config", ".", "--profile", "test"]].concat();
    let process = Process::start(directory.path(), &arguments, &variables);
    process.ended().await
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tries_every_kind() {
    let (vendor, kinds) = every_kind().await;
    for kind in &kinds {
        let ended = ended(&vendor, kind, &["check"]).await;
        assert_eq!(ended.code, Some(0), "{}: {ended:?}", kind.name);
        let start = format!("ok    credential main    {}: token received", kind.name);
        let line = ended.stdout.lines().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("{}: {ended:?}", kind.name));
        assert!(line.contains(kind.detail), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_show_prints_claims_and_not_the_token() {
    let (vendor, kinds) = every_kind().await;
    for kind in &kinds {
        let ended = ended(&vendor, kind, &["token", "show", "main"]).await;
        assert_eq!(ended.code, Some(0), "{}: {ended:?}", kind.name);
        let line = |name: &str| {
            let start = |line: &&str| line.split("  ").next() == Some(name);
            let line = ended.stdout.lines().find(start);
            let line = line.unwrap_or_else(|| panic!("{name}: {ended:?}"));
            line[name.len()..].trim().to_owned()
        };
        assert_eq!(line("kind"), kind.name);
        assert_eq!(line("audience"), "https://cloudpartner.azure.com");
        assert_eq!(line("application"), "offergate");
        let controls = vendor.control("GET", "token", Value::Null).await;
        assert_eq!(line("tenant"), controls["tenantId"].as_str().unwrap());
        assert!(!line("roles").is_empty());
        let left = line("expires").parse::<Timestamp>().unwrap() - Timestamp::now();
        assert!((3_000..=3_600).contains(&left.get_seconds()), "{ended:?}");
        assert!(line("usable for").ends_with(" s"), "{ended:?}");
        for part in ["eyJ", "Bearer", "sandbox-secret", "sandbox-identity"] {
            assert!(!format!("{ended:?}").contains(part), "{ended:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_show_reports_the_failure_to_get_a_token() {
    let world = spawn().await;
    let directory = world.directory.path();
    let show = |name| ["token", "show", name, "--config", ".", "--profile", "test"];
    let ended = run(directory, &show("nobody")).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("[credentials]"), "{ended:?}");
    assert_eq!(ended.stdout, "");
    let fault = json!({"kind": "entra-error", "code": 7_000_222});
    world.vendor.lasting_fault("token", fault).await;
    let ended = run(directory, &show("main")).await;
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.stderr.contains("AADSTS7000222"), "{ended:?}");
    assert_eq!(ended.stdout, "");
}

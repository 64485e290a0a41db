//! Secrecy of credentials: marked secrets, every path with every failure, the log at its
//! most verbose level; then all output is searched for the marks.

use std::fs;
use std::path::Path;

use offergate_sandbox::Options;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{self, Answer};
use crate::config::write_config;
use crate::helpers::{KEY, Setup};
use crate::marks::{SECRET, TOKEN_MARK, assert_clean, leak, windows};
use crate::process::{Process, Served, run};
use crate::vendor::Vendor;

fn setup() -> Setup {
    Setup {
        vendor: Options {
            client_secret: SECRET.into(),
            token_mark: Some(TOKEN_MARK.into()),
            cancel_after: std::time::Duration::from_millis(100),
            ..Options::default()
        },
        toml: "[portal]\nrequest_timeout_ms = 500\n[credentials.main]\nwait_ms = 300\n\
               [operations]\npoll_seconds = 1\nsettle_seconds = 1\ngive_up_seconds = 2\n\
               max_polls_per_second = 1000\n\
               [telemetry]\nlog_level = \"trace\""
            .into(),
        ..Setup::default()
    }
}

/// Everything in the directory but the configuration, which holds the secret.
fn assert_files_clean(directory: &Path) {
    let mut searched = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        if name == "base.toml" {
            assert!(
                leak(&text).is_some(),
                "the search does not find the secret where it is"
            );
            continue;
        }
        assert_clean(&name, &text);
        searched.push(name);
    }
    assert!(
        searched.iter().any(|name| name == "offergate.db"),
        "{searched:?}"
    );
}

#[track_caller]
fn assert_answer_clean(answer: &Answer) {
    assert_clean("an answer", &format!("{answer:?}"));
}

/// The search must find marks where they are expected: in what the sandbox issues
/// and reflects.
async fn prove_the_search(vendor: &Vendor) {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "offergate"),
    ];
    let scope = ("scope", "https://cloudpartner.azure.com/.default");
    let secret = ("client_secret", SECRET);
    let form = serde_urlencoded::to_string([form[0], form[1], scope, secret]).unwrap();
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let tokens = "/sandbox/oauth2/v2.0/token";
    assert!(leak(&form).is_some());
    let answer = client::send(vendor.address, "POST", tokens, &kind, &form).await;
    assert!(leak(&answer.body).is_some(), "{answer:?}");
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    for part in ["whole", "slice"] {
        for on in ["token", "any"] {
            let fault = json!({"kind": "reflect", "status": 400, "part": part});
            vendor.order(json!({"on": on, "fault": fault})).await;
            let bearer = format!("Bearer {token}");
            let (method, path, headers, body) = if on == "token" {
                ("POST", tokens, kind, &*form)
            } else {
                let path = "/api/publishers/contoso/offers/a/submissions?api-version=2017-10-31";
                ("GET", path, [("Authorization", &*bearer)], "")
            };
            let answer = client::send(vendor.address, method, path, &headers, body).await;
            // 24 characters of the form belong to its end, which is the secret here.
            assert!(leak(&answer.body).is_some(), "{on} {part}: {answer:?}");
        }
    }
    for window in windows(KEY).chain(windows(SECRET)) {
        assert!(leak(&format!("é{window}é")).is_some());
    }
    assert!(leak("CnrySecret~with and Cnry Tokn and pipeline-key").is_none());
}

/// Every fault of the vendor that involves the request.
fn faults() -> Vec<Value> {
    let mut faults: Vec<Value> = Vec::new();
    for status in [
        200, 202, 204, 302, 400, 401, 403, 404, 409, 412, 418, 422, 429, 500, 503,
    ] {
        for part in ["whole", "slice"] {
            faults.push(json!({"kind": "reflect", "status": status, "part": part}));
        }
    }
    for kind in [
        "hang",
        "garbage",
        "reset",
        "close",
        "stale",
        "unauthorized",
        "throttle",
        "internal-error",
        "html",
        "gzip",
        "empty",
        "not-json",
        "cut-body",
        "cut-chunked",
        "informational",
        "no-date",
    ] {
        faults.push(json!({"kind": kind}));
    }
    faults.push(json!({"kind": "huge", "bytes": 400_000}));
    faults.push(json!({"kind": "redirect", "location": "http://127.0.0.1:1/"}));
    faults
}

/// One request of each sort, with keys in every place where they do not belong.
async fn all_the_callers_mistakes(served: &Served) {
    let address = served.address;
    let mine = ("X-Api-Key", KEY);
    let bearer = format!("Bearer {KEY}");
    let cookie = format!("key={KEY}");
    let query = format!("/offers/sync-1/cancel?key={KEY}");
    let body = json!({"notificationEmails": [KEY], KEY: KEY}).to_string();
    let long = "x".repeat(20_000);
    for (method, path, headers, body) in [
        ("POST", "/offers/sync-1/cancel", vec![], ""),
        ("POST", "/offers/sync-1/cancel", vec![mine, mine], ""),
        (
            "POST",
            "/offers/sync-1/cancel",
            vec![("Authorization", &*bearer)],
            "",
        ),
        (
            "POST",
            "/offers/sync-1/cancel",
            vec![mine, ("Cookie", &*cookie)],
            "",
        ),
        (
            "POST",
            "/offers/sync-1/cancel",
            vec![mine, ("Idempotency-Key", KEY)],
            "",
        ),
        ("POST", "/offers/sync-1/cancel", vec![mine], &*body),
        ("POST", "/offers/sync-1/cancel", vec![mine], KEY),
        (
            "POST",
            "/offers/sync-1/cancel",
            vec![mine, ("Content-Type", KEY)],
            "{}",
        ),
        ("POST", "/offers/sync-1/cancel", vec![mine], &*long),
        (
            "POST",
            "/offers/sync-1/cancel",
            vec![mine, ("X-Long", &*long)],
            "",
        ),
        ("POST", &*query, vec![mine], ""),
        ("POST", &*query, vec![], ""),
        ("POST", "/offers/%00/cancel", vec![mine], ""),
        (
            "POST",
            "/publishers/fabrikam/offers/sync-1/cancel",
            vec![mine],
            "",
        ),
        ("GET", "/offers/sync-1/cancel", vec![mine], ""),
        (
            "GET",
            "/operations/01996b2e-0000-7000-8000-000000000000",
            vec![mine],
            "",
        ),
        ("GET", "/nowhere", vec![mine], ""),
        ("GET", "/problems/unauthenticated", vec![mine], ""),
    ] {
        let answer = client::send(address, method, path, &headers, body).await;
        assert_answer_clean(&answer);
    }
    let nonsense = format!("nonsense {KEY}\r\n\r\n");
    if let Some(answer) = client::send_raw(address, nonsense.as_bytes()).await {
        assert_answer_clean(&answer);
    }
}

/// The log must exist, be verbose, and contain no mark.
fn assert_output_clean(process: &Process) {
    let log = process.stdout();
    assert!(
        log.contains("\"level\":\"WARN\""),
        "the log is not what it should be"
    );
    assert_clean("the log", &log);
    assert_clean("standard error", &process.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_vendor_fault_leaks_a_secret() {
    let setup = setup();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    prove_the_search(&vendor).await;
    vendor.heal().await;
    let served = Served::start(&vendor, &setup).await;
    all_the_callers_mistakes(&served).await;
    let mut operations = Vec::new();
    let mut number = 0;
    for fault in faults() {
        for on in ["cancel", "submissions", "operations"] {
            number += 1;
            let kind = ["migrated", "unmigrated"][number % 2];
            let offer = format!("{kind}-{number}");
            let times = u32::from(on == "cancel");
            let order = json!({"on": on, "offer": offer, "times": times, "fault": fault});
            vendor.order(order).await;
            operations.push(served.cancel(&offer).await);
        }
    }
    // The vendor's refusals of the token, one after another.
    for fault in [
        json!({"kind": "unauthorized"}),
        json!({"kind": "reflect", "status": 401}),
    ] {
        vendor
            .order(json!({"on": "cancel", "times": 2, "fault": fault}))
            .await;
        operations.push(served.cancel("migrated-refused").await);
    }
    let mut followed = 0;
    for answer in &operations {
        assert_answer_clean(answer);
        if let Some(location) = answer.header("operation-location") {
            let id = location.rsplit('/').next().unwrap();
            let path = format!("/operations/{id}");
            loop {
                let answer = served.send("GET", &path).await;
                assert_answer_clean(&answer);
                let status = answer.json()["status"].clone();
                if status != "Running" && status != "NotStarted" {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            followed += 1;
        }
    }
    assert!(followed > 100, "{followed}");
    // Each of the calls was answered with its own content, many times. Status texts decide
    // nothing, so that a pause that one answer demands (429) leaves out those of other offers.
    for (call, least) in [("/cancel", 30), ("/submissions", 30), ("/operations/", 8)] {
        let calls = vendor.received(call).await;
        let reflected = calls.iter().filter(|entry| entry["fault"] == "reflect");
        let count = reflected.count();
        assert!(count >= least, "{call}: {count}");
    }
    for path in ["/readyz", "/healthz", "/metrics"] {
        assert_answer_clean(&served.admin(path).await);
    }
    assert_files_clean(served.directory.path());
    served.process.signal("TERM");
    let Served {
        process, directory, ..
    } = served;
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("\"level\":\"WARN\""));
    assert_clean("the log", &ended.stdout);
    assert_clean("standard error", &ended.stderr);
    assert_files_clean(directory.path());
}

/// One gateway for each way in which the token endpoint can fail.
async fn with_token_fault(fault: Value) {
    let setup = setup();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    vendor
        .order(json!({"on": "token", "times": 0, "fault": fault}))
        .await;
    let served = Served::start(&vendor, &setup).await;
    vendor.receives("/oauth2/", 2).await;
    assert_answer_clean(&served.cancel("sync-1").await);
    let ready = served.admin("/readyz").await;
    assert_answer_clean(&ready);
    assert_files_clean(served.directory.path());
    if ready.status == 503 {
        assert_output_clean(&served.process);
    }
    let arguments = ["check", "--config", ".", "--profile", "test"];
    let checked = run(served.directory.path(), &arguments).await;
    assert_clean("check", &format!("{checked:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_endpoint_fault_leaks_a_secret() {
    let mut faults = vec![
        json!({"kind": "garbage"}),
        json!({"kind": "not-json"}),
        json!({"kind": "entra-error", "code": 7_000_215}),
        json!({"kind": "redirect", "location": "http://127.0.0.1:1/"}),
        json!({"kind": "status", "status": 200,
               "body": {"access_token": format!("{TOKEN_MARK} {TOKEN_MARK}"), "expires_in": 3599}}),
        json!({"kind": "status", "status": 200,
               "body": {"access_token": "0123456789abcdef", "token_type": SECRET}}),
        json!({"kind": "status", "status": 200,
               "body": {"access_token": "0123456789abcdef", "expires_in": SECRET}}),
        json!({"kind": "status", "status": 400, "body": {"error": SECRET}}),
        json!({"kind": "status", "status": 400, "body": {"error": "AndAlphanumericRun0123456789"}}),
    ];
    for status in [200, 400, 401, 429, 500, 503] {
        for part in ["whole", "slice"] {
            faults.push(json!({"kind": "reflect", "status": status, "part": part}));
        }
    }
    let all = faults
        .into_iter()
        .map(|fault| Box::pin(with_token_fault(fault)));
    futures_util::future::join_all(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_configuration_is_reported_without_its_values() {
    let setup = setup();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let directory = TempDir::new().unwrap();
    write_config(&directory, vendor.address, &setup);
    let base = fs::read_to_string(directory.path().join("base.toml")).unwrap();
    let line = format!("client_secret = \"{SECRET}\"");
    assert!(base.contains(&line));
    for (name, replacement) in [
        ("unterminated", format!("client_secret = \"{SECRET}")),
        ("unquoted", format!("client_secret = {SECRET}")),
        (
            "a key that is none",
            format!("client_secrets = \"{SECRET}\""),
        ),
        ("the wrong type", format!("client_secret = [\"{SECRET}\"]")),
        ("in the wrong key", format!("kind = \"{SECRET}\"")),
        (
            "as the address",
            format!("{line}\n[server]\nlisten = \"{SECRET}\""),
        ),
        ("as a number", format!("{line}\nwait_ms = \"{SECRET}\"")),
        ("as a file", format!("client_secret_file = \"{SECRET}\"")),
        (
            "twice",
            format!("{line}\nclient_secret_file = \"{SECRET}\""),
        ),
        (
            "as an id",
            format!("{line}\n[[publishers]]\nid = \"{SECRET}\"\ncredential = \"{SECRET}\""),
        ),
        (
            "a key instead of its hash",
            format!("{line}\n[[callers]]\nname = \"x\"\napi_key_sha256 = [\"{KEY}\"]"),
        ),
    ] {
        let broken = base.replace(&line, &replacement);
        fs::write(directory.path().join("base.toml"), broken).unwrap();
        for command in ["serve", "check"] {
            let ended = run(directory.path(), &[command, "--config", "."]).await;
            assert_eq!(ended.code, Some(78), "{name}: {ended:?}");
            assert!(!ended.stderr.is_empty(), "{name}");
            assert_clean(name, &format!("{ended:?}"));
        }
    }
    // From the environment.
    fs::write(directory.path().join("base.toml"), &base).unwrap();
    let variables = [
        ("OFFERGATE_SERVER__LISTEN", SECRET),
        ("OFFERGATE_CREDENTIALS__MAIN__CLIENT_SECRETS", SECRET),
        ("OFFERGATE_PORTAL__BASE_URL", SECRET),
    ];
    let process = Process::start(directory.path(), &["check", "--config", "."], &variables);
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert_clean("the environment", &format!("{ended:?}"));
}

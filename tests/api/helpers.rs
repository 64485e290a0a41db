//! A gateway and a sandbox on free ports, and what tests ask of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use offergate::sandbox::{Options, Sandbox};
use offergate::settings::{Settings, Source, load};
use offergate::startup::Gateway;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::{self, Answer};

/// `pipeline` may do everything to every offer of contoso.
pub const KEY: &str = "pipeline-key-0123456789";
/// `reader` may only read.
pub const READER_KEY: &str = "reader-key-0123456789";
/// `nobody` has no rules, and no default publisher.
pub const NOBODY_KEY: &str = "nobody-key-0123456789";

/// How long until an operation must have ended in a test.
const PATIENCE: Duration = Duration::from_secs(30);

/// The vendor, emulated, on a port of its own.
pub struct Vendor {
    pub address: SocketAddr,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl Vendor {
    pub async fn start(options: Options) -> Self {
        let options = Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ..options
        };
        let sandbox = Sandbox::bind(options).await.unwrap();
        let stop = CancellationToken::new();
        Self {
            address: sandbox.local_addr(),
            running: Some(tokio::spawn(sandbox.run(stop.clone().cancelled_owned()))),
            stop,
        }
    }

    /// Ends it; its port refuses connections afterwards.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.await.unwrap();
        }
    }

    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let headers = [("Content-Type", "application/json")];
        let path = format!("/_sandbox/{path}");
        let answer = client::send(self.address, method, &path, &headers, &body).await;
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path}: {answer:?}"
        );
        serde_json::from_str(&answer.body).unwrap_or(Value::Null)
    }

    /// Orders one fault.
    pub async fn fault(&self, on: &str, fault: Value) {
        self.control("POST", "faults", json!({"on": on, "fault": fault}))
            .await;
    }

    /// Orders a fault until it is removed.
    pub async fn lasting_fault(&self, on: &str, fault: Value) {
        self.order(json!({"on": on, "times": 0, "fault": fault}))
            .await;
    }

    /// Orders a fault in the sandbox's own words.
    pub async fn order(&self, order: Value) {
        self.control("POST", "faults", order).await;
    }

    /// Takes all orders back.
    pub async fn heal(&self) {
        self.control("DELETE", "faults", Value::Null).await;
    }

    /// The cancels of this offer that it has received.
    pub async fn cancels(&self, offer: &str) -> Vec<Value> {
        let query = format!("journal?method=POST&path=/cancel&offer={offer}");
        let entries = self.control("GET", &query, Value::Null).await;
        entries.as_array().unwrap().clone()
    }

    /// What it has received whose path contains `path`.
    pub async fn received(&self, path: &str) -> Vec<Value> {
        let entries = self
            .control("GET", &format!("journal?path={path}"), Value::Null)
            .await;
        entries.as_array().unwrap().clone()
    }

    /// Waits until it has received that many such requests.
    pub async fn receives(&self, path: &str, at_least: usize) -> Vec<Value> {
        let query = format!("journal?path={path}&at_least={at_least}&timeout_ms=30000");
        let entries = self.control("GET", &query, Value::Null).await;
        let entries = entries.as_array().unwrap().clone();
        assert!(
            entries.len() >= at_least,
            "only {} of {at_least}",
            entries.len()
        );
        entries
    }
}

/// How a test wants its gateway. Short waits are the only thing that differs from
/// a deployment.
pub struct Setup {
    pub vendor: Options,
    /// TOML laid over everything else; `$pipeline`, `$reader` and `$nobody` stand
    /// for the hashes of their keys.
    pub toml: String,
    /// What no configuration may say.
    pub tune: fn(&mut Settings),
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            vendor: Options {
                cancel_after: Duration::from_millis(300),
                ..Options::default()
            },
            toml: String::new(),
            tune: |_| (),
        }
    }
}

/// A gateway with its vendor.
pub struct World {
    pub vendor: Vendor,
    pub directory: TempDir,
    pub gateway: Option<Gateway>,
    settings: Settings,
    public: SocketAddr,
    admin: SocketAddr,
}

/// The usual world.
pub async fn spawn() -> World {
    spawn_with(Setup::default()).await
}

/// A world with more TOML.
pub async fn spawn_toml(toml: &str) -> World {
    spawn_with(Setup {
        toml: toml.to_owned(),
        ..Setup::default()
    })
    .await
}

pub async fn spawn_with(setup: Setup) -> World {
    let directory = TempDir::new().unwrap();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let settings = settings(&directory, vendor.address, &setup);
    let gateway = Gateway::start(settings.clone()).await.unwrap();
    World {
        vendor,
        directory,
        public: gateway.public_address(),
        admin: gateway.admin_address(),
        gateway: Some(gateway),
        settings,
    }
}

fn settings(directory: &TempDir, vendor: SocketAddr, setup: &Setup) -> Settings {
    let base = format!(
        r#"
[server]
listen = "127.0.0.1:0"
workers = 2
drain_seconds = 10
[admin]
listen = "127.0.0.1:0"
[portal]
base_url = "http://{vendor}"
request_timeout_ms = 2000
[credentials.main]
kind = "client-secret"
authority = "http://{vendor}"
tenant_id = "{tenant}"
client_id = "{client_id}"
client_secret = "{client_secret}"
wait_ms = 3000
[[publishers]]
id = "contoso"
credential = "main"
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline"]
allow = [ {{ actions = ["*"], publishers = ["contoso"], offers = ["*"] }} ]
[[callers]]
name = "reader"
default_publisher = "contoso"
api_key_sha256 = ["$reader"]
allow = [ {{ actions = ["read"], publishers = ["*"], offers = ["*"] }} ]
[[callers]]
name = "nobody"
api_key_sha256 = ["$nobody"]
"#,
        tenant = setup.vendor.tenant,
        client_id = setup.vendor.client_id,
        client_secret = setup.vendor.client_secret,
    );
    write_with_hashes(directory, "base.toml", &base);
    write_with_hashes(directory, "test.toml", &setup.toml);
    let mut settings = load(&Source {
        dir: Some(directory.path().to_owned()),
        profile: Some("test".into()),
        environment: BTreeMap::new(),
    })
    .unwrap_or_else(|problems| panic!("{problems}"))
    .settings;
    // Shorter than any configuration may be: tests wait for these.
    settings.operations.poll = Duration::from_millis(50);
    settings.operations.settle = settings.operations.settle.min(Duration::from_millis(400));
    settings.operations.give_up = settings.operations.give_up.min(Duration::from_secs(20));
    settings.ledger.path = directory.path().join("ledger.db");
    (setup.tune)(&mut settings);
    settings
}

fn write_with_hashes(directory: &TempDir, name: &str, toml: &str) {
    let mut toml = toml.to_owned();
    for (word, key) in [
        ("$pipeline", KEY),
        ("$reader", READER_KEY),
        ("$nobody", NOBODY_KEY),
    ] {
        let hash = offergate::identity::hash(key.as_bytes());
        let digits: String = hash.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
        toml = toml.replace(word, &digits);
    }
    std::fs::write(directory.path().join(name), toml).unwrap();
}

impl World {
    pub fn address(&self) -> SocketAddr {
        self.public
    }

    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// A request of `pipeline`'s.
    pub async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send_as(KEY, method, path, body).await
    }

    pub async fn send_as(&self, key: &str, method: &str, path: &str, body: &str) -> Answer {
        client::send(self.public, method, path, &[("X-Api-Key", key)], body).await
    }

    /// A request of `pipeline`'s with more headers.
    pub async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut all = vec![("X-Api-Key", KEY)];
        all.extend(headers);
        client::send(self.public, method, path, &all, body).await
    }

    pub async fn cancel(&self, offer: &str) -> Answer {
        self.send("POST", &format!("/offers/{offer}/cancel"), "")
            .await
    }

    /// Nothing has been asked of the vendor yet but tokens. Cancels one offer to
    /// prove that the way there is open.
    pub async fn assert_nothing_sent(&self) {
        assert_eq!(self.cancel("sync-proof").await.status, 200);
        let received = self.vendor.received("/api/").await;
        assert_eq!(received.len(), 1, "{received:?}");
    }

    pub async fn admin(&self, path: &str) -> Answer {
        client::send(self.admin, "GET", path, &[], "").await
    }

    /// The operation as its caller sees it now.
    pub async fn operation(&self, id: &str) -> Value {
        let answer = self.send("GET", &format!("/operations/{id}"), "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The operation once it has ended.
    pub async fn ended(&self, id: &str) -> Value {
        self.operation_past(id, &["NotStarted", "Running"]).await
    }

    /// The operation once the vendor's answer is in the ledger: an unfinished
    /// result may be recorded after it was told.
    pub async fn recorded(&self, id: &str) -> Value {
        self.operation_past(id, &["NotStarted"]).await
    }

    /// The operation once its status is none of these: the status monitor is
    /// polled, as its callers do.
    async fn operation_past(&self, id: &str, states: &[&str]) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let operation = self.operation(id).await;
            if !states.contains(&operation["status"].as_str().unwrap()) {
                return operation;
            }
            assert!(Instant::now() < deadline, "still {operation}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Cancels and waits for the end.
    pub async fn outcome_of(&self, offer: &str) -> Value {
        let answer = self.cancel(offer).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        self.ended(answer.json()["id"].as_str().unwrap()).await
    }

    /// Drains the gateway and starts another on the same ledger, with the settings
    /// as they are now.
    pub async fn restart(&mut self) {
        self.stop().await;
        let gateway = Gateway::start(self.settings.clone()).await.unwrap();
        self.public = gateway.public_address();
        self.admin = gateway.admin_address();
        self.gateway = Some(gateway);
    }

    pub async fn stop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.drain().await;
        }
    }
}

//! The emulated vendor: setting its faults and reading what it has received.

use std::net::SocketAddr;

use offergate_sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client;

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
        let path = format!("/_sandbox/v1/{path}");
        let answer = client::send(self.address, method, &path, &headers, &body).await;
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path}: {answer:?}"
        );
        serde_json::from_str(&answer.body).unwrap_or(Value::Null)
    }

    /// Sets a fault until it is removed.
    pub async fn lasting_fault(&self, on: &str, fault: Value) {
        self.order(json!({"on": on, "times": 0, "fault": fault}))
            .await;
    }

    /// Sets a fault by the sandbox's JSON.
    pub async fn order(&self, order: Value) {
        self.control("POST", "faults", order).await;
    }

    /// Removes all faults.
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

    /// Waits until it has received this many such requests.
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

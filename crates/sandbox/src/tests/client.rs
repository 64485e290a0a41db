//! A sandbox on a free port and a client of a few lines, which shows every byte as it came:
//! a well-behaved client library would hide what is to be tested.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{Options, Sandbox};

pub(super) const V: &str = "api-version=2017-10-31";
pub(super) const MARK: &str = "LEAK-ME-NOT";

pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) token: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Got {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (header, value) = line.split_once(": ")?;
            header.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A sandbox over plain HTTP, and a token of it.
pub(super) async fn start() -> Running {
    let mut running = start_with(Options::default()).await;
    running.token = running.fetch_token().await;
    running
}

/// A sandbox with these options, but on a free port and with a quick cancel and a mark.
pub(super) async fn start_with(options: Options) -> Running {
    let options = Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        cancel_after: Duration::from_millis(40),
        token_mark: Some(MARK.into()),
        ..options
    };
    let sandbox = Sandbox::bind(options).await.unwrap();
    let address = sandbox.local_addr();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(sandbox.run(async {
        stopped.await.ok();
    }));
    Running {
        address,
        token: String::new(),
        stop,
        task,
    }
}

impl Running {
    /// Sends one request on a connection of its own and reads whatever comes back.
    pub(super) async fn raw(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: &str,
    ) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\
             {headers}Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes).await {
            Ok(_) => bytes,
            Err(error) => format!("{:?}", error.kind()).into_bytes(),
        }
    }

    pub(super) async fn send(&self, method: &str, target: &str, headers: &str, body: &str) -> Got {
        let bytes = self.raw(method, target, headers, body).await;
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{text:?}"));
        Got {
            status: head[9..12].parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(super) async fn fetch_token(&self) -> String {
        let form = "grant_type=client_credentials&client_id=offergate&client_secret=sandbox-secret\
                    &resource=https%3A%2F%2Fcloudpartner.azure.com";
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        let got = self
            .send("POST", "/sandbox/oauth2/token", headers, form)
            .await;
        assert_eq!(got.status, 200, "{got:?}");
        got.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub(super) fn bearer(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token)
    }

    /// A call to the portal, with token and version.
    pub(super) async fn call(&self, method: &str, path: &str) -> Got {
        let target = format!(
            "/api{path}{}{V}",
            if path.contains('?') { '&' } else { '?' }
        );
        self.send(method, &target, &self.bearer(), "").await
    }

    pub(super) async fn cancel(&self, offer: &str) -> Got {
        self.call(
            "POST",
            &format!("/publishers/contoso/offers/{offer}/cancel"),
        )
        .await
    }

    pub(super) async fn control(&self, method: &str, path: &str, body: &Value) -> Got {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, &format!("/_sandbox/v1/{path}"), "", &body)
            .await
    }

    pub(super) async fn order(&self, on: &str, offer: &str, fault: Value) {
        let document = json!({"on": on, "offer": offer, "fault": fault});
        let got = self.control("POST", "faults", &document).await;
        assert_eq!(got.status, 201, "{got:?}");
    }

    pub(super) async fn truth(&self, offer: &str) -> Value {
        let path = format!("offers/contoso/{offer}");
        self.control("GET", &path, &Value::Null).await.json()
    }

    pub(super) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

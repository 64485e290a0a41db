//! Vendor, token endpoint and issuer in one, over a raw socket: each answer in the form that
//! the request's path names.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::forms::{Form, PLAIN};

const RUN: &str = "56615b67-2185-49fe-80d2-c4ddf77bb2e8";

/// A running one.
pub struct RawServer {
    pub address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    address: SocketAddr,
    forms: HashMap<String, Form>,
    keys: Value,
    /// Method, path and Authorization of what came.
    received: Mutex<Vec<String>>,
}

impl RawServer {
    /// One that knows these forms, and publishes these keys.
    pub async fn start(forms: impl Iterator<Item = Form>, keys: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            address,
            forms: forms.map(|form| (form.name(), form)).collect(),
            keys: json!({ "keys": keys }),
            received: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            address,
            state,
            task,
        }
    }

    /// How many requests have come with this in their line or their Authorization.
    pub fn count(&self, part: &str) -> usize {
        let received = self.state.received.lock().unwrap();
        received.iter().filter(|it| it.contains(part)).count()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    while let Some(request) = read_request(&mut stream).await {
        let (bytes, closes) = state.answer(&request);
        if stream.write_all(&bytes).await.is_err() || closes {
            return;
        }
    }
}

/// The head of the next request; its body is read and dropped.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(head)
}

impl State {
    fn answer(&self, request: &str) -> (Vec<u8>, bool) {
        let line = request.lines().next().unwrap();
        let path = line.split(' ').nth(1).unwrap();
        let path = path.split('?').next().unwrap();
        let token = request.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization").then_some(value)
        });
        let earlier = {
            let mut received = self.received.lock().unwrap();
            let earlier = received.iter().filter(|it| it.contains(path)).count();
            received.push(format!("{line} {}", token.unwrap_or_default()));
            earlier
        };
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match segments[..] {
            [form, "oauth2", .., "token"] => {
                let document = json!({
                    "token_type": "Bearer",
                    "expires_in": "3599",
                    "access_token": format!("token-of-{form}-0123456789"),
                });
                self.in_form(form, "200 OK", "", &document)
            }
            [form, ".well-known", "openid-configuration"] => {
                let issuer = format!("http://{}/{form}", self.address);
                let document = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")});
                self.in_form(form, "200 OK", "", &document)
            }
            [form, "keys"] => self.in_form(form, "200 OK", "", &self.keys),
            ["api", "publishers", publisher, "offers", offer, what] => {
                let (kind, form) = offer.split_once('.').unwrap_or((offer, ""));
                match (what, kind) {
                    ("cancel", "look") => {
                        let path = format!("/api/publishers/{publisher}/offers/{offer}");
                        let headers = format!("Location: {path}/operations/{RUN}\r\n");
                        self.in_form("", "202 Accepted", &headers, &json!({}))
                    }
                    ("cancel", _) => {
                        self.in_form(form, "200 OK", "", &json!({"status": "canceled"}))
                    }
                    (_, "look") => {
                        let is_legal = !matches!(self.forms[form], Form::Broken(_));
                        let word = match is_legal && earlier == 0 {
                            true => "running",
                            false => "canceled",
                        };
                        let list = json!([{"id": RUN, "submissionState": word}]);
                        self.in_form(form, "200 OK", "", &list)
                    }
                    _ => {
                        let list = json!([{"id": RUN, "submissionState": "running"}]);
                        self.in_form("", "200 OK", "", &list)
                    }
                }
            }
            _ => self.in_form("", "200 OK", "", &json!({"status": "running"})),
        }
    }

    /// The document in the form of this name, or plainly.
    fn in_form(
        &self,
        form: &str,
        status: &str,
        headers: &str,
        document: &Value,
    ) -> (Vec<u8>, bool) {
        let form = self.forms.get(form).copied().unwrap_or(PLAIN);
        form.bytes(status, headers, document.to_string().as_bytes())
    }
}

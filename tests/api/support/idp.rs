//! An emulated issuer in the test's own process, with configurable keys, documents and
//! refusals. `issuer.rs` runs a real one.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::mint::{Signer, now};

/// The issuer's behavior.
#[derive(Default)]
struct State {
    keys: Vec<Value>,
    /// Laid over the discovery document.
    discovery: Value,
    /// Instead of a document.
    status: Option<u16>,
    /// What `Authorization` must be, if anything.
    bearer: Option<String>,
    /// The only media type that the keys are sent as.
    media_type: Option<&'static str>,
    discoveries: usize,
    fetches: usize,
}

/// A running issuer.
pub struct Idp {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: ServerHandle,
}

impl Idp {
    /// An issuer that publishes these keys.
    pub fn start(signers: &[&Signer]) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = web::Data::new((address, Arc::clone(&state)));
        let app = move || {
            App::new()
                .app_data(shared.clone())
                .default_service(web::to(answer))
        };
        let server = HttpServer::new(app).workers(1).disable_signals();
        let server = server.listen(listener).unwrap().run();
        let handle = server.handle();
        tokio::spawn(server);
        let idp = Self {
            address,
            state,
            server: handle,
        };
        idp.publish(signers);
        idp
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> String {
        format!("http://{}/realm", self.address)
    }

    pub fn jwks_url(&self) -> String {
        format!("{}/keys", self.issuer())
    }

    /// Publishes these keys from now on.
    pub fn publish(&self, signers: &[&Signer]) {
        self.state().keys = signers.iter().map(|signer| signer.jwk()).collect();
    }

    /// Publishes these members of a key set, valid or not.
    pub fn publish_as(&self, keys: Vec<Value>) {
        self.state().keys = keys;
    }

    /// Answers everything with this status; none: normally.
    pub fn answer_with(&self, status: Option<u16>) {
        self.state().status = status;
    }

    /// Puts this into its discovery document.
    pub fn discover(&self, members: Value) {
        self.state().discovery = members;
    }

    /// Requires this bearer token.
    pub fn want_bearer(&self, token: &str) {
        self.state().bearer = Some(format!("Bearer {token}"));
    }

    /// Sends the keys as this media type only: another `Accept` gets 406.
    pub fn serve_keys_only_as(&self, media_type: &'static str) {
        self.state().media_type = Some(media_type);
    }

    /// How often the discovery document and the keys were fetched.
    pub fn fetches(&self) -> (usize, usize) {
        let state = self.state();
        (state.discoveries, state.fetches)
    }

    /// Waits until the keys have been fetched this many times.
    pub async fn fetched(&self, times: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.fetches().1 < times {
            assert!(Instant::now() < deadline, "{:?}", self.fetches());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The claims of a valid token of this client, for half an hour.
    pub fn claims(&self, client: &str) -> Value {
        json!({
            "iss": self.issuer(),
            "aud": "offergate",
            "sub": format!("sub-{client}"),
            "azp": client,
            "iat": now(),
            "exp": now() + 1800,
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        // The future only waits for the end.
        drop(self.server.stop(false));
    }
}

type Shared = (SocketAddr, Arc<Mutex<State>>);

async fn answer(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    let (address, state) = shared.as_ref();
    let mut state = state.lock().unwrap();
    let issuer = format!("http://{address}/realm");
    let document = match request.path() {
        "/realm/keys" => {
            state.fetches += 1;
            json!({"keys": state.keys})
        }
        "/realm/.well-known/openid-configuration" => {
            state.discoveries += 1;
            let mut document = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")});
            for (name, value) in state.discovery.as_object().into_iter().flatten() {
                document[name] = value.clone();
            }
            document
        }
        path => return HttpResponse::NotFound().body(path.to_owned()),
    };
    let bearer = request.headers().get("authorization");
    let bearer = bearer.and_then(|value| value.to_str().ok());
    if state.bearer.is_some() && state.bearer.as_deref() != bearer {
        return HttpResponse::Unauthorized().finish();
    }
    if let Some(wanted) = state.media_type.filter(|_| request.path() == "/realm/keys") {
        let accept = request.headers().get("accept").unwrap().to_str().unwrap();
        let mut ranges = accept
            .split(',')
            .map(|range| range.split(';').next().unwrap());
        return match ranges.any(|range| range.trim() == wanted) {
            true => HttpResponse::Ok()
                .content_type(wanted)
                .body(document.to_string()),
            false => HttpResponse::NotAcceptable().finish(),
        };
    }
    match state.status {
        Some(status) => HttpResponse::build(StatusCode::from_u16(status).unwrap()).finish(),
        None => HttpResponse::Ok().json(document),
    }
}

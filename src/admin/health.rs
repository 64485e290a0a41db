//! Alive, and ready: two questions with different consequences. A gateway that is
//! not alive is killed; one that is not ready gets no traffic. So only readiness
//! asks about anything outside of the process.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::{CredentialVitals, Vitals, millis};

/// `GET /healthz`: the process answers.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(serde_json::json!({"status": "alive"}))
}

/// The body of `/readyz`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Readiness {
    ready: bool,
    /// Why not; empty when ready.
    reasons: Vec<String>,
    /// What does not keep the gateway from serving somebody.
    warnings: Vec<String>,
    credentials: Vec<CredentialHealth>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CredentialHealth {
    name: String,
    publishers: Vec<String>,
    /// For how long the current token may still be used; null without one.
    token_usable_ms: Option<u64>,
    /// Why the last attempt to get a token failed.
    last_failure: Option<String>,
}

/// `GET /readyz`: 200 if new actions can be served, else 503 with the reasons.
pub async fn readyz(vitals: web::Data<Vitals>) -> HttpResponse {
    let readiness = judge(&vitals);
    let mut response = if readiness.ready {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(readiness)
}

/// With several credentials, one without a token is a warning as long as another
/// has one.
fn judge(vitals: &Vitals) -> Readiness {
    let mut reasons = Vec::new();
    let mut warnings = (vitals.warnings)();
    if vitals.draining.is_cancelled() {
        reasons.push("draining: the gateway is shutting down".to_owned());
    }
    if vitals.background_ended.is_cancelled() {
        reasons.push("background: the watcher has stopped; restart the gateway".to_owned());
    }
    if let Err(error) = vitals.ledger.healthy() {
        reasons.push(error.to_string());
    }
    let credentials: Vec<CredentialHealth> = vitals.credentials.iter().map(health_of).collect();
    let some_work = credentials.iter().any(|c| c.token_usable_ms.is_some());
    for credential in &credentials {
        match complaint(credential) {
            Some(text) if credential.token_usable_ms.is_none() && !some_work => reasons.push(text),
            Some(text) => warnings.push(text),
            None => {}
        }
    }
    Readiness {
        ready: reasons.is_empty(),
        reasons,
        warnings,
        credentials,
    }
}

fn health_of(vitals: &CredentialVitals) -> CredentialHealth {
    let CredentialVitals { handle, publishers } = vitals;
    CredentialHealth {
        name: handle.name().to_owned(),
        publishers: publishers.clone(),
        token_usable_ms: handle.current().map(|token| millis(token.left())),
        last_failure: handle.standing().failure.map(|failure| failure.to_string()),
    }
}

fn complaint(credential: &CredentialHealth) -> Option<String> {
    let CredentialHealth {
        name,
        publishers,
        token_usable_ms,
        last_failure,
    } = credential;
    let publishers = match publishers.as_slice() {
        [] => "no publisher".to_owned(),
        some => some.join(", "),
    };
    match (token_usable_ms, last_failure) {
        (Some(_), None) => None,
        (Some(_), Some(failure)) => Some(format!(
            "credential {name}: renewing fails, the present token still serves {publishers}: {failure}"
        )),
        (None, Some(failure)) => Some(format!(
            "credential {name}: no token for {publishers}: {failure}"
        )),
        (None, None) => Some(format!("credential {name}: no token yet for {publishers}")),
    }
}

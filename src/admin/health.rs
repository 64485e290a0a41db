//! Alive, and ready: two questions with different consequences. A gateway that is
//! not alive is killed; one that is not ready gets no traffic. So only readiness
//! asks about anything outside of the process.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::Vitals;
use super::credential::CredentialHealth;

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

/// With several credentials, one without a token is a warning as long as another has one
/// for some publisher. One that no publisher uses makes no difference.
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
    let credentials = vitals.credentials.iter();
    let credentials: Vec<CredentialHealth> = credentials.map(CredentialHealth::of).collect();
    let somebody_is_served = credentials.iter().any(|one| one.works() && one.is_used());
    for credential in &credentials {
        match credential.complaint() {
            Some(text) if somebody_is_served || credential.works() || !credential.is_used() => {
                warnings.push(text);
            }
            Some(text) => reasons.push(text),
            None => {}
        }
        warnings.extend(credential.warnings());
    }
    Readiness {
        ready: reasons.is_empty(),
        reasons,
        warnings,
        credentials,
    }
}

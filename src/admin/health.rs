//! Liveness and readiness. A platform restarts a gateway that is not alive and sends no
//! traffic to one that is not ready, so only readiness depends on anything outside of
//! the process.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::answer::json;
use super::credential_health::{CredentialHealth, ServedCredential};
use super::issuer_health::IssuerHealth;
use crate::ledger::Ledger;
use crate::telemetry::{Supervisor, log_problem};

/// What health is determined from. Cheap to clone.
#[derive(Clone)]
pub struct HealthSources {
    /// The ledger, which must be writable.
    pub ledger: Ledger,
    /// Every credential, with the publishers that it serves.
    pub credentials: Vec<ServedCredential>,
    /// Set when the gateway is about to shut down: it still serves, but should get no more
    /// traffic.
    pub stopping: CancellationToken,
    /// Set when it refuses new actions.
    pub draining: CancellationToken,
    /// Knows what has ended or hangs.
    pub supervisor: Supervisor,
    /// The keys of the issuers of callers' tokens.
    pub issuers: Arc<dyn Fn() -> Vec<IssuerHealth> + Send + Sync>,
    /// Further warnings for an operator.
    pub warnings: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
}

/// `GET /healthz`: 200 if the process and all of its parts get on, else 503 with the reasons.
pub async fn healthz(sources: web::Data<HealthSources>) -> HttpResponse {
    let reasons = sources.supervisor.problems();
    if reasons.is_empty() {
        json(StatusCode::OK, &serde_json::json!({"status": "alive"}))
    } else {
        let failing = serde_json::json!({"status": "failing", "reasons": reasons});
        json(StatusCode::SERVICE_UNAVAILABLE, &failing)
    }
}

/// The body of `/readyz`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Readiness {
    ready: bool,
    /// Why not; empty when ready.
    reasons: Vec<String>,
    /// Problems that do not stop the gateway from serving.
    warnings: Vec<String>,
    credentials: Vec<CredentialHealth>,
    issuers: Vec<IssuerHealth>,
}

/// `GET /readyz`: 200 if new actions can be served, else 503 with the reasons.
pub async fn readyz(sources: web::Data<HealthSources>) -> HttpResponse {
    let readiness = readiness(&sources);
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &readiness)
}

/// A credential without a token is a reason not to be ready, but only a warning while
/// another one can serve some publisher, or if no publisher uses it.
fn readiness(sources: &HealthSources) -> Readiness {
    let mut reasons = Vec::new();
    let mut warnings = (sources.warnings)();
    warnings.extend(sources.ledger.warnings());
    if sources.stopping.is_cancelled() {
        reasons.push("draining: the gateway is shutting down".to_owned());
    }
    reasons.extend(sources.supervisor.problems());
    warnings.extend(log_problem());
    if let Err(error) = sources.ledger.healthy() {
        reasons.push(error.to_string());
    }
    let credentials = sources.credentials.iter();
    let credentials: Vec<CredentialHealth> = credentials.map(CredentialHealth::of).collect();
    let can_serve = credentials.iter().any(|one| one.works() && one.is_used());
    for credential in &credentials {
        match credential.token_problem() {
            Some(text) if can_serve || credential.works() || !credential.is_used() => {
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
        issuers: (sources.issuers)(),
    }
}

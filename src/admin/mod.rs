//! The admin listener: for the platform, not for callers.

mod credential;
mod health;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use tokio_util::sync::CancellationToken;

pub use credential::{CredentialHealth, days_until, vendor_remedy};

use crate::credential::Handle;
use crate::ledger::Ledger;

/// What health is made of. Cheap to clone.
#[derive(Clone)]
pub struct Vitals {
    /// Whether it can be written.
    pub ledger: Ledger,
    /// Every credential, with the publishers it serves.
    pub credentials: Vec<CredentialVitals>,
    /// Set when the gateway is shutting down.
    pub draining: CancellationToken,
    /// Set when nothing is followed and no token renewed any more.
    pub background_ended: CancellationToken,
    /// What else an operator should know; asked at each look.
    pub warnings: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
}

/// One credential, and whom it serves.
#[derive(Clone)]
pub struct CredentialVitals {
    /// Its token.
    pub handle: Handle,
    /// The publishers that are served with it, each with its own handle.
    pub publishers: Vec<(String, Handle)>,
}

/// The routes of the admin listener.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/healthz", web::get().to(health::healthz))
        .route("/readyz", web::get().to(health::readyz));
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

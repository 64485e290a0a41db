//! The admin listener: for the platform and its operators, not for callers.

mod connection;
mod credential_health;
mod health;
mod issuer_health;

use actix_web::web;

pub use connection::{AdminConnection, AdminConnections};
pub use credential_health::{CredentialHealth, ServedCredential, days_until, vendor_remedy};
pub use health::HealthSources;
pub use issuer_health::{IssuerHealth, LeftOutKeys};

/// The routes of the admin listener.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/healthz", web::get().to(health::healthz))
        .route("/readyz", web::get().to(health::readyz));
}

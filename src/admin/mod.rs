//! The admin listener: for the platform and its operators, not for callers.

mod answer;
mod connection;
mod credential_health;
mod health;
mod issuer_health;

use actix_web::web;

use answer::resource;

pub use connection::{AdminConnection, AdminConnections};
pub use credential_health::{CredentialHealth, ServedCredential, days_until, vendor_remedy};
pub use health::HealthSources;
pub use issuer_health::{IssuerHealth, LeftOutKeys};

/// The routes of the admin listener.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/healthz", health::healthz))
        .service(resource("/readyz", health::readyz))
        .default_service(web::to(answer::not_found));
}

//! The options of each room, made from the settings. Only this module depends on both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::credentials;
use crate::credential::Handle;
use crate::domain::Redactor;
use crate::http::{BodyLimits, HeadLimits, RequestLimits};
use crate::ledger::{LedgerOptions, Retention};
use crate::operation::outcome::Deadlines;
use crate::operation::{PollerOptions, Publishers};
use crate::policy::Policy;
use crate::portal::PortalOptions;
use crate::settings::{LedgerSettings, ServerSettings, Settings};
use crate::transport::{Transport, TransportError, TransportOptions};

/// Time limit of a call to a token endpoint, connecting included.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(15);

/// Which actions callers are allowed.
#[must_use]
pub fn policy(settings: &Settings) -> Policy {
    let callers = settings.callers.iter();
    let publishers = settings.publishers.iter();
    Policy::new(
        callers.map(|caller| {
            let rules = caller.allow.iter().map(|allow| allow.rule.clone());
            (caller.name.clone(), rules.collect())
        }),
        publishers.map(|publisher| publisher.id.clone()),
    )
}

/// The vendor's address and API version.
#[must_use]
pub fn portal(settings: &Settings, redactor: Arc<Redactor>) -> PortalOptions {
    PortalOptions {
        base_url: settings.portal.base_url.clone(),
        api_version: settings.portal.api_version.clone(),
        redactor,
    }
}

/// Which credential serves which publisher.
#[must_use]
pub fn publishers(settings: &Settings, handles: &BTreeMap<String, Handle>) -> Publishers {
    let publishers = settings.publishers.iter();
    publishers
        .filter_map(|p| {
            Some((
                p.id.clone(),
                handles.get(&p.credential)?.for_another_publisher(),
            ))
        })
        .collect()
}

/// Connections to the vendor.
#[must_use]
pub fn portal_transport(settings: &Settings) -> TransportOptions {
    TransportOptions {
        ca_file: settings.portal.ca_file.clone(),
        connect_timeout: settings.portal.connect_timeout,
        request_timeout: settings.portal.request_timeout,
        tls: settings.portal.base_url.starts_with("https:"),
        egress: settings.outbound.clone(),
    }
}

/// Connections to token endpoints. TLS is set up even if no endpoint uses it yet, since a
/// reload can replace a credential by one that does.
///
/// # Errors
/// [`TransportError`]; missing CA certificates are an error only if TLS is needed now.
pub fn token_transport(settings: &Settings) -> Result<Transport, TransportError> {
    let options = |tls| TransportOptions {
        request_timeout: TOKEN_TIMEOUT.min(settings.portal.request_timeout),
        tls,
        ..portal_transport(settings)
    };
    match Transport::new(&options(true)) {
        Err(TransportError::NoRoots(_)) if !credentials::speak_tls(settings) => {
            Transport::new(&options(false))
        }
        other => other,
    }
}

/// The ledger's file, durability and retention.
#[must_use]
pub fn ledger(ledger: &LedgerSettings) -> LedgerOptions {
    LedgerOptions {
        path: ledger.path.clone(),
        durability: ledger.durability,
        retention: Retention {
            operations: ledger.retention,
            keys: ledger.idempotency,
        },
    }
}

/// Poll intervals and deadlines of operations.
#[must_use]
pub fn poller(settings: &Settings, max_polls: usize) -> PollerOptions {
    PollerOptions {
        max_polls,
        poll: settings.operations.poll,
        max_polls_per_second: settings.operations.max_polls_per_second,
        deadlines: Deadlines {
            settle: settings.operations.settle,
            give_up: settings.operations.give_up,
        },
    }
}

/// Size and time limits of requests.
#[must_use]
pub fn limits(server: &ServerSettings) -> RequestLimits {
    RequestLimits {
        head: HeadLimits {
            max_uri_bytes: server.max_uri_bytes,
            max_header_bytes: server.max_header_bytes,
        },
        body: BodyLimits {
            max_bytes: server.max_body_bytes,
            timeout: server.body_timeout,
        },
    }
}

//! Authentication, policy and limits, built from one version of the settings.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::options;
use crate::admin::{IssuerHealth, LeftOutKeys};
use crate::domain::{Caller, Egress};
use crate::files;
use crate::http::{Access, Quotas};
use crate::identity::{
    ApiKeys, Authenticator, ClientCa, ClientCertificates, DuplicateKey, DuplicateSan, InvalidCa,
    Issuer, KeyRefresher, KeySource, KeyStore, Tokens,
};
use crate::settings::{CallerSettings, JwtIssuerSettings, Settings};
use crate::transport::{Transport, TransportError, TransportOptions};

/// Time limit of a call to an issuer, connecting included.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest bundle of certificates, in bytes.
const MAX_CA: u64 = 16 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why this version of the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Two callers share a key.
    #[error("{0}")]
    Keys(#[from] DuplicateKey),
    /// An issuer cannot be asked for its keys.
    #[error("identity.jwt: {0}")]
    Transport(#[from] TransportError),
    /// Two callers share a certificate's name.
    #[error("{0}")]
    Names(#[from] DuplicateSan),
    /// The client CA is unusable.
    #[error("{0} (server.tls.client_ca_file)")]
    ClientCa(#[from] InvalidCa),
}

/// A refresher of an issuer's keys that has not been started, and how it reaches the
/// issuer.
pub struct NewKeyRefresher {
    /// The refresher.
    pub refresher: KeyRefresher,
    /// The way to the issuer.
    pub transport: Transport,
}

/// A version, and the refreshers that it needs and the `earlier` one has not.
///
/// # Errors
/// [`AccessError`]; nothing has been started then.
pub fn build(
    settings: &Settings,
    earlier: Option<&Access>,
) -> Result<(Access, Vec<NewKeyRefresher>), AccessError> {
    let mut refreshers = Vec::new();
    let mut issuers = Vec::new();
    for issuer in &settings.jwt_issuers {
        let keys = match earlier.and_then(|access| known_keys(access, issuer)) {
            Some(keys) => keys,
            None => {
                let (refresher, keys) = KeyStore::new(source(issuer), issuer.refresh);
                let before = earlier
                    .into_iter()
                    .flat_map(|access| access.identity.tokens().issuers());
                before.for_each(|before| keys.inherit(&before.keys));
                let transport = Transport::new(&transport(issuer, &settings.outbound))?;
                refreshers.push(NewKeyRefresher {
                    refresher,
                    transport,
                });
                keys
            }
        };
        let rules = issuer.rules.clone();
        issuers.push(Issuer { rules, keys });
    }
    let callers: Vec<Arc<Caller>> = settings.callers.iter().map(known_caller).collect();
    let both = || callers.iter().cloned().zip(&settings.callers);
    let api_keys =
        ApiKeys::new(both().map(|(known, caller)| (known, caller.api_key_sha256.clone())))?;
    let tokens = Tokens::new(
        issuers,
        both().filter_map(|(known, caller)| Some((known, caller.jwt.clone()?))),
    );
    let certificates = ClientCertificates::new(
        client_ca(settings)?,
        both().map(|(known, caller)| (known, caller.certificate_san.clone())),
    )?;
    let access = Access {
        identity: Authenticator::new(api_keys, tokens, certificates),
        policy: options::policy(settings),
        quotas: quotas(settings, earlier),
    };
    Ok((access, refreshers))
}

/// What the issuers publish, for an operator.
#[must_use]
pub fn issuer_health(access: &Access) -> Vec<IssuerHealth> {
    let issuers = access.identity.tokens().issuers().iter();
    issuers
        .map(|issuer| {
            let status = issuer.keys.status();
            let left_out = status.left_out.into_iter();
            IssuerHealth {
                issuer: status.issuer,
                keys_age_seconds: status.age.map(|age| age.as_secs()),
                usable_keys: status.usable,
                left_out: left_out
                    .map(|(reason, count)| LeftOutKeys {
                        count,
                        reason: reason.to_string(),
                    })
                    .collect(),
            }
        })
        .collect()
}

/// The keys that the earlier version has for this issuer, if they come from the same
/// source: no request has to wait for a fetch then.
fn known_keys(earlier: &Access, issuer: &JwtIssuerSettings) -> Option<Arc<KeyStore>> {
    let source = source(issuer);
    let mut known = earlier.identity.tokens().issuers().iter();
    let known = known.find(|known| known.keys.is_from(&source, issuer.refresh))?;
    Some(Arc::clone(&known.keys))
}

fn source(issuer: &JwtIssuerSettings) -> KeySource {
    KeySource {
        issuer: issuer.rules.issuer.clone(),
        jwks_url: issuer.jwks_url.clone(),
        bearer_token_file: issuer.bearer_token_file.clone(),
        ca: issuer.ca_file.as_deref().map(digest),
    }
}

/// A digest of a file of certificates. If the file has become unreadable, building the
/// transport fails a moment later.
fn digest(path: &Path) -> [u8; 32] {
    let content = files::read(path, MAX_CA).map(|content| content.bytes);
    Sha256::digest(content.unwrap_or_default()).into()
}

fn client_ca(settings: &Settings) -> Result<Option<Arc<ClientCa>>, InvalidCa> {
    let tls = settings.server.tls.as_ref();
    let certificates = tls.and_then(|tls| tls.client_ca.as_deref());
    Ok(certificates.map(ClientCa::new).transpose()?.map(Arc::new))
}

fn transport(issuer: &JwtIssuerSettings, egress: &Egress) -> TransportOptions {
    let address = issuer.jwks_url.as_ref().unwrap_or(&issuer.rules.issuer);
    TransportOptions {
        ca_file: issuer.ca_file.clone(),
        connect_timeout: CONNECT_TIMEOUT,
        request_timeout: FETCH_TIMEOUT,
        tls: address.starts_with("https:"),
        egress: egress.clone(),
    }
}

fn known_caller(caller: &CallerSettings) -> Arc<Caller> {
    Arc::new(Caller {
        name: caller.name.clone(),
        default_publisher: caller.default_publisher.clone(),
    })
}

fn quotas(settings: &Settings, earlier: Option<&Access>) -> Quotas {
    let callers = settings.callers.iter();
    let limits = callers.map(|caller| (caller.name.clone(), caller.limits));
    let pools = settings.server.pools();
    Quotas::new(limits, pools, earlier.map(|access| &access.quotas))
}

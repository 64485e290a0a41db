//! One version of who may ask for what, from one version of the settings.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::options;
use crate::domain::Caller;
use crate::http::{Access, CallerLimits, Quotas, Rate};
use crate::identity::{
    ApiKeys, Authenticator, ClaimMatch, ClientCa, ClientCertificates, DuplicateKey, DuplicateSan,
    InvalidCa, Issuer, KeyRefresher, KeySource, KeyStore, TokenRules, Tokens,
};
use crate::settings::{JwtIssuer, Settings};
use crate::transport::{Transport, TransportError, TransportOptions};

/// The longest wait for an issuer's answer, connecting included.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// No bundle of certificates is longer, in bytes.
const MAX_CA: u64 = 16 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a version cannot be used.
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
/// [`AccessError`]; nothing has begun then.
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
                let transport = Transport::new(&transport(issuer))?;
                refreshers.push(NewKeyRefresher {
                    refresher,
                    transport,
                });
                keys
            }
        };
        let rules = rules(issuer);
        issuers.push(Issuer { rules, keys });
    }
    let callers: Vec<Arc<Caller>> = settings.callers.iter().map(known_caller).collect();
    let both = || callers.iter().cloned().zip(&settings.callers);
    let api_keys =
        ApiKeys::new(both().map(|(known, caller)| (known, caller.api_key_sha256.clone())))?;
    let tokens = Tokens::new(
        issuers,
        both().filter_map(|(known, caller)| {
            let jwt = caller.jwt.as_ref()?;
            let claims = ClaimMatch {
                issuer: jwt.issuer.clone(),
                claims: jwt.claims.clone(),
            };
            Some((known, claims))
        }),
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

/// The keys that the earlier version has of this issuer, if they come from the same
/// place: nobody waits for them then.
fn known_keys(earlier: &Access, issuer: &JwtIssuer) -> Option<Arc<KeyStore>> {
    let source = source(issuer);
    let mut known = earlier.identity.tokens().issuers().iter();
    let known = known.find(|known| known.keys.is_from(&source, issuer.refresh))?;
    Some(Arc::clone(&known.keys))
}

fn source(issuer: &JwtIssuer) -> KeySource {
    KeySource {
        issuer: issuer.issuer.clone(),
        jwks_url: issuer.jwks_url.clone(),
        bearer_token_file: issuer.bearer_token_file.clone(),
        ca: issuer.ca_file.as_deref().map(digest),
    }
}

/// What a file of certificates holds, in short. One that cannot be read any more makes
/// the transport fail a moment later.
fn digest(path: &Path) -> [u8; 32] {
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_CA).read_to_end(&mut content));
    let _unreadable = read;
    Sha256::digest(content).into()
}

fn client_ca(settings: &Settings) -> Result<Option<Arc<ClientCa>>, InvalidCa> {
    let tls = settings.server.tls.as_ref();
    let certificates = tls.and_then(|tls| tls.client_ca.as_deref());
    Ok(certificates.map(ClientCa::new).transpose()?.map(Arc::new))
}

fn rules(issuer: &JwtIssuer) -> TokenRules {
    TokenRules {
        issuer: issuer.issuer.clone(),
        audiences: issuer.audiences.clone(),
        algorithms: issuer.algorithms.clone(),
        typ: issuer.typ.clone(),
    }
}

fn transport(issuer: &JwtIssuer) -> TransportOptions {
    let address = issuer.jwks_url.as_ref().unwrap_or(&issuer.issuer);
    TransportOptions {
        ca_file: issuer.ca_file.clone(),
        connect_timeout: CONNECT_TIMEOUT,
        request_timeout: FETCH_TIMEOUT,
        tls: address.starts_with("https:"),
    }
}

fn known_caller(caller: &crate::settings::Caller) -> Arc<Caller> {
    Arc::new(Caller {
        name: caller.name.clone(),
        default_publisher: caller.default_publisher.clone(),
    })
}

fn quotas(settings: &Settings, earlier: Option<&Access>) -> Quotas {
    let limits = settings.callers.iter().map(|caller| {
        let limits = CallerLimits {
            rate: caller.rate_limit.map(|rate| Rate {
                per_second: rate.per_second,
                burst: rate.burst,
            }),
            actions: caller.max_in_flight_actions,
            waits: caller.max_waits,
        };
        (caller.name.clone(), limits)
    });
    Quotas::new(limits, earlier.map(|access| &access.quotas))
}

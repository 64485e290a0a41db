//! From settings to the sources of tokens, and a refresher for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::admin::ServedCredential;
use crate::credential::{
    Application, AssertionAlgorithm, ClientCertificate, ClientSecret, Handle, ManagedEndpoint,
    ManagedIdentity, TokenEndpoint, TokenFile, TokenRefresher, TokenSource, WorkloadIdentity,
};
use crate::domain::Redactor;
use crate::operation::Publishers;
use crate::settings::{self, Credential, CredentialKind, Settings};

/// A refresher for each credential, and the handles to their tokens by name.
#[must_use]
pub fn refreshers(
    settings: &Settings,
    redactor: &Arc<Redactor>,
) -> (Vec<TokenRefresher>, BTreeMap<String, Handle>) {
    let mut refreshers = Vec::new();
    let mut handles = BTreeMap::new();
    for (name, credential) in &settings.credentials {
        let source = source(&credential.kind, redactor);
        let (refresher, handle) =
            TokenRefresher::new(name.clone(), source, credential.wait, redactor);
        refreshers.push(refresher);
        handles.insert(name.clone(), handle);
    }
    (refreshers, handles)
}

/// Makes the credentials that have changed between two versions acquire their tokens in
/// the new way.
pub fn rotate(
    before: &BTreeMap<String, Credential>,
    after: &BTreeMap<String, Credential>,
    handles: &BTreeMap<String, Handle>,
    redactor: &Redactor,
) {
    for (name, handle) in handles {
        let (before, after) = (before.get(name), after.get(name));
        if let (Some(before), Some(after)) = (before, after)
            && !before.is_same(after)
        {
            handle.rotate(source(&after.kind, redactor));
        }
    }
}

/// Where tokens come from. From now on its secrets are cut out of what others say.
fn source(kind: &CredentialKind, redactor: &Redactor) -> TokenSource {
    match kind {
        CredentialKind::ClientSecret {
            application: of,
            secret,
            expires,
        } => {
            redactor.guard(secret.expose());
            TokenSource::ClientSecret(ClientSecret {
                application: application(of),
                secret: Arc::clone(secret),
                expires: expires.and_then(end_of),
            })
        }
        CredentialKind::ClientCertificate {
            application: of,
            certificate,
            algorithm,
        } => {
            let algorithm = match algorithm {
                settings::AssertionAlgorithm::Ps256 => AssertionAlgorithm::Ps256,
                settings::AssertionAlgorithm::Rs256 => AssertionAlgorithm::Rs256,
            };
            let identity = Arc::clone(&certificate.identity);
            let expires = certificate.not_after;
            let source = ClientCertificate::new(application(of), identity, algorithm, expires);
            TokenSource::ClientCertificate(source)
        }
        CredentialKind::WorkloadIdentity {
            application: of,
            assertion_file,
        } => TokenSource::WorkloadIdentity(WorkloadIdentity {
            application: application(of),
            assertion_file: assertion_file.clone(),
        }),
        CredentialKind::ManagedIdentity {
            endpoint,
            client_id,
            resource,
        } => TokenSource::ManagedIdentity(ManagedIdentity {
            endpoint: managed_endpoint(endpoint, redactor),
            client_id: client_id.clone(),
            resource: resource.clone(),
        }),
        CredentialKind::TokenFile { path } => {
            TokenSource::TokenFile(TokenFile { path: path.clone() })
        }
    }
}

/// The end of a day, in UTC.
fn end_of(day: Date) -> Option<Timestamp> {
    let next = day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(next.timestamp())
}

fn application(of: &settings::Application) -> Application {
    Application {
        authority: of.authority.clone(),
        tenant_id: of.tenant_id.clone(),
        client_id: of.client_id.clone(),
        endpoint: match of.endpoint.clone() {
            settings::TokenEndpoint::V1 { resource } => TokenEndpoint::V1 { resource },
            settings::TokenEndpoint::V2 { scope } => TokenEndpoint::V2 { scope },
        },
    }
}

fn managed_endpoint(endpoint: &settings::ManagedEndpoint, redactor: &Redactor) -> ManagedEndpoint {
    match endpoint {
        settings::ManagedEndpoint::Imds { url } => ManagedEndpoint::Imds { url: url.clone() },
        settings::ManagedEndpoint::AppService { url, header } => {
            redactor.guard(header.expose());
            ManagedEndpoint::AppService {
                url: url.clone(),
                header: Arc::clone(header),
            }
        }
    }
}

/// Whether any token endpoint is https.
#[must_use]
pub fn speak_tls(settings: &Settings) -> bool {
    let mut credentials = settings.credentials.values();
    credentials.any(|credential| address(&credential.kind).is_some_and(is_https))
}

fn address(kind: &CredentialKind) -> Option<&str> {
    match kind {
        CredentialKind::ClientSecret { application, .. }
        | CredentialKind::ClientCertificate { application, .. }
        | CredentialKind::WorkloadIdentity { application, .. } => Some(&application.authority),
        CredentialKind::ManagedIdentity { endpoint, .. } => match endpoint {
            settings::ManagedEndpoint::Imds { url }
            | settings::ManagedEndpoint::AppService { url, .. } => Some(url),
        },
        CredentialKind::TokenFile { .. } => None,
    }
}

fn is_https(address: &str) -> bool {
    address.starts_with("https:")
}

/// Every credential, with the publishers that it serves.
#[must_use]
pub fn served(
    settings: &Settings,
    handles: &BTreeMap<String, Handle>,
    serving: &Publishers,
) -> Vec<ServedCredential> {
    let served_by = |name: &String| {
        let publishers = settings.publishers.iter();
        publishers
            .filter(|publisher| publisher.credential == *name)
            .filter_map(|publisher| {
                let handle = serving.get(&publisher.id)?.clone();
                Some((publisher.id.as_str().to_owned(), handle))
            })
            .collect()
    };
    handles
        .iter()
        .map(|(name, handle)| ServedCredential {
            handle: handle.clone(),
            publishers: served_by(name),
        })
        .collect()
}

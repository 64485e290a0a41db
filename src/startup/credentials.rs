//! The sources of tokens, made from the settings, and a refresher for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::admin::ServedCredential;
use crate::credential::{
    ClientCertificate, ClientSecret, Handle, ManagedIdentity, TokenFile, TokenRefresher,
    TokenSource, WorkloadIdentity,
};
use crate::domain::{ManagedEndpoint, Redactor};
use crate::operation::Publishers;
use crate::settings::{CredentialMethod, CredentialSettings, Settings};
use crate::transport::Transport;

/// A refresher for each credential, and the handles to their tokens by name.
#[must_use]
pub fn refreshers(
    settings: &Settings,
    redactor: &Arc<Redactor>,
) -> (Vec<TokenRefresher>, BTreeMap<String, Handle>) {
    let mut refreshers = Vec::new();
    let mut handles = BTreeMap::new();
    for (name, credential) in &settings.credentials {
        let source = source(&credential.method, redactor);
        let (refresher, handle) =
            TokenRefresher::new(name.clone(), source, credential.wait, redactor);
        refreshers.push(refresher);
        handles.insert(name.clone(), handle);
    }
    (refreshers, handles)
}

/// Gives the refreshers of changed credentials their new source of tokens.
pub fn rotate(
    before: &BTreeMap<String, CredentialSettings>,
    after: &BTreeMap<String, CredentialSettings>,
    handles: &BTreeMap<String, Handle>,
    redactor: &Redactor,
) {
    for (name, handle) in handles {
        let (before, after) = (before.get(name), after.get(name));
        if let (Some(before), Some(after)) = (before, after)
            && before.method != after.method
        {
            handle.rotate(source(&after.method, redactor));
        }
    }
}

/// Where tokens come from. From now on its secrets are redacted from text of other systems.
fn source(method: &CredentialMethod, redactor: &Redactor) -> TokenSource {
    match method.clone() {
        CredentialMethod::ClientSecret {
            application,
            secret,
            expires,
        } => {
            redactor.guard(secret.expose());
            TokenSource::ClientSecret(ClientSecret {
                application,
                secret,
                expires: expires.and_then(end_of),
            })
        }
        CredentialMethod::ClientCertificate {
            application,
            certificate,
            algorithm,
        } => TokenSource::ClientCertificate(ClientCertificate::new(
            application,
            certificate.identity,
            algorithm,
            certificate.not_after,
        )),
        CredentialMethod::WorkloadIdentity {
            application,
            assertion_file,
        } => TokenSource::WorkloadIdentity(WorkloadIdentity {
            application,
            assertion_file,
        }),
        CredentialMethod::ManagedIdentity {
            endpoint,
            client_id,
            resource,
        } => {
            if let ManagedEndpoint::AppService { header, .. } = &endpoint {
                redactor.guard(header.expose());
            }
            TokenSource::ManagedIdentity(ManagedIdentity {
                endpoint,
                client_id,
                resource,
            })
        }
        CredentialMethod::TokenFile { path } => TokenSource::TokenFile(TokenFile { path }),
    }
}

/// The end of a day, in UTC.
fn end_of(day: Date) -> Option<Timestamp> {
    let next = day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(next.timestamp())
}

/// Whether any token endpoint uses https.
#[must_use]
pub fn speak_tls(settings: &Settings) -> bool {
    let mut credentials = settings.credentials.values();
    credentials.any(|credential| address(&credential.method).is_some_and(is_https))
}

fn address(kind: &CredentialMethod) -> Option<&str> {
    match kind {
        CredentialMethod::ClientSecret { application, .. }
        | CredentialMethod::ClientCertificate { application, .. }
        | CredentialMethod::WorkloadIdentity { application, .. } => Some(&application.authority),
        CredentialMethod::ManagedIdentity { endpoint, .. } => match endpoint {
            ManagedEndpoint::Imds { url } | ManagedEndpoint::AppService { url, .. } => Some(url),
        },
        CredentialMethod::TokenFile { .. } => None,
    }
}

/// How the endpoint that gives the tokens is reached, for people; none: a file.
#[must_use]
pub fn way_to_endpoint(method: &CredentialMethod, transport: &Transport) -> Option<String> {
    match method {
        // The platform's own service.
        CredentialMethod::ManagedIdentity { .. } => Some("directly".into()),
        other => address(other).map(|address| transport.way_to(address)),
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

//! One table a credential: its kind, and the keys that the kind has.

use std::collections::BTreeMap;
use std::time::Duration;

use super::method::CredentialMethod;
use super::{client_certificate, client_secret, managed_identity, token_file, workload_identity};
use crate::domain::CredentialKind;
use crate::settings::context::Context;
use crate::settings::reader::{KeyKind, Named, Table, keys_of, one_of};

/// How long a request waits for a first token, in milliseconds.
const DEFAULT_WAIT_MS: u64 = 5000;
/// How tokens are acquired, and how long a request waits for the first.
#[derive(Debug, Clone)]
pub struct CredentialSettings {
    /// How tokens are acquired. Two credentials with equal methods get the same tokens in
    /// the same way.
    pub method: CredentialMethod,
    /// How long a request may wait while there is no token yet.
    pub wait: Duration,
}

/// Reads the keys of one kind.
type ReadKind = fn(&mut Table<'_, '_>, allow_plain_http: bool) -> Option<CredentialMethod>;

fn reader_of(kind: CredentialKind) -> ReadKind {
    match kind {
        CredentialKind::ClientSecret => client_secret::read,
        CredentialKind::ClientCertificate => client_certificate::read,
        CredentialKind::WorkloadIdentity => workload_identity::read,
        CredentialKind::ManagedIdentity => managed_identity::read,
        CredentialKind::TokenFile => token_file::read,
    }
}

pub fn read(
    root: &mut Table<'_, '_>,
    context: &mut Context,
) -> Option<BTreeMap<String, CredentialSettings>> {
    let names = root
        .names("credentials", KeyKind::Table)?
        .unwrap_or_default();
    let mut credentials = Vec::new();
    for Named { name, at, value } in names {
        if !is_name(name) {
            root.reading.problem(
                &at,
                "a credential's name must be 1 to 64 characters of a-z 0-9 _ -, begin and end \
                 with a letter or digit and have no two underscores in a row: it is part of \
                 the variable OFFERGATE_CREDENTIALS__NAME__CLIENT_SECRET",
            );
        }
        context.credentials.insert(name.to_owned(), at.clone());
        let credential = root
            .reading
            .table(at, value, |t| credential(t, context.allow_plain_http));
        credentials.push(credential.map(|credential| (name.to_owned(), credential)));
    }
    credentials.into_iter().collect()
}

fn is_name(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edge = |b: Option<&u8>| b.is_some_and(|b| word(*b));
    let bytes = name.as_bytes();
    name.len() <= 64
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| word(*b) || matches!(b, b'_' | b'-'))
        && !name.contains("__")
}

fn credential(t: &mut Table<'_, '_>, allow_plain_http: bool) -> Option<CredentialSettings> {
    let kinds = CredentialKind::ALL.map(|kind| (kind.as_str(), kind));
    let kind = t.required("kind", one_of(&kinds));
    let wait_ms = t.optional_number("wait_ms", 0..=60_000);
    let method = match kind {
        Some(kind) => {
            t.purpose = format!(" for kind {kind}");
            let method = reader_of(kind)(t, allow_plain_http);
            refuse_keys_of_others(t, kind);
            method
        }
        None => {
            // A bad value is bad for every kind; what is missing depends on the kind.
            t.is_lenient = true;
            for kind in CredentialKind::ALL {
                reader_of(kind)(t, allow_plain_http);
            }
            None
        }
    };
    Some(CredentialSettings {
        method: method?,
        wait: Duration::from_millis(wait_ms?.unwrap_or(DEFAULT_WAIT_MS)),
    })
}

fn refuse_keys_of_others(t: &mut Table<'_, '_>, kind: CredentialKind) {
    let keys = CredentialKind::ALL.map(|kind| (kind, keys_of(|t| reader_of(kind)(t, true))));
    let has = |of: CredentialKind, name| {
        keys.iter()
            .any(|(k, keys)| *k == of && keys.contains(&name))
    };
    for name in keys.iter().flat_map(|(_, keys)| keys.iter().copied()) {
        if has(kind, name) {
            continue;
        }
        // Known in any case, so that a misspelled key is compared with it.
        if let (_, None) = t.take(name, KeyKind::Text) {
            continue;
        }
        let owners: Vec<&str> = CredentialKind::ALL
            .into_iter()
            .filter(|owner| has(*owner, name))
            .map(CredentialKind::as_str)
            .collect();
        let owners = match owners.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => owners.concat(),
        };
        t.problem(name, format!("belongs to kind {owners}"));
    }
}

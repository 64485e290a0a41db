//! Credentials: which kind each is, and that it has that kind's keys and no other's.
//!
//! A secret is written down here or, better, in a file of its own. Either way it
//! becomes a [`Secret`](crate::domain::Secret) before anything else looks at it.

mod application;
mod certificate;
mod entry;
mod kinds;
mod managed;
mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::path::PathBuf;
use std::sync::Arc;

use super::check::Upstream;
use super::checker::Checker;
use super::field::Field;
use super::files::{self, Holds};
use super::problem::KeyPath;
use super::raw;
use entry::{Entry, KINDS, Kind};

pub use kinds::{
    Application, AssertionAlgorithm, ClientCertificate, Credential, CredentialKind,
    ManagedEndpoint, TokenEndpoint,
};

/// How long a request waits for a first token, in milliseconds.
const DEFAULT_WAIT_MS: u64 = 5000;

/// The names, also of those that are no good, and the good ones if all are.
pub(super) fn credentials(
    c: &mut Checker<'_>,
    raw: raw::Named<raw::Section<raw::Credential>>,
    upstream: &Upstream,
) -> (BTreeSet<String>, Option<BTreeMap<String, Credential>>) {
    let at = KeyPath::of("credentials");
    let Some(table) = c.optional(&at, raw) else {
        return (BTreeSet::new(), None);
    };
    let table = table.unwrap_or_default();
    let names = table.keys().cloned().collect();
    let mut credentials = Some(BTreeMap::new());
    for (name, raw) in table {
        let at = at.key(&name);
        if !is_name(&name) {
            c.problem(
                &at,
                "a credential's name must be 1 to 64 characters of a-z 0-9 _ -, begin and end \
                 with a letter or digit and have no two underscores in a row: it is part of \
                 the variable OFFERGATE_CREDENTIALS__NAME__CLIENT_SECRET",
            );
        }
        // Both sides of the zip are looked at: a bad one must not hide the next.
        let credential = credential(c, at, raw, upstream);
        credentials = credentials.zip(credential).map(|(mut good, credential)| {
            good.insert(name, credential);
            good
        });
    }
    (names, credentials)
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

fn credential(
    c: &mut Checker<'_>,
    at: KeyPath,
    raw: raw::Section<raw::Credential>,
    upstream: &Upstream,
) -> Option<Credential> {
    let mut raw = c.section(&at, raw)?;
    let kind = c.word(&at.key("kind"), take(&mut raw.kind), &KINDS);
    let wait_ms = match take(&mut raw.wait_ms) {
        Field::Absent => Field::Set(DEFAULT_WAIT_MS),
        field => field,
    };
    let wait = c.millis(&at.key("wait_ms"), wait_ms, 0..=60_000);
    let mut entry = Entry {
        at,
        kind,
        raw,
        plain_http: upstream.plain_http,
    };
    entry.refuse_strangers(c);
    let e = &mut entry;
    let kind = match kind {
        Some(Kind::ClientSecret) => client_secret(c, e),
        Some(Kind::ClientCertificate) => client_certificate(c, e),
        Some(Kind::WorkloadIdentity) => workload_identity(c, e),
        Some(Kind::ManagedIdentity) => managed::identity(c, e),
        Some(Kind::TokenFile) => token_file(c, e),
        None => {
            whatever_it_is(c, e);
            None
        }
    };
    Some(Credential {
        kind: kind?,
        wait: wait?,
    })
}

fn client_secret(c: &mut Checker<'_>, e: &mut Entry) -> Option<CredentialKind> {
    let application = application::application(c, e);
    let secret = secret::client_secret(c, e);
    let secret = e.needs(c, "client_secret", secret);
    let expires = secret::expires(c, e);
    Some(CredentialKind::ClientSecret {
        application: application?,
        secret: Arc::new(secret?),
        expires: expires?,
    })
}

fn client_certificate(c: &mut Checker<'_>, e: &mut Entry) -> Option<CredentialKind> {
    let application = application::application(c, e);
    let certificate = certificate::certificate(c, e);
    let algorithm = certificate::algorithm(c, e);
    Some(CredentialKind::ClientCertificate {
        application: application?,
        certificate: certificate?,
        algorithm: algorithm?,
    })
}

fn workload_identity(c: &mut Checker<'_>, e: &mut Entry) -> Option<CredentialKind> {
    e.fall_back_to_variables(c);
    let application = application::application(c, e);
    let assertion_file = assertion_file(c, e);
    let assertion_file = e.needs(c, "assertion_file", assertion_file);
    Some(CredentialKind::WorkloadIdentity {
        application: application?,
        assertion_file: assertion_file?,
    })
}

fn assertion_file(c: &mut Checker<'_>, e: &mut Entry) -> Option<Option<PathBuf>> {
    let field = take(&mut e.raw.assertion_file);
    files::reread(c, &e.key("assertion_file"), field, Holds::Assertion)
}

fn token_file(c: &mut Checker<'_>, e: &mut Entry) -> Option<CredentialKind> {
    let path = path_of_token(c, e);
    let path = e.needs(c, "token_file", path)?;
    Some(CredentialKind::TokenFile { path })
}

fn path_of_token(c: &mut Checker<'_>, e: &mut Entry) -> Option<Option<PathBuf>> {
    let field = take(&mut e.raw.token_file);
    files::reread(c, &e.key("token_file"), field, Holds::Secret)
}

/// Looks at what was written while nobody knows which kind is meant: nothing is missing
/// then, and nothing in the wrong place, but a bad value is bad for every kind.
fn whatever_it_is(c: &mut Checker<'_>, e: &mut Entry) {
    application::whatever_it_is(c, e);
    secret::client_secret(c, e);
    secret::expires(c, e);
    certificate::certificate(c, e);
    certificate::algorithm(c, e);
    assertion_file(c, e);
    managed::whatever_it_is(c, e);
    path_of_token(c, e);
}

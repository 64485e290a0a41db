//! Credentials and their secrets.
//!
//! A secret is written down here or, better, in a file of its own. Either way it
//! becomes a [`Secret`] before anything else looks at it.

use std::collections::{BTreeMap, BTreeSet};

use super::check::Upstream;
use super::checker::Checker;
use super::field::Field;
use super::files;
use super::problem::KeyPath;
use super::url;
use super::{Credential, TokenEndpoint, raw};
use crate::domain::Secret;

/// Where the public cloud hands out tokens.
const DEFAULT_AUTHORITY: &str = "https://login.microsoftonline.com";
/// What the portal's tokens are asked for at the second endpoint.
const DEFAULT_SCOPE: &str = "https://cloudpartner.azure.com/.default";
/// How long a request waits for a first token, in milliseconds.
const DEFAULT_WAIT_MS: u64 = 5000;
/// Kinds that the design knows and the program does not yet.
const NOT_BUILT: [&str; 4] = [
    "client-certificate",
    "workload-identity",
    "managed-identity",
    "token-file",
];

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
        let credential = credential(c, &at, raw, upstream);
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
    at: &KeyPath,
    raw: raw::Section<raw::Credential>,
    upstream: &Upstream,
) -> Option<Credential> {
    let raw = c.section(at, raw)?;
    let kind = c.parsed(&at.key("kind"), raw.kind, kind);
    let authority = authority(c, &at.key("authority"), raw.authority, upstream);
    let tenant_id = c.parsed(&at.key("tenant_id"), raw.tenant_id, tenant_id);
    let client_id = c.parsed(&at.key("client_id"), raw.client_id, |text| {
        visible(text, 128).ok_or("must be 1 to 128 visible ASCII characters without quotes")
    });
    let client_secret = secret(
        c,
        (&at.key("client_secret"), raw.client_secret),
        (&at.key("client_secret_file"), raw.client_secret_file),
    );
    let endpoint = endpoint(c, at, raw.endpoint_version, raw.resource, raw.scope);
    let wait_ms = match raw.wait_ms {
        Field::Absent => Field::Set(DEFAULT_WAIT_MS),
        field => field,
    };
    let wait = c.millis(&at.key("wait_ms"), wait_ms, 0..=60_000);
    kind?;
    Some(Credential {
        authority: authority?,
        tenant_id: tenant_id?,
        client_id: client_id?,
        client_secret: client_secret?,
        endpoint: endpoint?,
        wait: wait?,
    })
}

fn kind(word: &str) -> Result<(), &'static str> {
    match word {
        "client-secret" => Ok(()),
        word if NOT_BUILT.contains(&word) => {
            Err("this kind is not built yet; client-secret is the one that is")
        }
        _ => Err("must be client-secret"),
    }
}

fn authority(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: Field<String>,
    upstream: &Upstream,
) -> Option<String> {
    let Some(text) = c.optional(key, field)? else {
        return Some(DEFAULT_AUTHORITY.to_owned());
    };
    let url = c.parse(key, &text, url::parse_origin)?;
    c.token_goes_to(key, &url, upstream.plain_http);
    Some(url.text)
}

fn tenant_id(text: &str) -> Result<String, &'static str> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let dots = text.bytes().all(|b| b == b'.');
    if (1..=128).contains(&text.len()) && text.bytes().all(legal) && !dots {
        Ok(text.to_owned())
    } else {
        Err("must be a directory's GUID or domain name: 1 to 128 characters of A-Z a-z 0-9 . -")
    }
}

/// A text that can stand in a form, a log and a URL without a second look.
fn visible(text: &str, max: usize) -> Option<String> {
    let legal = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'`');
    ((1..=max).contains(&text.len()) && text.bytes().all(legal)).then(|| text.to_owned())
}

#[derive(Clone, Copy)]
enum Version {
    V1,
    V2,
}

fn endpoint(
    c: &mut Checker<'_>,
    at: &KeyPath,
    version: Field<String>,
    resource: Field<String>,
    scope: Field<String>,
) -> Option<TokenEndpoint> {
    const AUDIENCE: &str = "must be 1 to 256 visible ASCII characters without quotes";
    let (resource_key, scope_key) = (at.key("resource"), at.key("scope"));
    let key = at.key("endpoint_version");
    let version = match c.optional(&key, version) {
        Some(Some(text)) => c.parse(&key, &text, |word| match word {
            "v1" => Ok(Version::V1),
            "v2" => Ok(Version::V2),
            _ => Err("must be v1 or v2"),
        }),
        Some(None) => Some(Version::V2),
        None => None,
    };
    let resource = c.optional(&resource_key, resource);
    let scope = c.optional(&scope_key, scope);
    match version? {
        Version::V1 => {
            if scope.as_ref().is_some_and(Option::is_some) {
                c.problem(
                    &scope_key,
                    "belongs to endpoint_version v2; v1 takes resource",
                );
                return None;
            }
            let Some(text) = resource? else {
                c.problem(&key, "v1 needs resource as well");
                return None;
            };
            let resource = c.parse(&resource_key, &text, |text| {
                visible(text, 256).ok_or(AUDIENCE)
            })?;
            Some(TokenEndpoint::V1 { resource })
        }
        Version::V2 => {
            if resource.as_ref().is_some_and(Option::is_some) {
                c.problem(
                    &resource_key,
                    "belongs to endpoint_version v1; v2 takes scope",
                );
                return None;
            }
            let text = scope?.unwrap_or_else(|| DEFAULT_SCOPE.to_owned());
            let scope = c.parse(&scope_key, &text, |text| visible(text, 256).ok_or(AUDIENCE))?;
            Some(TokenEndpoint::V2 { scope })
        }
    }
}

/// A secret from its key or from the file that its twin names, never from both.
fn secret(
    c: &mut Checker<'_>,
    (key, inline): (&KeyPath, Field<String>),
    (file_key, file): (&KeyPath, Field<String>),
) -> Option<Secret> {
    let (inline, file) = (c.optional(key, inline), c.optional(file_key, file));
    match (inline?, file?) {
        (None, None) => {
            c.problem(key, format!("is required, or {}", file_key.last_name()));
            None
        }
        (Some(_), Some(_)) => {
            let other = c.place(key);
            c.problem(
                file_key,
                format!("{key} is set too ({other}); keep one of them"),
            );
            None
        }
        (Some(text), None) if text.is_empty() => {
            c.problem(key, "must not be empty");
            None
        }
        (Some(text), None) => Some(Secret::new(text)),
        (None, Some(path)) => {
            let path = c.resolve(file_key, &path);
            files::secret(c, file_key, &path)
        }
    }
}

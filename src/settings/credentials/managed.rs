//! A managed identity: who hands out its tokens, and for what.

use std::mem::take;
use std::sync::Arc;

use super::super::checker::{Checker, Exempt};
use super::super::field::Field;
use super::super::url::{self, Query, Reach};
use super::application::{client_id, parsed, resource};
use super::entry::Entry;
use super::kinds::{CredentialKind, ManagedEndpoint};
use super::secret::secret;
use crate::domain::Secret;

/// Where a virtual machine's metadata service hands out tokens.
const IMDS: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
/// What the portal's tokens are asked for.
const DEFAULT_RESOURCE: &str = "https://cloudpartner.azure.com";
/// What App Service sets; see [`ManagedEndpoint::AppService`].
const ENDPOINT: &str = "IDENTITY_ENDPOINT";
const HEADER: &str = "IDENTITY_HEADER";

pub(super) fn identity(c: &mut Checker<'_>, e: &mut Entry) -> Option<CredentialKind> {
    let endpoint = endpoint(c, e);
    let client_id = client_id(c, e);
    let resource = resource(c, e);
    Some(CredentialKind::ManagedIdentity {
        endpoint: endpoint?,
        client_id: client_id?,
        resource: resource?.unwrap_or_else(|| DEFAULT_RESOURCE.to_owned()),
    })
}

/// Looks at each key for itself, but for those that other kinds have as well.
pub(super) fn whatever_it_is(c: &mut Checker<'_>, e: &mut Entry) {
    url(c, e, Platform::Configured);
    header(c, e);
}

fn endpoint(c: &mut Checker<'_>, e: &mut Entry) -> Option<ManagedEndpoint> {
    let platform = platform(c, e);
    let url = url(c, e, platform);
    let header = header(c, e);
    match (url?, header?) {
        (None, None) => Some(ManagedEndpoint::Imds { url: IMDS.into() }),
        (Some(url), None) => Some(ManagedEndpoint::Imds { url }),
        (Some(url), Some(header)) => Some(ManagedEndpoint::AppService {
            url,
            header: Arc::new(header),
        }),
        (None, Some(_)) => {
            c.problem(&e.key("endpoint"), "is required with identity_header");
            None
        }
    }
}

/// Who says where tokens are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Platform {
    /// The configuration, if only by leaving it to the default.
    Configured,
    /// App Service, in the environment.
    AppService,
}

/// Takes both of App Service's variables if they are there and the configuration says
/// nothing else: one without the other is somebody else's.
fn platform(c: &mut Checker<'_>, e: &mut Entry) -> Platform {
    let raw = &mut e.raw;
    let keys = [
        &raw.endpoint,
        &raw.identity_header,
        &raw.identity_header_file,
    ];
    let written = keys
        .into_iter()
        .any(|field| !matches!(field, Field::Absent));
    if written || !c.has_variable(ENDPOINT) || !c.has_variable(HEADER) {
        return Platform::Configured;
    }
    c.fall_back(&e.at.key("endpoint"), &mut raw.endpoint, ENDPOINT);
    c.fall_back(
        &e.at.key("identity_header"),
        &mut raw.identity_header,
        HEADER,
    );
    Platform::AppService
}

fn url(c: &mut Checker<'_>, e: &mut Entry, platform: Platform) -> Option<Option<String>> {
    let key = e.key("endpoint");
    let parse = |text: &str| url::parse_resource(text, Query::Refused);
    let Some(url) = parsed(c, &key, &mut e.raw.endpoint, parse)? else {
        return Some(None);
    };
    let exempt = match platform {
        Platform::Configured => Exempt {
            reaches: &[Reach::Loopback, Reach::Metadata],
            names: "loopback and 169.254.169.254",
        },
        Platform::AppService => Exempt {
            reaches: &[Reach::Loopback, Reach::Metadata, Reach::Link],
            names: "loopback and 169.254.0.0/16",
        },
    };
    c.token_goes_to_unless(&key, &url, e.plain_http, exempt);
    Some(Some(url.text))
}

fn header(c: &mut Checker<'_>, e: &mut Entry) -> Option<Option<Secret>> {
    let (key, file_key) = (e.key("identity_header"), e.key("identity_header_file"));
    let (inline, file) = (
        take(&mut e.raw.identity_header),
        take(&mut e.raw.identity_header_file),
    );
    let at_fault = match inline {
        Field::Absent => &file_key,
        _ => &key,
    };
    let header = secret(c, (&key, inline), (&file_key, file))?;
    // It becomes a header's value as it is.
    let legal = |text: &str| text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_graphic());
    if header
        .as_ref()
        .is_some_and(|header| !legal(header.expose()))
    {
        c.problem(at_fault, "must hold 1 to 1024 visible ASCII characters");
        return None;
    }
    Some(header)
}

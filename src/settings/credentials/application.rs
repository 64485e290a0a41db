//! An Entra application: its token endpoint, its directory, its id.

use std::mem::take;

use super::super::checker::Checker;
use super::super::field::Field;
use super::super::problem::KeyPath;
use super::super::url;
use super::entry::Entry;
use super::kinds::{Application, TokenEndpoint};

/// Where the public cloud hands out tokens.
const DEFAULT_AUTHORITY: &str = "https://login.microsoftonline.com";
/// What the portal's tokens are asked for at the second endpoint.
const DEFAULT_SCOPE: &str = "https://cloudpartner.azure.com/.default";

pub(super) fn application(c: &mut Checker<'_>, e: &mut Entry) -> Option<Application> {
    let authority = authority(c, e);
    let tenant_id = tenant_id(c, e);
    let tenant_id = e.needs(c, "tenant_id", tenant_id);
    let client_id = client_id(c, e);
    let client_id = e.needs(c, "client_id", client_id);
    let endpoint = endpoint(c, e);
    Some(Application {
        authority: authority?,
        tenant_id: tenant_id?,
        client_id: client_id?,
        endpoint: endpoint?,
    })
}

/// Looks at each key for itself.
pub(super) fn whatever_it_is(c: &mut Checker<'_>, e: &mut Entry) {
    authority(c, e);
    tenant_id(c, e);
    client_id(c, e);
    version(c, e);
    resource(c, e);
    scope(c, e);
}

fn authority(c: &mut Checker<'_>, e: &mut Entry) -> Option<String> {
    let key = e.key("authority");
    let Some(url) = parsed(c, &key, &mut e.raw.authority, url::parse_origin)? else {
        return Some(DEFAULT_AUTHORITY.to_owned());
    };
    c.token_goes_to(&key, &url, e.plain_http);
    Some(url.text)
}

fn tenant_id(c: &mut Checker<'_>, e: &mut Entry) -> Option<Option<String>> {
    parsed(c, &e.key("tenant_id"), &mut e.raw.tenant_id, |text| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        let dots = text.bytes().all(|b| b == b'.');
        if (1..=128).contains(&text.len()) && text.bytes().all(legal) && !dots {
            Ok(text.to_owned())
        } else {
            Err("must be a directory's GUID or domain name: 1 to 128 characters of A-Z a-z 0-9 . -")
        }
    })
}

pub(super) fn client_id(c: &mut Checker<'_>, e: &mut Entry) -> Option<Option<String>> {
    parsed(c, &e.key("client_id"), &mut e.raw.client_id, |text| {
        visible(text, 128).ok_or("must be 1 to 128 visible ASCII characters without quotes")
    })
}

#[derive(Clone, Copy)]
enum Version {
    V1,
    V2,
}

fn version(c: &mut Checker<'_>, e: &mut Entry) -> Option<Option<Version>> {
    let key = e.key("endpoint_version");
    parsed(c, &key, &mut e.raw.endpoint_version, |word| match word {
        "v1" => Ok(Version::V1),
        "v2" => Ok(Version::V2),
        _ => Err("must be v1 or v2"),
    })
}

pub(super) fn resource(c: &mut Checker<'_>, e: &mut Entry) -> Option<Option<String>> {
    parsed(c, &e.key("resource"), &mut e.raw.resource, audience)
}

fn scope(c: &mut Checker<'_>, e: &mut Entry) -> Option<Option<String>> {
    parsed(c, &e.key("scope"), &mut e.raw.scope, audience)
}

fn endpoint(c: &mut Checker<'_>, e: &mut Entry) -> Option<TokenEndpoint> {
    let is_there = |field: &Field<String>| !matches!(field, Field::Absent);
    match version(c, e)?.unwrap_or(Version::V2) {
        Version::V1 => {
            if is_there(&e.raw.scope) {
                let message = "belongs to endpoint_version v2; v1 takes resource";
                c.problem(&e.key("scope"), message);
            }
            let resource = resource(c, e)?;
            if resource.is_none() {
                c.problem(&e.key("endpoint_version"), "v1 needs resource as well");
            }
            resource.map(|resource| TokenEndpoint::V1 { resource })
        }
        Version::V2 => {
            if is_there(&e.raw.resource) {
                let message = "belongs to endpoint_version v1; v2 takes scope";
                c.problem(&e.key("resource"), message);
            }
            let scope = scope(c, e)?.unwrap_or_else(|| DEFAULT_SCOPE.to_owned());
            Some(TokenEndpoint::V2 { scope })
        }
    }
}

/// What is under a key, read; none if nothing is. The outer none: it is not good.
pub(super) fn parsed<T>(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: &mut Field<String>,
    parse: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Option<Option<T>> {
    match c.optional(key, take(field))? {
        Some(text) => c.parse(key, &text, parse).map(Some),
        None => Some(None),
    }
}

fn audience(text: &str) -> Result<String, &'static str> {
    visible(text, 256).ok_or("must be 1 to 256 visible ASCII characters without quotes")
}

/// A text that can stand in a form, a log and a URL without a second look.
fn visible(text: &str, max: usize) -> Option<String> {
    let legal = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'`');
    ((1..=max).contains(&text.len()) && text.bytes().all(legal)).then(|| text.to_owned())
}

//! An Entra application: its token endpoint, its directory, its id.

use crate::domain::{Application, TokenEndpoint};
use crate::settings::reader::{Table, all, limited, one_of};
use crate::settings::url::{self, AddressScope, check_plain_http};

/// The token endpoint of the public cloud.
const DEFAULT_AUTHORITY: &str = "https://login.microsoftonline.com";
/// The scope of the portal's tokens at the v2 endpoint.
const DEFAULT_SCOPE: &str = "https://cloudpartner.azure.com/.default";

pub fn read(t: &mut Table<'_, '_>, allow_plain_http: bool) -> Option<Application> {
    all!(Application {
        authority: authority(t, allow_plain_http),
        tenant_id: t.required("tenant_id", tenant_id),
        client_id: t.required("client_id", client_id),
        endpoint: endpoint(t),
    })
}

fn authority(t: &mut Table<'_, '_>, allow_plain_http: bool) -> Option<String> {
    let Some(url) = t.optional("authority", url::parse_origin)? else {
        return Some(DEFAULT_AUTHORITY.to_owned());
    };
    let exempt = AddressScope::Loopback;
    check_plain_http(t, "authority", &url, allow_plain_http, exempt);
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

pub fn client_id(text: &str) -> Result<String, String> {
    limited(128, is_unquoted, "visible ASCII characters without quotes")(text)
}

/// A resource or a scope.
pub fn audience(text: &str) -> Result<String, String> {
    limited(256, is_unquoted, "visible ASCII characters without quotes")(text)
}

/// Safe in a form, a log line and a URL.
fn is_unquoted(b: u8) -> bool {
    b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'`')
}

fn endpoint(t: &mut Table<'_, '_>) -> Option<TokenEndpoint> {
    let is_v1 = t.optional("endpoint_version", one_of(&[("v1", true), ("v2", false)]));
    let resource = t.optional("resource", audience);
    let scope = t.optional("scope", audience);
    let is_v1 = is_v1?.unwrap_or(false);
    if is_v1 && t.has("scope") {
        t.contradiction("scope", "belongs to endpoint_version v2; v1 uses resource");
    }
    if !is_v1 && t.has("resource") {
        t.contradiction("resource", "belongs to endpoint_version v1; v2 uses scope");
    }
    if !is_v1 {
        let scope = scope?.unwrap_or_else(|| DEFAULT_SCOPE.to_owned());
        return Some(TokenEndpoint::V2 { scope });
    }
    let resource = resource?;
    if resource.is_none() {
        t.contradiction("endpoint_version", "v1 requires resource");
    }
    resource.map(|resource| TokenEndpoint::V1 { resource })
}

//! A managed identity: the platform's token endpoint, and the audience of its tokens.

use std::sync::Arc;

use super::application::{audience, client_id};
use super::method::CredentialMethod;
use crate::domain::{ManagedEndpoint, Secret};
use crate::settings::reader::{Table, all};
use crate::settings::url::{self, AddressScope, Query, check_plain_http};

/// The token endpoint of a virtual machine's metadata service.
const IMDS: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
/// The audience of the portal's tokens.
const DEFAULT_RESOURCE: &str = "https://cloudpartner.azure.com";
/// What App Service sets; see [`ManagedEndpoint::AppService`].
const ENDPOINT: &str = "IDENTITY_ENDPOINT";
const HEADER: &str = "IDENTITY_HEADER";

pub fn read(t: &mut Table<'_, '_>, allow_plain_http: bool) -> Option<CredentialMethod> {
    let resource = t.optional("resource", audience);
    all!(CredentialMethod::ManagedIdentity {
        endpoint: endpoint(t, allow_plain_http),
        client_id: t.optional("client_id", client_id),
        resource: resource.map(|text| text.unwrap_or_else(|| DEFAULT_RESOURCE.to_owned())),
    })
}

fn endpoint(t: &mut Table<'_, '_>, allow_plain_http: bool) -> Option<ManagedEndpoint> {
    let keys = ["endpoint", "identity_header", "identity_header_file"];
    // Both of App Service's variables, and nothing written: one of them alone belongs to
    // another platform.
    let is_app_service = !t.is_lenient
        && !keys.iter().any(|name| t.has(name))
        && [ENDPOINT, HEADER]
            .iter()
            .all(|name| t.variable(name).is_some());
    if is_app_service {
        t.fall_back("endpoint", ENDPOINT);
        t.fall_back("identity_header", HEADER);
    }
    let url = t.optional("endpoint", |text| url::parse_resource(text, Query::Refused));
    if let Some(Some(url)) = &url {
        // The platform says so itself, in both of its variables: then the address is its own.
        let exempt = if is_app_service {
            AddressScope::Private
        } else {
            AddressScope::Metadata
        };
        check_plain_http(t, "endpoint", url, allow_plain_http, exempt);
    }
    let header = header(t);
    match (url?.map(|url| url.text), header?) {
        (None, None) => Some(ManagedEndpoint::Imds { url: IMDS.into() }),
        (Some(url), None) => Some(ManagedEndpoint::Imds { url }),
        (Some(url), Some(header)) => Some(ManagedEndpoint::AppService {
            url,
            header: Arc::new(header),
        }),
        (None, Some(_)) => {
            t.contradiction("endpoint", "is required with identity_header");
            None
        }
    }
}

fn header(t: &mut Table<'_, '_>) -> Option<Option<Secret>> {
    let header = t.secret("identity_header", "identity_header_file")?;
    // It becomes the value of a header as it is.
    let legal = |text: &str| text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_graphic());
    if header
        .as_ref()
        .is_some_and(|header| !legal(header.expose()))
    {
        let inline = t.has("identity_header");
        let name = if inline {
            "identity_header"
        } else {
            "identity_header_file"
        };
        t.problem(name, "must hold 1 to 1024 visible ASCII characters");
        return None;
    }
    Some(header)
}

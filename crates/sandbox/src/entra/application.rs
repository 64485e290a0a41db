//! The application as registered in the tenant: its secrets, certificates and federated
//! credentials. All of them change while it runs, because tests rotate them. Of secrets only
//! hashes are kept.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::assertion::{Assertion, KIND};
use super::certificate::{Certificate, Certificates};
use super::federated::{self, Federated};
use super::form::Form;
use super::{EntraError, token_forge};
use crate::options::Options;
use crate::redact::fingerprint;

/// A client secret.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Secret {
    /// `sha256:` and the hash.
    value: String,
    expired: bool,
    used: u64,
}

impl Secret {
    pub(crate) fn new(text: &str, expired: bool) -> Self {
        Self {
            value: fingerprint(text),
            expired,
            used: 0,
        }
    }
}

/// The application, and the names of its tenant.
#[derive(Debug)]
pub(crate) struct Application {
    pub(super) client: String,
    tenants: [String; 2],
    pub(crate) secrets: Vec<Secret>,
    pub(crate) certificates: Certificates,
    pub(crate) federated: Vec<Federated>,
    identity_header: String,
}

impl Application {
    pub(crate) fn new(options: &Options) -> Self {
        let guid = token_forge::tenant_id(&options.tenant).to_string();
        let mut application = Self {
            client: options.client_id.clone(),
            tenants: [options.tenant.clone(), guid],
            secrets: Vec::new(),
            certificates: Certificates::default(),
            federated: Vec::new(),
            identity_header: String::new(),
        };
        application.reset(options);
        application
    }

    /// Restores what the options say. Used assertions stay used.
    pub(crate) fn reset(&mut self, options: &Options) {
        self.secrets = vec![Secret::new(&options.client_secret, false)];
        // Invalid PEM was refused before the port was bound; an empty text has none.
        let certificates = Certificate::parse_all(&options.certificates).unwrap_or_default();
        self.certificates.set(certificates);
        self.federated.clear();
        self.set_identity_header(&options.identity_header);
    }

    pub(crate) fn set_identity_header(&mut self, header: &str) {
        self.identity_header = fingerprint(header);
    }

    pub(crate) fn identity(&self) -> Value {
        json!({"header": self.identity_header, "clientId": self.client})
    }

    pub(super) fn is_tenant(&self, name: &str) -> bool {
        let mut known = self.tenants.iter();
        known.any(|tenant| tenant.eq_ignore_ascii_case(name))
    }

    pub(super) fn is_identity_header(&self, header: &str) -> bool {
        self.identity_header == fingerprint(header)
    }

    /// Authenticates the application by its secret or assertion. `host` is where the form was
    /// sent to.
    pub(super) fn authenticate(
        &mut self,
        form: &Form,
        host: Option<&str>,
        now: Timestamp,
    ) -> Result<(), EntraError> {
        match (form.get("client_secret"), form.get("client_assertion")) {
            (Some(secret), None) => self.check_secret(secret),
            (None, Some(text)) => {
                if form.required("client_assertion_type")? != KIND {
                    return Err(EntraError::Parameter("client_assertion_type"));
                }
                self.check_assertion(text, host, now)
            }
            (None, None) => Err(EntraError::NoCredential),
            (Some(_), Some(_)) => Err(EntraError::TwoCredentials),
        }
    }

    fn check_secret(&mut self, text: &str) -> Result<(), EntraError> {
        let value = fingerprint(text);
        match self.secrets.iter_mut().find(|secret| secret.value == value) {
            None => Err(EntraError::Secret(self.client.clone())),
            Some(secret) if secret.expired => Err(EntraError::SecretExpired(self.client.clone())),
            Some(secret) => {
                secret.used += 1;
                Ok(())
            }
        }
    }

    /// The issuer tells a certificate's assertion from a federated one.
    fn check_assertion(
        &mut self,
        text: &str,
        host: Option<&str>,
        now: Timestamp,
    ) -> Result<(), EntraError> {
        let assertion = Assertion::parse(text)?;
        if ![assertion.text("iss"), assertion.text("sub")].contains(&self.client.as_str()) {
            return federated::check(&mut self.federated, &assertion, now);
        }
        let is_known_publisher = |audience: &str| is_endpoint(audience, &self.tenants, host);
        self.certificates
            .check(&assertion, &self.client, is_known_publisher, now)
    }
}

/// Whether an audience is this tenant's token endpoint, v1 or v2, on the host that received the
/// request. This finds clients that hard-code Microsoft's host.
fn is_endpoint(audience: &str, tenants: &[String; 2], host: Option<&str>) -> bool {
    let rest = audience.split_once("://").map_or("", |(_, rest)| rest);
    let parts: Vec<&str> = rest.splitn(3, '/').collect();
    let [authority, tenant, "oauth2/token" | "oauth2/v2.0/token"] = parts[..] else {
        return false;
    };
    host.is_none_or(|host| host.eq_ignore_ascii_case(authority))
        && tenants.iter().any(|ours| ours.eq_ignore_ascii_case(tenant))
}

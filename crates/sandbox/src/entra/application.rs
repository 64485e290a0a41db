//! The application as registered in the tenant: its secrets, certificates and federated
//! credentials. All of them change while it runs, because tests rotate them. Of secrets only
//! hashes are kept.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::assertion::{Assertion, KIND};
use super::certificate::{Certificate, Certificates};
use super::federated::{self, Federated};
use super::form::Form;
use super::{EntraError, token_forge};
use crate::options::Options;
use crate::text::hex;

/// A client secret.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    hash: [u8; 32],
    expired: bool,
    used: u64,
}

impl Secret {
    pub(crate) fn new(text: &str, expired: bool) -> Self {
        Self {
            hash: Sha256::digest(text).into(),
            expired,
            used: 0,
        }
    }

    fn to_json(&self) -> Value {
        let hash = format!("sha256:{}", hex(&self.hash));
        json!({"value": hash, "expired": self.expired, "used": self.used})
    }
}

/// The application, and the names of its tenant.
#[derive(Debug)]
pub(crate) struct Application {
    pub(super) client: String,
    tenants: [String; 2],
    secrets: Vec<Secret>,
    certificates: Certificates,
    federated: Vec<Federated>,
    identity_header: [u8; 32],
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
            identity_header: [0; 32],
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

    pub(crate) fn set_secrets(&mut self, secrets: Vec<Secret>) {
        self.secrets = secrets;
    }

    pub(crate) fn set_certificates(&mut self, all: Vec<Certificate>) {
        self.certificates.set(all);
    }

    pub(crate) fn add_certificates(&mut self, more: Vec<Certificate>) {
        self.certificates.add(more);
    }

    pub(crate) fn set_federated(&mut self, all: Vec<Federated>) {
        self.federated = all;
    }

    pub(crate) fn add_federated(&mut self, more: Vec<Federated>) {
        self.federated.extend(more);
    }

    pub(crate) fn set_identity_header(&mut self, header: &str) {
        self.identity_header = Sha256::digest(header).into();
    }

    pub(crate) fn secrets(&self) -> Value {
        self.secrets.iter().map(Secret::to_json).collect()
    }

    pub(crate) fn certificates(&self) -> Value {
        self.certificates.to_json()
    }

    pub(crate) fn federated(&self) -> Value {
        federated::list(&self.federated)
    }

    pub(crate) fn identity(&self) -> Value {
        let header = format!("sha256:{}", hex(&self.identity_header));
        json!({"header": header, "clientId": self.client})
    }

    pub(super) fn is_tenant(&self, name: &str) -> bool {
        let mut known = self.tenants.iter();
        known.any(|tenant| tenant.eq_ignore_ascii_case(name))
    }

    pub(super) fn is_identity_header(&self, header: &str) -> bool {
        self.identity_header == *Sha256::digest(header)
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
        let hash: [u8; 32] = Sha256::digest(text).into();
        match self.secrets.iter_mut().find(|secret| secret.hash == hash) {
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
    let Some((_, rest)) = audience.split_once("://") else {
        return false;
    };
    let Some((authority, path)) = rest.split_once('/') else {
        return false;
    };
    let Some((tenant, endpoint)) = path.split_once('/') else {
        return false;
    };
    host.is_none_or(|host| host.eq_ignore_ascii_case(authority))
        && tenants.iter().any(|ours| ours.eq_ignore_ascii_case(tenant))
        && matches!(endpoint, "oauth2/token" | "oauth2/v2.0/token")
}

//! A table under `[credentials]`: which keys are whose.

use super::super::checker::Checker;
use super::super::field::Field;
use super::super::problem::KeyPath;
use super::super::raw;

/// What `kind` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ClientSecret,
    ClientCertificate,
    WorkloadIdentity,
    ManagedIdentity,
    TokenFile,
}
use Kind::{ClientCertificate, ClientSecret, ManagedIdentity, TokenFile, WorkloadIdentity};

/// As they are written.
pub(super) const KINDS: [(&str, Kind); 5] = [
    ("client-secret", ClientSecret),
    ("client-certificate", ClientCertificate),
    ("workload-identity", WorkloadIdentity),
    ("managed-identity", ManagedIdentity),
    ("token-file", TokenFile),
];

/// Those that are an application of Entra's.
const APPLICATIONS: &[Kind] = &[ClientSecret, ClientCertificate, WorkloadIdentity];
/// Those that ask somebody who wants to know for which identity, or for what.
const ASKING: &[Kind] = &[
    ClientSecret,
    ClientCertificate,
    WorkloadIdentity,
    ManagedIdentity,
];

/// A table, while it is looked at. Its fields are taken out one by one.
pub(super) struct Entry {
    pub(super) at: KeyPath,
    /// None: that is a problem already.
    pub(super) kind: Option<Kind>,
    pub(super) raw: raw::Credential,
    /// Plain HTTP is allowed, or it cannot be told whether it is.
    pub(super) plain_http: bool,
}

impl Entry {
    pub(super) fn key(&self, name: &str) -> KeyPath {
        self.at.key(name)
    }

    /// Refuses what is of another kind: it would do nothing, and somebody meant it to.
    pub(super) fn refuse_strangers(&self, c: &mut Checker<'_>) {
        let Some(kind) = self.kind else {
            return;
        };
        for (name, owners, field) in owned(&self.raw) {
            if !owners.contains(&kind) && !matches!(field, Field::Absent) {
                c.problem(
                    &self.key(name),
                    format!("belongs to kind {}", any_of(owners)),
                );
            }
        }
    }

    /// What a key must have for this kind.
    pub(super) fn needs<T>(
        &self,
        c: &mut Checker<'_>,
        name: &str,
        found: Option<Option<T>>,
    ) -> Option<T> {
        let found = found?;
        if let (None, Some(kind)) = (&found, self.kind) {
            let or = match variable(kind, name) {
                Some(variable) => format!(", here or as {variable}"),
                None if name == "client_secret" => ", or client_secret_file".to_owned(),
                None => String::new(),
            };
            let message = format!("is required for kind {}{or}", any_of(&[kind]));
            c.problem(&self.key(name), message);
        }
        found
    }

    /// Lets the platform's variables stand in for keys that nobody wrote.
    pub(super) fn fall_back_to_variables(&mut self, c: &mut Checker<'_>) {
        let Self { at, kind, raw, .. } = self;
        for (name, field) in [
            ("authority", &mut raw.authority),
            ("tenant_id", &mut raw.tenant_id),
            ("client_id", &mut raw.client_id),
            ("assertion_file", &mut raw.assertion_file),
        ] {
            if let Some(variable) = kind.and_then(|kind| variable(kind, name)) {
                c.fall_back(&at.key(name), field, variable);
            }
        }
    }
}

/// What Azure's webhook for Kubernetes sets in every pod with a workload identity:
/// <https://azure.github.io/azure-workload-identity/docs/installation/mutating-admission-webhook.html>.
fn variable(kind: Kind, name: &str) -> Option<&'static str> {
    match (kind, name) {
        (WorkloadIdentity, "authority") => Some("AZURE_AUTHORITY_HOST"),
        (WorkloadIdentity, "tenant_id") => Some("AZURE_TENANT_ID"),
        (WorkloadIdentity, "client_id") => Some("AZURE_CLIENT_ID"),
        (WorkloadIdentity, "assertion_file") => Some("AZURE_FEDERATED_TOKEN_FILE"),
        _ => None,
    }
}

/// Every key that not all kinds have, and whose it is.
fn owned(raw: &raw::Credential) -> [(&'static str, &'static [Kind], &Field<String>); 17] {
    // Every field is named, so that a new one has to be thought about.
    let raw::Credential {
        kind: _,
        authority,
        tenant_id,
        client_id,
        client_secret,
        client_secret_file,
        client_secret_expires,
        certificate_file,
        key_file,
        assertion_algorithm,
        assertion_file,
        endpoint,
        identity_header,
        identity_header_file,
        token_file,
        endpoint_version,
        resource,
        scope,
        wait_ms: _,
    } = raw;
    [
        ("authority", APPLICATIONS, authority),
        ("tenant_id", APPLICATIONS, tenant_id),
        ("client_id", ASKING, client_id),
        ("client_secret", &[ClientSecret], client_secret),
        ("client_secret_file", &[ClientSecret], client_secret_file),
        (
            "client_secret_expires",
            &[ClientSecret],
            client_secret_expires,
        ),
        ("certificate_file", &[ClientCertificate], certificate_file),
        ("key_file", &[ClientCertificate], key_file),
        (
            "assertion_algorithm",
            &[ClientCertificate],
            assertion_algorithm,
        ),
        ("assertion_file", &[WorkloadIdentity], assertion_file),
        ("endpoint", &[ManagedIdentity], endpoint),
        ("identity_header", &[ManagedIdentity], identity_header),
        (
            "identity_header_file",
            &[ManagedIdentity],
            identity_header_file,
        ),
        ("token_file", &[TokenFile], token_file),
        ("endpoint_version", APPLICATIONS, endpoint_version),
        ("resource", ASKING, resource),
        ("scope", APPLICATIONS, scope),
    ]
}

/// Their names, as in "a, b or c".
fn any_of(kinds: &[Kind]) -> String {
    let names: Vec<&str> = KINDS
        .iter()
        .filter(|(_, kind)| kinds.contains(kind))
        .map(|(name, _)| *name)
        .collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

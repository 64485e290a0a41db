//! An application that trusts an assertion of the platform's.

use super::application;
use super::method::CredentialMethod;
use crate::settings::files::RereadContent;
use crate::settings::reader::{Table, all};

pub fn read(t: &mut Table<'_, '_>, allow_plain_http: bool) -> Option<CredentialMethod> {
    if !t.is_lenient {
        // What Azure's webhook for Kubernetes sets in every pod with a workload identity:
        // <https://azure.github.io/azure-workload-identity/docs/installation/mutating-admission-webhook.html>.
        t.fall_back("authority", "AZURE_AUTHORITY_HOST");
        t.fall_back("tenant_id", "AZURE_TENANT_ID");
        t.fall_back("client_id", "AZURE_CLIENT_ID");
        t.fall_back("assertion_file", "AZURE_FEDERATED_TOKEN_FILE");
    }
    let assertion_file = t.reread("assertion_file", RereadContent::Assertion);
    all!(CredentialMethod::WorkloadIdentity {
        application: application::read(t, allow_plain_http),
        assertion_file: t.needed("assertion_file", assertion_file),
    })
}

//! An application and the certificate whose key signs its client assertions.

use jiff::Timestamp;
use rustls::SignatureAlgorithm;

use super::application;
use super::method::{CredentialMethod, SigningCertificate};
use crate::domain::{AssertionAlgorithm, Certificate, EXPIRY_WARNING_DAYS, Validity};
use crate::settings::reader::{Table, all, one_of};
use crate::settings::{expiry, pem};

pub fn read(t: &mut Table<'_, '_>, allow_plain_http: bool) -> Option<CredentialMethod> {
    let algorithm = t.optional("assertion_algorithm", one_of(&AssertionAlgorithm::WORDS));
    all!(CredentialMethod::ClientCertificate {
        application: application::read(t, allow_plain_http),
        certificate: certificate(t),
        algorithm: algorithm.map(Option::unwrap_or_default),
    })
}

fn certificate(t: &mut Table<'_, '_>) -> Option<SigningCertificate> {
    let chain = pem::chain(t, "certificate_file");
    let chain = t.needed("certificate_file", chain);
    let chain = chain.filter(|chain| check_validity(t, &chain.leaf));
    // <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>
    let is_rsa = |algorithm| algorithm == SignatureAlgorithm::RSA;
    let accepted = "Entra requires RSA of at least 2048 bits";
    let key = pem::private_key(t, "key_file", is_rsa, accepted);
    let key = t.needed("key_file", key);
    let chain = chain?;
    Some(SigningCertificate {
        not_after: chain.leaf.not_after,
        identity: pem::identity(t, ("certificate_file", chain), ("key_file", key?))?,
    })
}

/// Whether Entra would accept the certificate: of all that is in it, Entra checks only the
/// dates, and that the certificate is registered.
fn check_validity(t: &mut Table<'_, '_>, certificate: &Certificate) -> bool {
    let validity = certificate.validity(Timestamp::now());
    let is_accepted = match validity {
        Validity::NotYetValid => false,
        // A running gateway must not refuse a reload for this: the reload may be what
        // removes a leaked API key.
        Validity::Expired => t.reading.is_reload,
        Validity::Days(_) => true,
    };
    match expiry::warning("certificate", validity, EXPIRY_WARNING_DAYS) {
        Some(message) if is_accepted => t.warn("certificate_file", message),
        Some(message) => t.problem("certificate_file", message),
        None => {}
    }
    is_accepted
}

//! An application and the certificate whose key signs its client assertions.

use jiff::Timestamp;

use super::application;
use super::method::{CredentialMethod, EXPIRY_WARNING_DAYS, SigningCertificate};
use crate::domain::{AssertionAlgorithm, Certificate, Validity};
use crate::settings::pem::{self, PrivateKeys};
use crate::settings::reader::{Table, all, one_of};

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
    let key = pem::private_key(t, "key_file", PrivateKeys::ForEntra);
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
    const EXPIRED: &str = "the certificate has expired; replace it";
    let name = "certificate_file";
    let when = match certificate.validity(Timestamp::now()) {
        // A running gateway must not refuse a reload for this: the reload may be what
        // removes a leaked API key.
        Validity::Expired if t.reading.is_reload => {
            t.warn(name, EXPIRED);
            return true;
        }
        Validity::Expired => {
            t.problem(name, EXPIRED);
            return false;
        }
        Validity::NotYetValid => {
            t.problem(name, "the certificate is not valid yet");
            return false;
        }
        Validity::Days(EXPIRY_WARNING_DAYS..) => return true,
        Validity::Days(0) => "within a day".to_owned(),
        Validity::Days(1) => "in 1 day".to_owned(),
        Validity::Days(days) => format!("in {days} days"),
    };
    t.warn(name, format!("the certificate expires {when}; replace it"));
    true
}

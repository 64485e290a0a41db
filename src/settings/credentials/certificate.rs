//! The certificate and the key with which an application signs its assertions.

use std::mem::take;

use jiff::Timestamp;

use super::super::checker::Checker;
use super::super::pem::{self, Age, Keys, Leaf};
use super::super::problem::KeyPath;
use super::application::parsed;
use super::entry::Entry;
use super::kinds::{AssertionAlgorithm, ClientCertificate};

/// A certificate that ends within as many days is worth a warning: another one has to be
/// made, and registered with the application.
const SOON: i64 = 30;

pub(super) fn certificate(c: &mut Checker<'_>, e: &mut Entry) -> Option<ClientCertificate> {
    let cert_key = e.key("certificate_file");
    let chain = pem::certificates(c, &cert_key, take(&mut e.raw.certificate_file));
    let chain = e.needs(c, "certificate_file", chain);
    let leaf = chain
        .as_ref()
        .and_then(|chain| pem::leaf(c, &cert_key, chain));
    let leaf = leaf.filter(|leaf| is_valid(c, &cert_key, leaf));
    let key_key = e.key("key_file");
    let key = pem::private_key(c, &key_key, take(&mut e.raw.key_file), Keys::ForEntra);
    let key = e.needs(c, "key_file", key);
    let (chain, leaf) = (chain?, leaf?);
    Some(ClientCertificate {
        identity: pem::identity(c, (&cert_key, chain, &leaf), (&key_key, key?))?,
        not_after: leaf.not_after,
    })
}

/// Whether Entra would take it: it looks at the dates, and at nothing else of the
/// certificate but that it is registered.
fn is_valid(c: &mut Checker<'_>, key: &KeyPath, leaf: &Leaf) -> bool {
    let soon = match leaf.age(Timestamp::now()) {
        // A running gateway that refused everything for this could not even have a
        // leaked key taken away.
        Age::Over if c.running => {
            c.warning(
                key,
                "the certificate has expired; put a new one in its place",
            );
            return true;
        }
        Age::Over => {
            c.problem(
                key,
                "the certificate has expired; put a new one in its place",
            );
            return false;
        }
        Age::NotYet => {
            c.problem(key, "the certificate is not valid yet");
            return false;
        }
        Age::Left(SOON..) => return true,
        Age::Left(0) => "within a day".to_owned(),
        Age::Left(1) => "in 1 day".to_owned(),
        Age::Left(days) => format!("in {days} days"),
    };
    c.warning(key, format!("the certificate expires {soon}"));
    true
}

pub(super) fn algorithm(c: &mut Checker<'_>, e: &mut Entry) -> Option<AssertionAlgorithm> {
    let key = e.key("assertion_algorithm");
    let field = &mut e.raw.assertion_algorithm;
    let algorithm = parsed(c, &key, field, |word| match word {
        "PS256" => Ok(AssertionAlgorithm::Ps256),
        "RS256" => Ok(AssertionAlgorithm::Rs256),
        _ => Err("must be PS256 or RS256"),
    })?;
    Some(algorithm.unwrap_or(AssertionAlgorithm::Ps256))
}

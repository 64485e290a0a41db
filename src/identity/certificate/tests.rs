//! Certificates made for each test, and the callers that they name.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType,
};

use super::*;
use crate::domain::CallerName;

/// A CA that signs every request.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().into();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    fn trusted(&self) -> Arc<ClientCa> {
        Arc::new(ClientCa::new(std::slice::from_ref(&self.certificate)).unwrap())
    }

    fn sign(&self, names: &[SanType]) -> PeerCertificate {
        self.sign_with(names, |_| ())
    }

    fn sign_with(
        &self,
        names: &[SanType],
        change: impl FnOnce(&mut CertificateParams),
    ) -> PeerCertificate {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "pipeline.internal");
        params.subject_alt_names = names.to_vec();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        PeerCertificate::new(&[params.signed_by(&key, &self.issuer).unwrap().into()])
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn caller(name: &str) -> Arc<Caller> {
    Arc::new(Caller {
        name: CallerName::parse(name).unwrap(),
        default_publisher: None,
    })
}

const SPIFFE: &str = "spiffe://prod.example/ns/ci/sa/pipeline";

/// `pipeline` has two names, `reader` one.
fn known_under(ca: Option<Arc<ClientCa>>) -> ClientCertificates {
    let names = |texts: &[&str]| texts.iter().map(|t| San::parse(t).unwrap()).collect();
    let callers = [
        (caller("pipeline"), names(&["pipeline.internal", SPIFFE])),
        (caller("reader"), names(&["reader.internal"])),
    ];
    ClientCertificates::new(ca, callers).unwrap()
}

/// The caller's name and the certificate's, or why not.
fn named(
    known: &ClientCertificates,
    certificate: &PeerCertificate,
) -> Result<(String, String), AuthenticationError> {
    let found = known.authenticate(certificate)?;
    let label = found.credential_label.strip_prefix("certificate ");
    Ok((found.caller.name.to_string(), label.unwrap().to_owned()))
}

#[track_caller]
fn assert_names_no_caller(known: &ClientCertificates, certificate: &PeerCertificate) {
    let refused = known.authenticate(certificate).unwrap_err();
    assert_eq!(refused, no_caller(certificate.names(), NO_CALLER));
}

#[test]
fn a_dns_name_or_a_uri_names_the_caller() {
    let ca = Ca::new("ours");
    let known = known_under(Some(ca.trusted()));
    for (san, name) in [
        (dns("pipeline.internal"), "pipeline.internal"),
        (dns("PIPELINE.Internal"), "pipeline.internal"),
        (uri(SPIFFE), SPIFFE),
    ] {
        let found = named(&known, &ca.sign(&[dns("unknown.internal"), san])).unwrap();
        assert_eq!(found, ("pipeline".to_owned(), name.to_owned()));
    }
    let both = ca.sign(&[dns("pipeline.internal"), uri(SPIFFE)]);
    assert_eq!(named(&known, &both).unwrap().0, "pipeline");
}

#[test]
fn other_names_do_not_identify_a_caller() {
    let ca = Ca::new("ours");
    let known = known_under(Some(ca.trusted()));
    for names in [
        // Only the common name says pipeline.internal.
        vec![],
        vec![dns("unknown.internal")],
        vec![dns("*.internal")],
        vec![dns("pipeline.internal.example")],
        vec![uri("spiffe://prod.example/ns/ci/sa/Pipeline")],
        // A name of one kind where the other kind is configured.
        vec![uri("pipeline.internal")],
        vec![dns(SPIFFE)],
        vec![SanType::Rfc822Name("pipeline.internal".try_into().unwrap())],
        vec![SanType::IpAddress([127, 0, 0, 1].into())],
    ] {
        assert_names_no_caller(&known, &ca.sign(&names));
    }
    assert!(ca.sign(&[dns("*.internal")]).names().is_empty());
}

#[test]
fn a_certificate_of_two_callers_names_none() {
    let ca = Ca::new("ours");
    let known = known_under(Some(ca.trusted()));
    let certificate = ca.sign(&[
        uri(SPIFFE),
        dns("pipeline.internal"),
        dns("reader.internal"),
    ]);
    let several = no_caller(certificate.names(), SEVERAL_CALLERS);
    assert_eq!(known.authenticate(&certificate), Err(several));
}

#[test]
fn only_our_ca_and_only_for_clients_is_trusted() {
    let ca = Ca::new("ours");
    let known = known_under(Some(ca.trusted()));
    let name = [dns("pipeline.internal")];
    let for_servers = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    let with_unknown_demand = |params: &mut CertificateParams| {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    };
    // The same subject does not make the same CA.
    for certificate in [
        Ca::new("ours").sign(&name),
        Ca::new("another").sign(&name),
        ca.sign_with(&name, for_servers),
        ca.sign_with(&name, with_unknown_demand),
        PeerCertificate::new(&[]),
        PeerCertificate::new(&[CertificateDer::from(&b"nonsense"[..])]),
    ] {
        let refused = known.authenticate(&certificate);
        assert_eq!(refused, Err(UNTRUSTED));
    }
    let without_ca = known_under(None).authenticate(&ca.sign(&name));
    assert_eq!(without_ca, Err(UNTRUSTED));
}

#[test]
fn an_expired_certificate_is_not_trusted() {
    let ca = Ca::new("ours");
    let known = known_under(Some(ca.trusted()));
    let name = [dns("pipeline.internal")];
    let expired = ca.sign_with(&name, |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let not_yet = ca.sign_with(&name, |params| {
        params.not_before = rcgen::date_time_ymd(4000, 1, 1);
    });
    for certificate in [expired, not_yet] {
        let refused = known.authenticate(&certificate);
        assert_eq!(refused, Err(UNTRUSTED));
    }
}

#[test]
fn a_chain_is_verified_again_after_five_minutes() {
    let ca = Ca::new("ours");
    let known = known_under(Some(ca.trusted()));
    let end = rcgen::date_time_ymd(2030, 1, 1);
    let certificate = ca.sign_with(&[dns("pipeline.internal")], |params| {
        params.not_after = end;
    });
    let end = u64::try_from(end.unix_timestamp()).unwrap();
    let at = |seconds: u64| {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        known.authenticate_at(&certificate, now).map(drop)
    };
    let refused = Err(UNTRUSTED);
    assert_eq!(at(end - 10), Ok(()));
    assert_eq!(at(end + 290), Ok(()), "verified too often");
    assert_eq!(at(end + 291), refused);
    assert_eq!(at(end + 1), refused);
    assert_eq!(at(end - 10), Ok(()));
    // A clock that went back.
    assert_eq!(at(end - 11), Ok(()));
}

#[test]
fn another_ca_verifies_again() {
    let (ours, theirs) = (Ca::new("ours"), Ca::new("theirs"));
    let certificate = ours.sign(&[dns("pipeline.internal")]);
    let before = known_under(Some(ours.trusted()));
    assert!(before.authenticate(&certificate).is_ok());
    // A reload that takes the CA away, and one that brings it back.
    let without = known_under(Some(theirs.trusted()));
    let refused = without.authenticate(&certificate);
    assert_eq!(refused, Err(UNTRUSTED));
    let both = [ours.certificate.clone(), theirs.certificate];
    let again = known_under(Some(Arc::new(ClientCa::new(&both).unwrap())));
    assert!(again.authenticate(&certificate).is_ok());
}

#[test]
fn two_callers_cannot_share_a_name() {
    let name = || vec![San::parse("shared.internal").unwrap()];
    let two = [(caller("a"), name()), (caller("b"), name())];
    assert_eq!(ClientCertificates::new(None, two).err(), Some(DuplicateSan));
    let twice = [(caller("a"), [name(), name()].concat())];
    assert!(ClientCertificates::new(None, twice).is_ok());
}

#[test]
fn a_ca_needs_certificates() {
    assert!(matches!(ClientCa::new(&[]), Err(InvalidCa::Verifier(_))));
    let nonsense = [CertificateDer::from(&b"nonsense"[..])];
    let refused = ClientCa::new(&nonsense);
    assert!(matches!(refused, Err(InvalidCa::Certificate(_))));
}

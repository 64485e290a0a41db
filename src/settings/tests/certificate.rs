//! Certificates that sign assertions: which files are taken, and what is said of the
//! others. What any PEM file may get wrong is told in `tls`.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};

use super::*;
use crate::domain::AssertionAlgorithm;

static KEY: LazyLock<KeyPair> = LazyLock::new(rsa);

fn rsa() -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
}

fn days(number: u64) -> Duration {
    Duration::from_secs(number * 24 * 60 * 60)
}

/// A certificate of `KEY`, as PEM.
fn valid(from: SystemTime, until: SystemTime) -> String {
    let mut params = CertificateParams::new([]).unwrap();
    (params.not_before, params.not_after) = (from.into(), until.into());
    params.self_signed(&*KEY).unwrap().pem()
}

fn fresh() -> String {
    valid(SystemTime::now() - days(1), SystemTime::now() + days(90))
}

const TABLE: &str = "kind = \"client-certificate\"\ntenant_id = \"t\"\nclient_id = \"c\"\n\
                     certificate_file = \"cert\"\nkey_file = \"key\"\n";

fn scene(cert: &str, key: &str) -> Fixture {
    let scene = Fixture::of(TABLE).file("cert", cert).file("key", key);
    protect(&scene.path("key"), 0o600);
    scene
}

fn problems(cert: &str, key: &str) -> String {
    scene(cert, key).problems_of_credential()
}

#[test]
fn a_certificate_and_its_key_are_read() {
    let now = SystemTime::now();
    let scene = scene(&fresh(), &KEY.serialize_pem());
    assert_eq!(scene.warnings(), [""; 0]);
    let CredentialMethod::ClientCertificate {
        application,
        certificate,
        algorithm,
    } = scene.method()
    else {
        panic!("another kind");
    };
    assert_eq!(application.client_id, "c");
    assert_eq!(algorithm, AssertionAlgorithm::Ps256);
    assert_eq!(certificate.identity.cert.len(), 1);
    assert!(certificate.identity.keys_match().is_ok());
    let end = Timestamp::try_from(now + days(90)).unwrap();
    assert!((certificate.not_after.as_second() - end.as_second()).abs() < 60);
}

#[test]
fn both_may_be_in_one_file_and_of_any_form() {
    for both in [
        include_str!("pem/pkcs1.pem"),
        include_str!("pem/version1.pem"),
        &format!("{}{}{}", KEY.serialize_pem(), fresh(), fresh()),
    ] {
        assert_eq!(scene(both, both).warnings(), [""; 0]);
    }
}

#[test]
fn text_around_the_pem_may_be_anything() {
    let (key, cert) = (KEY.serialize_pem(), fresh());
    let bag = b"Bag Attributes\r\n    friendlyName: Schl\xfcssel \xff\xfe\0 \x1b\n";
    let around = |pem: &str| [&bag[..], pem.as_bytes(), b"\n\xc3\x28 the end"].concat();
    let marked = |pem: &str| [b"\xef\xbb\xbf", pem.as_bytes()].concat();
    for (cert, key) in [
        (around(&cert), around(&key)),
        (marked(&cert), marked(&key)),
        (
            cert.replace('\n', "\r\n").into(),
            key.replace('\n', "\r\n").into(),
        ),
    ] {
        let scene = Fixture::of(TABLE).file("cert", cert).file("key", key);
        assert_eq!(scene.warnings(), [""; 0]);
    }
}

#[test]
fn an_assertion_is_signed_in_one_of_two_ways() {
    for (word, expected) in [
        ("PS256", AssertionAlgorithm::Ps256),
        ("RS256", AssertionAlgorithm::Rs256),
    ] {
        let scene = scene(&fresh(), &KEY.serialize_pem());
        let text = format!("{TABLE}assertion_algorithm = \"{word}\"\n");
        let scene = scene.file("t.toml", good_with(&text));
        assert!(
            matches!(scene.method(), CredentialMethod::ClientCertificate { algorithm, .. }
                if algorithm == expected)
        );
    }
    for bad in ["", "none", "HS256", "ps256"] {
        let scene = scene(&fresh(), &KEY.serialize_pem());
        let text = format!("{TABLE}assertion_algorithm = \"{bad}\"\n");
        assert_eq!(
            scene
                .file("t.toml", good_with(&text))
                .problems_of_credential(),
            "assertion_algorithm: must be one of PS256, RS256"
        );
    }
}

#[test]
fn a_key_must_be_one_that_entra_takes_and_fit() {
    let unusable = "key_file: names a file with an unsupported private key: Entra requires RSA of \
                    at least 2048 bits";
    for both in [
        include_str!("pem/rsa1024.pem"),
        include_str!("pem/sec1.pem"),
    ] {
        assert_eq!(problems(both, both), unusable);
    }
    assert_eq!(
        problems(&fresh(), &rsa().serialize_pem()),
        "key_file: does not belong to the first certificate of certificate_file"
    );
    assert_eq!(
        problems("", ""),
        "certificate_file: names a file without a certificate; PEM is expected\n\
         key_file: names an empty file"
    );
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(
        problems(nonsense, &KEY.serialize_pem()),
        "certificate_file: names a file whose first certificate is unreadable"
    );
}

#[test]
fn a_certificate_outside_its_time_is_refused() {
    let now = SystemTime::now();
    let expired = "certificate_file: the certificate has expired; replace it";
    let early = "certificate_file: the certificate is not valid yet";
    for (from, until, expected) in [
        (now - days(9), now - days(1), expired),
        (now - days(9), now - Duration::from_secs(2), expired),
        (now + days(1), now + days(90), early),
    ] {
        assert_eq!(
            problems(&valid(from, until), &KEY.serialize_pem()),
            expected
        );
        // The key's own problem is not hidden by it.
        let both = problems(&valid(from, until), "");
        assert_eq!(both, format!("{expected}\nkey_file: names an empty file"));
    }
}

#[test]
fn a_certificate_in_its_last_days_is_worth_a_warning() {
    let now = SystemTime::now();
    let hour = Duration::from_secs(60 * 60);
    for (left, expected) in [
        (hour, "within a day"),
        (days(1) + hour, "in 1 day"),
        (days(2) + hour, "in 2 days"),
        (days(29) + hour, "in 29 days"),
        (days(30) + hour, ""),
    ] {
        let scene = scene(&valid(now - days(9), now + left), &KEY.serialize_pem());
        let expected = match expected {
            "" => String::new(),
            when => format!("certificate_file: the certificate expires {when}; replace it"),
        };
        assert_eq!(scene.warnings_of_credential(), expected);
    }
}

#[test]
fn a_certificate_may_last_for_ever() {
    let mut params = CertificateParams::new([]).unwrap();
    params.not_after = rcgen::date_time_ymd(9999, 12, 31);
    let cert = params.self_signed(&*KEY).unwrap().pem();
    let CredentialMethod::ClientCertificate { certificate, .. } =
        scene(&cert, &KEY.serialize_pem()).method()
    else {
        panic!("another kind");
    };
    assert_eq!(certificate.not_after, Timestamp::MAX);
}

#[cfg(unix)]
#[test]
fn a_key_that_everyone_can_read_is_worth_a_warning() {
    let scene = scene(&fresh(), &KEY.serialize_pem());
    protect(&scene.path("key"), 0o644);
    assert_eq!(
        scene.warnings_of_credential(),
        "key_file: names a file that every user can read; restrict it to the gateway's user (chmod 600)"
    );
}

#[test]
fn a_certificate_prints_its_end_only() {
    let printed = format!("{:?}", scene(&fresh(), &KEY.serialize_pem()).method());
    let (_, certificate) = printed.split_once("certificate: ").unwrap();
    assert!(
        certificate.starts_with("SigningCertificate { not_after: 2"),
        "{printed}"
    );
    assert!(
        certificate.contains(", .. }, algorithm: Ps256"),
        "{printed}"
    );
}

//! TLS on the public listener: which files are taken, and what is said of the others.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};

use super::*;

/// A certificate and its key, both as PEM.
struct Pair {
    cert: String,
    key: String,
}

fn pair_valid(from: SystemTime, until: SystemTime) -> Pair {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["gate.example".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (from.into(), until.into());
    Pair {
        cert: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

fn days(number: u64) -> Duration {
    Duration::from_secs(number * 24 * 60 * 60)
}

fn fresh() -> Pair {
    pair_valid(SystemTime::now() - days(1), SystemTime::now() + days(30))
}

static A: LazyLock<Pair> = LazyLock::new(fresh);
static B: LazyLock<Pair> = LazyLock::new(fresh);

/// The named files under `[server.tls]`, over a good configuration.
fn scene(cert: &str, key: &str, client_ca: Option<&str>) -> Fixture {
    let mut text = "[server.tls]\ncert_file = \"cert\"\nkey_file = \"key\"\n".to_owned();
    if client_ca.is_some() {
        text.push_str("client_ca_file = \"ca\"\n");
    }
    let scene = Fixture::over_good(&text)
        .file("cert", cert)
        .file("key", key)
        .file("ca", client_ca.unwrap_or_default());
    protect(&scene.path("key"), 0o600);
    scene
}

/// What is wrong with the files, the common beginning left out.
fn problems(cert: &str, key: &str, client_ca: Option<&str>) -> String {
    let problems = scene(cert, key, client_ca).problems().join("\n");
    problems.replace("t.toml: server.tls.", "")
}

#[test]
fn without_the_table_there_is_no_tls() {
    assert!(Fixture::over_good("").load().settings.server.tls.is_none());
    let both = "t.toml: server.tls.cert_file: is required\n\
                t.toml: server.tls.key_file: is required";
    for text in ["[server.tls]", "[server.tls]\nclient_ca_file = \"ca\""] {
        let scene = Fixture::over_good(text).file("ca", &A.cert);
        assert_eq!(scene.problems().join("\n"), both);
    }
    let scene = Fixture::over_good("[server]\ntls = true");
    assert_eq!(
        scene.problems(),
        ["t.toml: server.tls: must be a table, not true or false"]
    );
}

#[test]
fn a_chain_its_key_and_authorities_are_read() {
    let chain = format!("text around it\n{}\n{}", A.cert, B.cert);
    let scene = scene(&chain, &A.key, Some(&format!("{}{}", B.cert, A.cert)));
    let loaded = scene.load();
    assert_eq!(loaded.warnings, []);
    let tls = loaded.settings.server.tls.unwrap();
    assert_eq!(tls.identity.cert.len(), 2);
    assert!(tls.identity.keys_match().is_ok());
    assert_eq!(tls.client_ca.unwrap().len(), 2);
    let tls = super::tls::scene(&A.cert, &A.key, None).load();
    assert!(tls.settings.server.tls.unwrap().client_ca.is_none());
}

#[test]
fn every_usual_kind_of_private_key_is_read() {
    for both in [
        include_str!("pem/pkcs1.pem"),
        include_str!("pem/sec1.pem"),
        &format!("{}{}", A.key, A.cert),
    ] {
        let loaded = scene(both, both, None).load();
        assert_eq!(loaded.warnings, []);
        assert!(loaded.settings.server.tls.is_some());
    }
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let no_cert = "names a file without a certificate; PEM is expected";
    let broken = "names a file that is not valid PEM";
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = &A.cert[..A.cert.len() / 2];
    for (cert, expected) in [
        ("", no_cert),
        ("hello", no_cert),
        (A.key.as_str(), no_cert),
        (cut, broken),
        (&A.cert.replacen('M', "!", 1), broken),
        (
            nonsense,
            "names a file whose first certificate is unreadable",
        ),
        (
            &"a\n".repeat(600_000),
            "names a file that is longer than 1048576 bytes",
        ),
    ] {
        assert_eq!(
            problems(cert, &A.key, None),
            format!("cert_file: {expected}")
        );
    }
    for (ca, expected) in [
        (String::new(), no_cert),
        (cut.to_owned(), broken),
        (
            format!("{}{nonsense}{}", A.cert, B.cert),
            "names a file whose certificate number 2 is unreadable",
        ),
    ] {
        let problems = problems(&A.cert, &A.key, Some(&ca));
        assert_eq!(problems, format!("client_ca_file: {expected}"));
    }
}

#[test]
fn a_private_key_must_be_one_and_fit() {
    let no_key = "names a file without a private key; PEM is expected: PKCS#8, PKCS#1 or \
                  SEC1, not encrypted";
    let unusable = "names a file with an unsupported private key: it must be RSA of at \
                    least 2048 bits, ECDSA on P-256, P-384 or P-521, or Ed25519";
    let renamed = A.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (key, expected) in [
        ("", "names an empty file"),
        ("hello", no_key),
        (A.cert.as_str(), no_key),
        (&renamed, no_key),
        (&A.key[..A.key.len() / 2], no_key),
        (nonsense, unusable),
        (
            B.key.as_str(),
            "does not belong to the first certificate of server.tls.cert_file",
        ),
        (
            &"a\n".repeat(40_000),
            "names a file that is longer than 65536 bytes",
        ),
    ] {
        assert_eq!(
            problems(&A.cert, key, None),
            format!("key_file: {expected}")
        );
    }
    // The server's own certificate must come first.
    let chain = format!("{}{}", B.cert, A.cert);
    assert!(problems(&chain, &A.key, None).starts_with("key_file: does not belong"));
}

#[test]
fn all_that_is_wrong_with_the_files_is_said_at_once() {
    let missing = "names a file that cannot be read: No such file or directory (os error 2)";
    let text = "[server.tls]\ncert_file = \"\"\nkey_file = \"nowhere\"\nclient_ca_file = \".\"";
    assert_eq!(
        Fixture::over_good(text).problems(),
        [
            "t.toml: server.tls.cert_file: must not be empty",
            "t.toml: server.tls.client_ca_file: names a directory, not a file",
            &format!("t.toml: server.tls.key_file: {missing}"),
        ]
    );
}

#[test]
fn a_certificate_at_the_end_of_its_time_is_worth_a_warning() {
    let now = SystemTime::now();
    let table = [
        (
            pair_valid(now - days(9), now - days(1)),
            "the certificate has expired; replace it",
        ),
        (
            pair_valid(now - days(9), now + days(6) + Duration::from_secs(60)),
            "the certificate expires in 6 days; replace it",
        ),
        (
            pair_valid(now + days(1), now + days(30)),
            "the certificate is not valid yet",
        ),
    ];
    for (pair, expected) in table {
        assert_eq!(
            scene(&pair.cert, &pair.key, None).warnings(),
            [format!("t.toml: server.tls.cert_file: {expected}")]
        );
    }
    let enough = pair_valid(now - days(9), now + days(8));
    assert_eq!(scene(&enough.cert, &enough.key, None).warnings(), [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_private_key_that_everyone_can_read_is_worth_a_warning() {
    let scene = scene(&A.cert, &A.key, None);
    protect(&scene.path("key"), 0o644);
    assert_eq!(
        scene.warnings(),
        [
            "t.toml: server.tls.key_file: names a file that every user can read; restrict it to the gateway's user (chmod 600)"
        ]
    );
}

#[test]
fn plain_http_for_callers_does_not_go_with_tls() {
    for (url, expected) in [
        ("https://gate.example", 0),
        ("http://127.0.0.1:8080", 1),
        ("http://gate.example", 2),
    ] {
        let variable = "OFFERGATE_SERVER__PUBLIC_URL";
        let warnings = scene(&A.cert, &A.key, None)
            .variable(variable, url)
            .warnings();
        assert_eq!(warnings.len(), expected, "{warnings:?}");
        let about_tls = "server.public_url: is http:// while server.tls is on";
        let said = warnings.iter().any(|line| line.contains(about_tls));
        assert_eq!(said, expected > 0, "{warnings:?}");
    }
}

#[test]
fn the_environment_can_turn_it_on() {
    let scene = Fixture::over_good("")
        .file("cert", &A.cert)
        .file("key", &A.key);
    protect(&scene.path("key"), 0o600);
    let (cert, key) = (scene.path("cert"), scene.path("key"));
    let scene = scene
        .variable("OFFERGATE_SERVER__TLS__CERT_FILE", cert.to_str().unwrap())
        .variable("OFFERGATE_SERVER__TLS__KEY_FILE", key.to_str().unwrap());
    assert!(scene.load().settings.server.tls.is_some());
}

#[test]
fn a_private_key_does_not_print() {
    let settings = format!("{:?}", scene(&A.cert, &A.key, None).load());
    assert!(settings.contains("tls: Some(TlsSettings)"), "{settings}");
}

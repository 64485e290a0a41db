//! Secrets: from a key, from a file, from the environment, from one of them only.

use std::fs;

use super::*;

const VARIABLE: &str = "OFFERGATE_CREDENTIALS__CONTOSO__CLIENT_SECRET";

/// `GOOD` with its secret in the file `secret`.
fn in_file(content: impl AsRef<[u8]>) -> Fixture {
    let scene = Fixture::empty()
        .file(
            "base.toml",
            GOOD.replace(
                "client_secret = \"hush\"",
                "client_secret_file = \"secret\"",
            ),
        )
        .file("secret", content);
    protect(&scene.path("secret"), 0o600);
    scene
}

#[test]
fn one_newline_at_the_end_of_a_file_is_dropped() {
    for (content, expected) in [
        ("s3cret", "s3cret"),
        ("s3cret\n", "s3cret"),
        ("s3cret\r\n", "s3cret"),
        ("s3cret\n\n", "s3cret\n"),
        ("s3cret\r", "s3cret\r"),
        (" s3cret ", " s3cret "),
        ("\ns3cret", "\ns3cret"),
    ] {
        let scene = in_file(content);
        assert_eq!(scene.client_secret(), expected);
        assert_eq!(scene.warnings(), [""; 0]);
    }
}

#[test]
fn a_file_without_a_secret_is_refused() {
    let key = "base.toml: credentials.contoso.client_secret_file:";
    for (content, reason) in [
        (&b""[..], "names an empty file"),
        (b"\n", "names an empty file"),
        (b"\r\n", "names an empty file"),
        (b"\xff", "names a file that is not UTF-8 text"),
        (
            &[b'a'; 70_000],
            "names a file that is longer than 65536 bytes",
        ),
    ] {
        assert_eq!(in_file(content).problems(), [format!("{key} {reason}")]);
    }
    let missing = in_file("");
    fs::remove_file(missing.path("secret")).unwrap();
    assert_eq!(
        missing.problems(),
        [format!(
            "{key} names a file that cannot be read: No such file or directory (os error 2)"
        )]
    );
    fs::create_dir(missing.path("secret")).unwrap();
    assert_eq!(
        missing.problems(),
        [format!("{key} names a directory, not a file")]
    );
}

#[test]
fn an_empty_secret_is_refused_wherever_it_comes_from() {
    assert_eq!(
        Fixture::over_good("[credentials.contoso]\nclient_secret = \"\"").problems(),
        ["t.toml: credentials.contoso.client_secret: must not be empty"]
    );
    assert_eq!(
        Fixture::over_good("").variable(VARIABLE, "").problems(),
        [format!(
            "{VARIABLE}: credentials.contoso.client_secret: must not be empty"
        )]
    );
}

#[test]
fn two_secrets_are_one_too_many_even_from_two_places() {
    let both = "client_secret is set too";
    let scene = in_file("s3cret").variable(VARIABLE, "other");
    assert_eq!(
        scene.problems(),
        [format!(
            "base.toml: credentials.contoso.client_secret_file: credentials.contoso.{both} \
             ({VARIABLE}); remove one of them"
        )]
    );
    let scene = Fixture::over_good("").variable(&format!("{VARIABLE}_FILE"), "secret");
    let problems = scene.problems().join("\n");
    assert!(
        problems.starts_with(&format!("{VARIABLE}_FILE: ")),
        "{problems}"
    );
    assert!(problems.contains(both), "{problems}");
    let scene = Fixture::over_good("[credentials.contoso]\nclient_secret_file = \"\"");
    assert!(scene.problems().join("\n").contains(both));
}

#[test]
fn no_secret_is_one_too_few() {
    let scene = Fixture::empty().file("t.toml", GOOD.replace("client_secret = \"hush\"", ""));
    assert_eq!(
        scene.problems(),
        [
            "t.toml: credentials.contoso.client_secret: is required for kind client-secret, or \
         client_secret_file"
        ]
    );
    assert_eq!(scene.variable(VARIABLE, "s").client_secret(), "s");
}

#[cfg(unix)]
#[test]
fn a_secret_that_everyone_can_read_is_worth_a_warning() {
    let scene = in_file("s3cret");
    protect(&scene.path("secret"), 0o644);
    assert_eq!(
        scene.warnings(),
        [
            "base.toml: credentials.contoso.client_secret_file: names a file that every user can read; restrict it to the gateway's user (chmod 600)"
        ]
    );
}

#[test]
fn a_path_from_the_environment_starts_at_the_working_directory() {
    let text = GOOD.replace("client_secret = \"hush\"", "");
    let variable = format!("{VARIABLE}_FILE");
    let scene = in_file("s3cret")
        .file("base.toml", text)
        .variable(&variable, "secret");
    assert_eq!(scene.problems().len(), 1);
    let absolute = scene.path("secret");
    let scene = scene.variable(&variable, absolute.to_str().unwrap());
    assert_eq!(scene.client_secret(), "s3cret");
}

#[test]
fn settings_can_be_printed() {
    let settings = format!("{:?}", in_file("s3cret-5f2a").load());
    assert!(settings.contains("[secret]"));
    assert!(!settings.contains("s3cret-5f2a"));
}

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
    for content in ["s3cret", "s3cret\n", "s3cret\r\n"] {
        let scene = in_file(content);
        assert_eq!(scene.client_secret(), "s3cret");
        assert_eq!(scene.warnings(), [""; 0]);
    }
}

#[test]
fn what_came_into_a_secret_by_accident_is_refused() {
    let key = "client_secret_file: names a file that";
    let control = "contains a control character, such as a tab or another line break than one at \
                   the end of a file; write the secret alone, on one line";
    let mark = "begins with a byte order mark; write UTF-8 without one";
    let utf16 = "is UTF-16 text; write UTF-8 without a byte order mark";
    for (content, fault) in [
        (&b"\xef\xbb\xbfs3cret\n"[..], mark),
        (b"\xef\xbb\xbf", mark),
        (b"\xff\xfes\x003\x00", utf16),
        (b"\xfe\xff\x00s", utf16),
        (b"s3cret\n\n", control),
        (b"s3cret\r", control),
        (b"s3cret\n\r\n", control),
        (b"\ns3cret", control),
        (b"s3cret\t\n", control),
        (b"s3\0cret", control),
        (b"s3cret\x1b[0m", control),
        (b"one\ntwo\n", control),
    ] {
        assert_eq!(
            in_file(content).problems_of_credential(),
            format!("base.toml: {key} {fault}")
        );
    }
    // So in the other places, where a script has put a line break after it.
    let variable = Fixture::of(&CLIENT_SECRET.replace("client_secret = \"hush\"\n", ""));
    let variable = variable.variable(VARIABLE, "s3cret\n");
    assert_eq!(
        variable.problems_of_credential(),
        format!("{VARIABLE}: client_secret: {control}")
    );
    let inline = Fixture::of(&CLIENT_SECRET.replace("hush", "\u{feff}hush"));
    assert_eq!(
        inline.problems_of_credential(),
        format!("client_secret: {mark}")
    );
}

#[test]
fn a_client_secret_is_printable_ascii() {
    let must = "must consist of printable ASCII characters (RFC 6749 appendix A.2); copy the \
                secret's value again";
    for secret in [
        "s3cr\u{e9}t",
        "s3cret\u{a0}",
        "s3\u{200b}cret",
        "\u{201c}s3cret\u{201d}",
    ] {
        let scene = in_file(secret);
        let problems = scene.problems_of_credential();
        assert_eq!(problems, format!("base.toml: client_secret_file: {must}"));
        let inline = Fixture::of(&CLIENT_SECRET.replace("hush", secret));
        assert_eq!(
            inline.problems_of_credential(),
            format!("client_secret: {must}")
        );
    }
    let all: String = ('!'..='~').collect();
    assert_eq!(in_file(&all).client_secret(), all);
}

#[test]
fn blanks_around_a_secret_are_kept_and_worth_a_warning() {
    let blank = "begins or ends with a blank, which is part of the secret as it is written; \
                 remove it if that is not meant";
    for content in [" s3cret", "s3cret ", " s3cret  \n"] {
        let scene = in_file(content);
        assert_eq!(scene.client_secret(), content.trim_end_matches('\n'));
        let warnings = scene.warnings_of_credential();
        let place = "base.toml: client_secret_file: names a file whose content";
        assert_eq!(warnings, format!("{place} {blank}"));
    }
    assert_eq!(in_file("two words").warnings(), [""; 0]);
    let inline = Fixture::of(&CLIENT_SECRET.replace("hush", "hush "));
    assert_eq!(
        inline.warnings_of_credential(),
        format!("client_secret: {blank}")
    );
}

#[test]
fn a_file_without_a_secret_is_refused() {
    let key = "base.toml: credentials.contoso.client_secret_file:";
    for (content, reason) in [
        (&b""[..], "names an empty file"),
        (b"\n", "names an empty file"),
        (b"\r\n", "names an empty file"),
        (b"  \n", "names an empty file"),
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
fn a_variable_must_not_hide_another_secret() {
    let both = "client_secret is set too";
    for scene in [
        Fixture::over_good(""),
        Fixture::of(CLIENT_SECRET),
        // What the variable holds is not compared.
        Fixture::over_good("").variable("OFFERGATE_SERVER__WORKERS", "2"),
    ] {
        let file = if scene.path("base.toml").exists() {
            "base.toml"
        } else {
            "t.toml"
        };
        let scene = scene.variable(VARIABLE, "hush");
        assert_eq!(
            scene.problems_of_credential(),
            format!("{VARIABLE}: client_secret: {both} ({file}); remove one of them")
        );
    }
    // A profile may replace what it is laid over, and a variable other keys.
    let profile = Fixture::over_good("[credentials.contoso]\nclient_secret = \"other\"");
    assert_eq!(profile.client_secret(), "other");
    let other = profile.variable("OFFERGATE_CREDENTIALS__CONTOSO__CLIENT_ID", "another");
    assert_eq!(other.application().client_id, "another");
}

#[cfg(unix)]
#[test]
fn a_secret_in_a_file_that_everyone_can_read_is_worth_a_warning() {
    let readable = "is a secret in a file that every user can read; restrict the file to the \
                    gateway's user (chmod 600), or use client_secret_file";
    let scene = Fixture::over_good("");
    assert_eq!(scene.warnings(), [""; 0]);
    protect(&scene.path("base.toml"), 0o644);
    let place = "base.toml: credentials.contoso.client_secret:";
    assert_eq!(scene.warnings(), [format!("{place} {readable}")]);
    // Another file's mode says nothing about it, nor does one whose secret is replaced.
    let profile = Fixture::of(CLIENT_SECRET).file("base.toml", "");
    protect(&profile.path("base.toml"), 0o644);
    assert_eq!(profile.warnings(), [""; 0]);
    let elsewhere = in_file("s3cret");
    protect(&elsewhere.path("base.toml"), 0o644);
    assert_eq!(elsewhere.warnings(), [""; 0]);
}

#[cfg(unix)]
#[test]
fn the_address_of_a_proxy_is_a_secret_only_with_a_password() {
    let variable = "OFFERGATE_OUTBOUND__PROXY_URL";
    for (url, is_secret) in [("http://p:1", false), ("http://me:hush@p:1", true)] {
        let text = format!("[outbound]\nproxy_url = \"{url}\"");
        let scene = Fixture::over_good(&text);
        protect(&scene.path("t.toml"), 0o644);
        let warnings = scene.warnings().join("\n");
        assert_eq!(
            warnings.contains("proxy_url: is a secret in a file"),
            is_secret,
            "{warnings}"
        );
        let scene = scene.variable(variable, url);
        match is_secret {
            true => assert!(scene.problems()[0].contains("proxy_url is set too (t.toml)")),
            false => assert_eq!(scene.warnings(), [""; 0]),
        }
    }
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

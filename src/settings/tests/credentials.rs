//! Credentials of every kind: which keys each has, and what they may hold.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::*;
use crate::domain::TokenEndpoint;

fn problems_of(text: &str) -> String {
    Fixture::over_good(text).problems().join("\n")
}

#[test]
fn a_kind_is_one_of_five() {
    let kinds = "kind: must be one of client-secret, client-certificate, workload-identity, \
                 managed-identity, token-file";
    for bad in ["", "secret", "Client-Secret", "token_file"] {
        let scene = Fixture::of(&format!("kind = \"{bad}\"\n"));
        assert_eq!(scene.problems_of_credential(), kinds, "{bad}");
    }
    assert_eq!(
        Fixture::of("").problems_of_credential(),
        "kind: is required"
    );
}

#[test]
fn without_a_kind_nothing_is_missing_and_bad_values_are_still_bad() {
    let text = "authority = \"a\"\nclient_id = \"\"\nscope = \"\"\nresource = \"r\"\n\
                client_secret = \"\"\nclient_secret_expires = \"soon\"\n\
                certificate_file = \"\"\nkey_file = \"nowhere\"\n\
                assertion_algorithm = \"none\"\nassertion_file = \"\"\nendpoint = \"e\"\n\
                identity_header = \"\"\ntoken_file = \"\"\nwait_ms = -1\n";
    let url = "must be http:// or https://, a host and perhaps a port";
    assert_eq!(
        Fixture::of(text).problems_of_credential(),
        format!(
            "assertion_algorithm: must be one of PS256, RS256\n\
             assertion_file: must not be empty\n\
             authority: {url}, without user, path, query or fragment\n\
             certificate_file: must not be empty\n\
             client_id: must be 1 to 128 visible ASCII characters without quotes\n\
             client_secret: must not be empty\n\
             client_secret_expires: must be a date as in 2027-01-31: year, month and day\n\
             endpoint: {url} and a path, without user, query or fragment\n\
             identity_header: must not be empty\n\
             key_file: names a file that cannot be read: No such file or directory (os error 2)\n\
             kind: is required\n\
             scope: must be 1 to 256 visible ASCII characters without quotes\n\
             token_file: must not be empty\n\
             wait_ms: must be a whole number from 0 to 60000"
        )
    );
}

#[test]
fn a_key_of_another_kind_is_refused_and_says_whose_it_is() {
    let application = "client-secret, client-certificate or workload-identity";
    let asking = "client-secret, client-certificate, workload-identity or managed-identity";
    // Each key, who has it, and whether it is the first, second, … of the kinds below.
    let table = [
        ("assertion_algorithm", "client-certificate", "01000"),
        ("assertion_file", "workload-identity", "00100"),
        ("authority", application, "11100"),
        ("certificate_file", "client-certificate", "01000"),
        ("client_id", asking, "11110"),
        ("client_secret", "client-secret", "10000"),
        ("client_secret_expires", "client-secret", "10000"),
        ("client_secret_file", "client-secret", "10000"),
        ("endpoint", "managed-identity", "00010"),
        ("endpoint_version", application, "11100"),
        ("identity_header", "managed-identity", "00010"),
        ("identity_header_file", "managed-identity", "00010"),
        ("key_file", "client-certificate", "01000"),
        ("resource", asking, "11110"),
        ("scope", application, "11100"),
        ("tenant_id", application, "11100"),
        ("token_file", "token-file", "00001"),
    ];
    for (index, kind) in KINDS.into_iter().enumerate() {
        let mut text = format!("kind = \"{kind}\"\n");
        let mut expected = Vec::new();
        for (key, owners, has) in table {
            if has.as_bytes()[index] == b'0' {
                text.push_str(&format!("{key} = 5\n"));
                expected.push(format!("{key}: belongs to kind {owners}"));
            }
        }
        let problems = Fixture::of(&text).problems_of_credential();
        let strangers: Vec<&str> = problems
            .lines()
            .filter(|line| line.contains("belongs to"))
            .collect();
        assert_eq!(strangers, expected, "{kind}");
    }
}

const KINDS: [&str; 5] = [
    "client-secret",
    "client-certificate",
    "workload-identity",
    "managed-identity",
    "token-file",
];

#[test]
fn what_a_kind_requires_is_said_with_its_name() {
    for (kind, expected) in KINDS.into_iter().zip([
        "client_id: is required for kind client-secret\n\
         client_secret: is required for kind client-secret, or client_secret_file\n\
         tenant_id: is required for kind client-secret",
        "certificate_file: is required for kind client-certificate\n\
         client_id: is required for kind client-certificate\n\
         key_file: is required for kind client-certificate\n\
         tenant_id: is required for kind client-certificate",
        "assertion_file: is required for kind workload-identity, here or as \
         AZURE_FEDERATED_TOKEN_FILE\n\
         client_id: is required for kind workload-identity, here or as AZURE_CLIENT_ID\n\
         tenant_id: is required for kind workload-identity, here or as AZURE_TENANT_ID",
        "",
        "token_file: is required for kind token-file",
    ]) {
        let scene = Fixture::of(&format!("kind = \"{kind}\"\n"));
        if expected.is_empty() {
            scene.load();
        } else {
            assert_eq!(scene.problems_of_credential(), expected, "{kind}");
        }
    }
}

#[test]
fn the_day_on_which_a_secret_ends_is_known_weeks_before() {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let scene = |date: &str| {
        let line = format!("{CLIENT_SECRET}client_secret_expires = \"{date}\"\n");
        Fixture::of(&line)
    };
    for (days, expected) in [
        (-400, "the secret has expired; replace it"),
        (-1, "the secret has expired; replace it"),
        (0, "the secret expires within a day; replace it"),
        (1, "the secret expires in 1 day; replace it"),
        (2, "the secret expires in 2 days; replace it"),
        (29, "the secret expires in 29 days; replace it"),
        (30, ""),
        (4000, ""),
    ] {
        let date: Date = today + days.days();
        let scene = scene(&date.to_string());
        let prefix = if expected.is_empty() {
            ""
        } else {
            "client_secret_expires: "
        };
        assert_eq!(
            scene.warnings_of_credential(),
            format!("{prefix}{expected}")
        );
        assert!(
            matches!(scene.method(), CredentialMethod::ClientSecret { expires, .. } if expires == Some(date))
        );
    }
    for bad in [
        "",
        "soon",
        "2027-1-31",
        "2027-02-30",
        "20270131",
        "31.01.2027",
        "2027-01-31T00:00:00",
        " 2027-01-31",
        "2027-W04-7",
    ] {
        assert_eq!(
            scene(bad).problems_of_credential(),
            "client_secret_expires: must be a date as in 2027-01-31: year, month and day",
            "{bad}"
        );
    }
    let scene = Fixture::of(CLIENT_SECRET);
    assert!(matches!(
        scene.method(),
        CredentialMethod::ClientSecret { expires: None, .. }
    ));
}

/// A workload identity as far as AKS sets it up.
fn in_aks(credential: &str) -> Fixture {
    let scene = Fixture::of(credential).file("assertion", "");
    let file = scene.path("assertion").display().to_string();
    scene
        .variable("AZURE_FEDERATED_TOKEN_FILE", &file)
        .variable("AZURE_TENANT_ID", "tenant")
        .variable("AZURE_CLIENT_ID", "client")
        .variable("AZURE_AUTHORITY_HOST", "https://login.example/")
}

#[test]
fn a_workload_identity_is_all_in_the_environment() {
    let scene = in_aks("kind = \"workload-identity\"\n");
    let expected = Application {
        authority: "https://login.example".into(),
        tenant_id: "tenant".into(),
        client_id: "client".into(),
        endpoint: TokenEndpoint::V2 {
            scope: "https://cloudpartner.azure.com/.default".into(),
        },
    };
    assert_eq!(scene.application(), expected);
    assert!(
        matches!(scene.method(), CredentialMethod::WorkloadIdentity { assertion_file, .. }
            if assertion_file == scene.path("assertion"))
    );
    // What is written down wins, one by one.
    let scene = in_aks("kind = \"workload-identity\"\nclient_id = \"other\"\n");
    let scene = scene.variable("AZURE_AUTHORITY_HOST", "");
    let expected = Application {
        authority: "https://login.microsoftonline.com".into(),
        client_id: "other".into(),
        ..expected
    };
    assert_eq!(scene.application(), expected);
}

#[test]
fn the_environment_of_a_workload_identity_is_for_no_other_kind() {
    let scene = in_aks("kind = \"client-secret\"\nclient_secret = \"s\"\n");
    assert_eq!(
        scene.problems_of_credential(),
        "client_id: is required for kind client-secret\n\
         tenant_id: is required for kind client-secret"
    );
    assert_eq!(
        in_aks(CLIENT_SECRET).application().authority,
        "https://login.microsoftonline.com"
    );
}

#[test]
fn a_bad_variable_is_called_by_its_name() {
    for (variable, value, expected) in [
        (
            "AZURE_FEDERATED_TOKEN_FILE",
            "nowhere",
            "assertion_file: names a file that cannot be read: No such file or directory (os \
             error 2)",
        ),
        (
            "AZURE_FEDERATED_TOKEN_FILE",
            "/",
            "assertion_file: names a directory, not a file",
        ),
        (
            "AZURE_FEDERATED_TOKEN_FILE",
            "",
            "assertion_file: is required",
        ),
        (
            "AZURE_TENANT_ID",
            "a/b",
            "tenant_id: must be a directory's GUID",
        ),
        ("AZURE_CLIENT_ID", "a b", "client_id: must be 1 to 128"),
        (
            "AZURE_AUTHORITY_HOST",
            "login.example",
            "authority: must be http://",
        ),
        (
            "AZURE_AUTHORITY_HOST",
            "http://login.example/",
            "authority: must be https",
        ),
    ] {
        let scene = in_aks("kind = \"workload-identity\"\n").variable(variable, value);
        let problems = scene.problems_of_credential();
        let place = if value.is_empty() {
            String::new()
        } else {
            format!("{variable}: ")
        };
        assert!(
            problems.starts_with(&format!("{place}{expected}")),
            "{problems}"
        );
        assert_eq!(problems.lines().count(), 1, "{problems}");
    }
    // Relative to the working directory, unlike a file's.
    let scene = in_aks("kind = \"workload-identity\"\nassertion_file = \"assertion\"\n");
    let scene = scene.variable("AZURE_FEDERATED_TOKEN_FILE", "nowhere");
    assert_eq!(scene.warnings(), [""; 0]);
}

#[test]
fn a_token_is_in_a_file_of_its_own() {
    let scene = Fixture::of("kind = \"token-file\"\ntoken_file = \"token\"\n");
    let missing = "token_file: names a file that cannot be read: No such file or directory (os \
                   error 2)";
    assert_eq!(scene.problems_of_credential(), missing);
    let scene = scene.file("token", "");
    protect(&scene.path("token"), 0o600);
    assert_eq!(scene.warnings(), [""; 0]);
    assert!(
        matches!(scene.method(), CredentialMethod::TokenFile { path } if path == scene.path("token"))
    );
    #[cfg(unix)]
    {
        protect(&scene.path("token"), 0o644);
        let warning = "token_file: names a file that every user can read; restrict it to the gateway's user (chmod 600)";
        assert_eq!(scene.warnings_of_credential(), warning);
    }
    for (path, expected) in [
        ("", "must not be empty"),
        (".", "names a directory, not a file"),
    ] {
        let scene = Fixture::of(&format!("kind = \"token-file\"\ntoken_file = \"{path}\"\n"));
        assert_eq!(
            scene.problems_of_credential(),
            format!("token_file: {expected}")
        );
    }
}

#[test]
fn each_token_endpoint_has_its_own_key() {
    let load = |text: &str| {
        let scene = Fixture::over_good(&format!("[credentials.contoso]\n{text}"));
        scene.application().endpoint
    };
    let v1 = TokenEndpoint::V1 {
        resource: "https://r".into(),
    };
    let v2 = TokenEndpoint::V2 {
        scope: "https://s/.default".into(),
    };
    assert_eq!(
        load("endpoint_version = \"v1\"\nresource = \"https://r\""),
        v1
    );
    assert_eq!(
        load("endpoint_version = \"v2\"\nscope = \"https://s/.default\""),
        v2
    );
    assert_eq!(load("scope = \"https://s/.default\""), v2);

    for (text, expected) in [
        (
            "endpoint_version = \"v1\"",
            "endpoint_version: v1 requires resource",
        ),
        (
            "endpoint_version = \"v1\"\nresource = \"r\"\nscope = \"s\"",
            "scope: belongs to endpoint_version v2",
        ),
        (
            "resource = \"r\"",
            "resource: belongs to endpoint_version v1",
        ),
        (
            "endpoint_version = \"v3\"",
            "endpoint_version: must be one of v1, v2",
        ),
        ("scope = \"a b\"", "scope: must be 1 to 256"),
        (
            "endpoint_version = \"v1\"\nresource = \"\"",
            "resource: must be 1 to 256",
        ),
    ] {
        let problems = problems_of(&format!("[credentials.contoso]\n{text}"));
        let expected = format!("t.toml: credentials.contoso.{expected}");
        assert!(problems.starts_with(&expected), "{text}: {problems}");
    }
}

#[test]
fn ids_of_tenant_and_client_are_plain() {
    for (key, bad) in [
        ("tenant_id", ""),
        ("tenant_id", "a/b"),
        ("tenant_id", ".."),
        ("tenant_id", "a?b"),
        ("client_id", ""),
        ("client_id", "a b"),
        ("client_id", "a'b"),
        ("client_id", "é"),
    ] {
        let problems = problems_of(&format!("[credentials.contoso]\n{key} = \"{bad}\""));
        assert!(problems.starts_with(&format!("t.toml: credentials.contoso.{key}: must be")));
    }
}

//! Addresses: which are read, and how far a request to them travels.

use crate::settings::url::*;

#[test]
fn reads_origins() {
    use AddressScope::{Link, Loopback, Metadata, Network, Private};
    let table = [
        ("https://cloudpartner.azure.com", "", true, Network),
        (
            "https://cloudpartner.azure.com/",
            "https://cloudpartner.azure.com",
            true,
            Network,
        ),
        (
            "HTTPS://Login.Example:8443",
            "https://login.example:8443",
            true,
            Network,
        ),
        ("http://127.0.0.1:7070", "", false, Loopback),
        ("http://127.9.9.9", "", false, Loopback),
        ("http://[::1]:7070", "", false, Loopback),
        ("http://LOCALHOST:1", "http://localhost:1", false, Loopback),
        ("http://127.0.0.1.example.com", "", false, Network),
        ("http://localhost.example.com", "", false, Network),
        ("http://[::ffff:127.0.0.1]", "", false, Network),
        ("http://10.0.0.1", "", false, Private),
        ("http://172.16.0.1", "", false, Private),
        ("http://172.31.255.255", "", false, Private),
        ("http://172.32.0.1", "", false, Network),
        ("http://192.168.7.7:42356", "", false, Private),
        ("http://100.64.0.1", "", false, Private),
        ("http://100.127.255.255", "", false, Private),
        ("http://100.128.0.1", "", false, Network),
        ("http://100.63.255.255", "", false, Network),
        ("http://[fd00::1]:8081", "", false, Private),
        ("http://[fe80::1]", "", false, Private),
        ("http://[2001:db8::1]", "", false, Network),
        ("http://11.0.0.1", "", false, Network),
        ("http://169.254.169.254", "", false, Metadata),
        ("http://169.254.169.254:80", "", false, Metadata),
        ("http://169.254.130.2:8081", "", false, Link),
        ("http://169.255.169.254", "", false, Network),
        ("http://169.254.169.254.example", "", false, Network),
        ("http://[::ffff:169.254.169.254]", "", false, Network),
    ];
    for (text, normalized, secure, scope) in table {
        let normalized = if normalized.is_empty() {
            text
        } else {
            normalized
        };
        let url = HttpUrl {
            text: normalized.into(),
            secure,
            scope,
        };
        assert_eq!(parse_origin(text), Ok(url), "{text}");
    }
}

#[test]
fn refuses_whatever_could_be_read_in_two_ways() {
    for bad in [
        "",
        "cloudpartner.azure.com",
        "//x",
        "ftp://x",
        "https://",
        "https:///x",
        "https://:80",
        "https://u@x",
        "https://u:p@x",
        "https://x?q",
        "https://x#f",
        "https://x:0",
        "https://x:65536",
        "https://x:",
        "https://x:+1",
        "https://x:1:2",
        "https://[::1",
        "https://::1",
        "https://[::1]x",
        "https://x y",
        "https://x\\y",
        "https://x\n",
        "https://é",
        "https://127.1",
        "https://2130706433",
        "https://0x7f.0.0.1",
        "https://x..y",
        "https://.x",
        "https://x.",
        "https://%78",
        " https://x",
        "https://[::1]:a",
    ] {
        assert!(parse_origin(bad).is_err(), "{bad:?}");
        assert!(parse_with_path(bad).is_err(), "{bad:?}");
        assert!(parse_resource(bad, Query::Allowed).is_err(), "{bad:?}");
    }
    for path in ["/p", "/p/", "//"] {
        assert!(
            parse_origin(&format!("https://x{path}")).is_err(),
            "{path:?}"
        );
    }
    for path in [
        "//", "/a//b", "/a/../b", "/./", "/a?b", "/a#b", "/a%2Fb", "/a b", "/é",
    ] {
        assert!(
            parse_with_path(&format!("https://x{path}")).is_err(),
            "{path:?}"
        );
    }
}

#[test]
fn keeps_the_address_of_a_resource_as_it_is() {
    let text = |text: &str| parse_resource(text, Query::Refused).map(|url| url.text);
    for kept in [
        "https://sts.windows.net/8c3c7d0e/",
        "https://login.microsoftonline.com/8c3c7d0e/v2.0",
        "https://accounts.google.com",
        "https://x.auth0.com/",
        "https://kc:8443/realms/My%20Realm",
        "https://k/api/v1/namespaces/a/services/https:b:443/proxy/",
        "http://127.0.0.1:1/a;b=c",
    ] {
        assert_eq!(text(kept).as_deref(), Ok(kept));
    }
    let upper = text("HTTPS://Kc.Example/Realms/A");
    assert_eq!(upper.as_deref(), Ok("https://kc.example/Realms/A"));
    for bad in [
        "//", "/a//b", "//a", "/a//", "/a/../b", "/./", "/..", "/a#b", "/a%2Fb", "/a%2e", "/a%5c",
        "/a%00", "/a%7f", "/a%", "/a%4", "/a%zz", "/a b", "/é", "/a\\b", "/a\"b",
    ] {
        let bad = format!("https://x{bad}");
        assert!(text(&bad).is_err(), "{bad}");
        let with_query = parse_resource(&format!("{bad}?a"), Query::Allowed);
        assert!(with_query.is_err(), "{bad}");
    }
}

#[test]
fn takes_a_query_only_where_one_makes_sense() {
    for kept in [
        "https://x/common/discovery/keys?appid=8c3c7d0e-0000",
        "https://x/t/discovery/v2.0/keys?p=b2c_1_a&q=/?%20",
    ] {
        let url = parse_resource(kept, Query::Allowed).unwrap();
        assert_eq!(url.text, kept);
        assert!(parse_resource(kept, Query::Refused).is_err());
    }
    for bad in ["?", "?a#b", "?a b", "?%2", "?\u{e9}", "?a\\"] {
        let bad = format!("https://x/a{bad}");
        assert!(parse_resource(&bad, Query::Allowed).is_err(), "{bad}");
    }
}

#[test]
fn keeps_a_plain_path_without_its_last_slash() {
    let text = |text| parse_with_path(text).unwrap().text;
    assert_eq!(text("https://X/gate/Way/"), "https://x/gate/Way");
    assert_eq!(text("https://x/"), "https://x");
    assert_eq!(text("https://x"), "https://x");
}

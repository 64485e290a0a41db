//! `[outbound]`, and the variables that stand in for it.

use std::sync::Arc;

use super::*;
use crate::domain::{Egress, Proxy};

fn over_good(text: &str) -> Fixture {
    Fixture::over_good(&format!("[outbound]\n{text}"))
}

fn egress(fixture: &Fixture) -> Egress {
    fixture.load().settings.outbound
}

fn proxy(fixture: &Fixture) -> Option<Arc<Proxy>> {
    egress(fixture).proxy
}

#[test]
fn the_parts_of_a_proxys_url() {
    for (url, address, secure, authorization) in [
        (
            "http://proxy.example:3128",
            "proxy.example:3128",
            false,
            None,
        ),
        ("http://proxy.example", "proxy.example:80", false, None),
        (
            "http://proxy.example:3128/",
            "proxy.example:3128",
            false,
            None,
        ),
        ("https://Proxy.Example", "proxy.example:443", true, None),
        ("HTTP://proxy.example:1", "proxy.example:1", false, None),
        ("proxy.example:3128", "proxy.example:3128", false, None),
        ("10.0.0.1:3128", "10.0.0.1:3128", false, None),
        (
            "http://[2001:db8::1]:3128",
            "[2001:db8::1]:3128",
            false,
            None,
        ),
        ("http://@proxy.example", "proxy.example:80", false, None),
        // "me:hush", "me:", "m:e" is refused below, "me:p@:/%" and "jörg:é".
        (
            "http://me:hush@p:1",
            "p:1",
            false,
            Some("Basic bWU6aHVzaA=="),
        ),
        ("me:hush@p:1", "p:1", false, Some("Basic bWU6aHVzaA==")),
        ("http://me@p:1", "p:1", false, Some("Basic bWU6")),
        ("http://me:@p:1", "p:1", false, Some("Basic bWU6")),
        (
            "https://me:p%40%3a%2F%25@p",
            "p:443",
            true,
            Some("Basic bWU6cEA6LyU="),
        ),
        (
            "http://me:p@:x@p:1",
            "p:1",
            false,
            Some("Basic bWU6cEA6eA=="),
        ),
        (
            "http://j%C3%B6rg:é@p:1",
            "p:1",
            false,
            Some("Basic asO2cmc6w6k="),
        ),
    ] {
        let proxy = proxy(&over_good(&format!("proxy_url = \"{url}\""))).unwrap();
        assert_eq!(proxy.to_string(), address, "{url}");
        assert_eq!(proxy.secure, secure, "{url}");
        let found = proxy.authorization.as_ref().map(|value| value.expose());
        assert_eq!(found, authorization, "{url}");
        assert_eq!(proxy.key, "outbound.proxy_url");
    }
}

#[test]
fn what_is_no_url_of_a_proxy_is_refused() {
    for scheme in ["socks5", "socks5h", "socks4", "ftp", ""] {
        let problems = over_good(&format!("proxy_url = \"{scheme}://proxy.example\"")).problems();
        let expected = "t.toml: outbound.proxy_url: must be http:// or https://: SOCKS and other \
                        kinds of proxies are not supported";
        assert_eq!(problems, [expected], "{scheme}");
    }
    for url in [
        "http://",
        "http://:3128",
        "http://proxy.example:0",
        "http://proxy.example:x",
        "http://proxy.example:99999",
        "http://proxy.example/path",
        "http://proxy.example?query",
        "http://proxy.example#fragment",
        "http://proxy example",
        "http://::1",
        "http://me:hu/sh@proxy.example",
        "http://me:hu%zzsh@proxy.example",
        "http://me:hush%0d@proxy.example",
        "http://m%3Ae:hush@proxy.example",
        "  ",
    ] {
        let problems = over_good(&format!("proxy_url = \"{url}\"")).problems();
        assert_eq!(problems.len(), 1, "{url}: {problems:?}");
        assert!(
            problems[0].contains("outbound.proxy_url: must be"),
            "{problems:?}"
        );
        assert!(!problems[0].contains("hush"), "{problems:?}");
    }
}

#[test]
fn a_proxys_url_can_stand_in_a_file() {
    let fixture = over_good("proxy_url_file = \"proxy\"").file("proxy", "http://me:hush@p:1\n");
    let from_file = proxy(&fixture).unwrap();
    assert_eq!(from_file.to_string(), "p:1");
    assert_eq!(from_file.key, "outbound.proxy_url_file");
    // Whatever the environment says.
    let fixture = fixture.variable("HTTPS_PROXY", "http://other:1");
    assert_eq!(proxy(&fixture).unwrap().to_string(), "p:1");
    let both = over_good("proxy_url = \"p:1\"\nproxy_url_file = \"proxy\"").file("proxy", "p:2");
    assert_eq!(both.problems().len(), 1, "{:?}", both.problems());
    let bad = over_good("proxy_url_file = \"proxy\"").file("proxy", "socks5://hush:hush@p:1");
    let problems = bad.problems().concat();
    assert!(
        problems.contains("outbound.proxy_url_file: must be http"),
        "{problems}"
    );
    assert!(!problems.contains("hush"), "{problems}");
}

#[test]
fn the_environment_stands_in() {
    let plain = || Fixture::empty().file("base.toml", GOOD);
    assert_eq!(egress(&plain()), Egress::default());
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let fixture = plain().variable(variable, "http://p:1");
        let found = proxy(&fixture).unwrap();
        assert_eq!((found.to_string().as_str(), found.key), ("p:1", variable));
        assert!(proxy(&plain().variable(variable, "")).is_none());
        let problems = plain().variable(variable, "socks5://p:1").problems();
        assert!(problems[0].starts_with(variable), "{problems:?}");
    }
    let both = plain().variable("https_proxy", "http://low:1");
    let both = both.variable("HTTPS_PROXY", "http://up:1");
    assert_eq!(proxy(&both).unwrap().to_string(), "up:1");
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        assert!(proxy(&plain().variable(variable, "http://p:1")).is_none());
    }
    // What is written wins.
    let written = over_good("proxy_url = \"http://p:1\"\nno_proxy = \"a.example\"");
    let written = written.variable("HTTPS_PROXY", "http://other:1");
    let written = egress(&written.variable("NO_PROXY", "b.example"));
    assert_eq!(written.proxy.as_ref().unwrap().to_string(), "p:1");
    assert!(written.proxy_for("a.example", 443).is_none());
    assert!(written.proxy_for("b.example", 443).is_some());
    let variable = plain().variable("OFFERGATE_OUTBOUND__PROXY_URL", "http://p:1");
    let variable = variable.variable("OFFERGATE_OUTBOUND__NO_PROXY", "a.example, b.example");
    let variable = egress(&variable);
    assert!(variable.proxy_for("b.example", 443).is_none());
    assert!(variable.proxy_for("c.example", 443).is_some());
}

#[test]
fn exceptions_are_a_text_or_a_list() {
    for written in ["\"a.example,b.example\"", "[\"a.example\", \"b.example\"]"] {
        let fixture = over_good(&format!("no_proxy = {written}"));
        let egress = egress(&fixture.variable("HTTPS_PROXY", "p:1"));
        assert!(egress.proxy_for("a.example", 443).is_none());
        assert!(egress.proxy_for("b.example", 443).is_none());
        assert!(egress.proxy_for("c.example", 443).is_some());
    }
    for variable in ["NO_PROXY", "no_proxy"] {
        let fixture = over_good("proxy_url = \"p:1\"").variable(variable, "a.example");
        assert!(egress(&fixture).proxy_for("a.example", 443).is_none());
    }
}

#[test]
fn another_proxy_needs_a_restart() {
    let settings = |fixture: Fixture| fixture.load().settings;
    let one = settings(over_good("proxy_url = \"http://me:one@p:1\""));
    let same = settings(over_good("proxy_url = \"http://me:one@p:1\""));
    let other = settings(over_good("proxy_url = \"http://me:two@p:1\""));
    assert!(one.waiting_for_restart(&same).is_empty());
    assert_eq!(one.waiting_for_restart(&other), ["outbound"]);
}

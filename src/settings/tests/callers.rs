//! How callers prove who they are, beyond API keys; their limits; many of them.

use super::*;
use crate::domain::CallerLimits;

const DISCOVERED: &str = "issuer = \"https://issuer.example/t/\"\naudience = \"api\"";

/// An issuer with these lines.
fn jwt(lines: &str) -> String {
    format!("[[identity.jwt]]\n{lines}\n")
}

/// Callers with these proofs, and one issuer for them.
fn callers(proofs: &[&str]) -> String {
    let callers = proofs.iter().enumerate().map(|(index, proof)| {
        let allow = "{ actions = [\"read\"], publishers = [\"*\"], offers = [\"*\"] }";
        format!("[[callers]]\nname = \"c{index}\"\n{proof}\nallow = [{allow}]\n")
    });
    jwt(DISCOVERED) + &callers.collect::<String>()
}

/// The line for a caller with these claims of the one issuer.
fn claims(claims: &str) -> String {
    format!("jwt = {{ issuer = \"https://issuer.example/t/\", claims = {{ {claims} }} }}")
}

/// What is wrong with the callers, the common beginning left out.
fn wrong_callers(proofs: &[&str]) -> String {
    let problems = Fixture::over_good(&callers(proofs)).problems().join("\n");
    problems.replace("t.toml: callers", "")
}

#[test]
fn a_token_makes_a_caller() {
    let loaded = Fixture::over_good(&callers(&[&claims("azp = \"p\", tid = \"t é\"")])).load();
    assert_eq!(loaded.warnings, []);
    let caller = &loaded.settings.callers[0];
    let jwt = caller.jwt.as_ref().unwrap();
    assert_eq!(jwt.issuer, "https://issuer.example/t/");
    let pairs: Vec<_> = jwt.claims.iter().collect();
    let expected = [("azp", "p"), ("tid", "t é")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(pairs, expected.each_ref().map(|(n, v)| (n, v)));
    assert!(caller.api_key_sha256.is_empty() && caller.certificate_san.is_empty());
    for who in ["sub", "azp", "appid", "client_id", "oid"] {
        Fixture::over_good(&callers(&[&claims(&format!("{who} = \"x\""))])).load();
    }
}

#[test]
fn a_token_must_say_whose_it_is() {
    let (long_name, long) = ("n".repeat(65), "a".repeat(1025));
    let who = "[0].jwt.claims: must contain at least one of sub, azp, appid, client_id, oid: \
               other claims do not identify a client";
    let name = "a claim's name must be 1 to 64 visible ASCII characters";
    let value = "must be 1 to 1024 bytes of text without control characters";
    for (proof, expected) in [
        (claims(""), who.to_owned()),
        (claims("tid = \"t\", roles = \"r\""), who.to_owned()),
        (claims("azp = \"\""), format!("[0].jwt.claims.azp: {value}")),
        (
            claims("azp = \"a\\nb\""),
            format!("[0].jwt.claims.azp: {value}"),
        ),
        (
            claims(&format!("azp = \"{long}\"")),
            format!("[0].jwt.claims.azp: {value}"),
        ),
        (
            claims("azp = 5"),
            "[0].jwt.claims.azp: must be text, not a whole number".into(),
        ),
        (
            claims("azp = \"p\", \"\" = \"x\""),
            format!("[0].jwt.claims.\"\": {name}"),
        ),
        (
            claims("azp = \"p\", \"a b\" = \"x\""),
            format!("[0].jwt.claims.\"a b\": {name}"),
        ),
        (
            claims(&format!("azp = \"p\", {long_name} = \"x\"")),
            format!("[0].jwt.claims.{long_name}: {name}"),
        ),
        (
            "jwt = {}".into(),
            "[0].jwt.claims: is required\n[0].jwt.issuer: is required".into(),
        ),
        (
            claims("azp = \"p\"").replace("/t/", "/t"),
            "[0].jwt.issuer: is not the issuer of any [[identity.jwt]]".into(),
        ),
        (
            claims("azp = \"p\"").replace("claims", "claim"),
            "[0].jwt.claim: is not a known key; did you mean claims?\n\
             [0].jwt.claims: is required"
                .into(),
        ),
        (
            "jwt = true".into(),
            "[0].jwt: must be a table, not true or false".into(),
        ),
    ] {
        assert_eq!(wrong_callers(&[&proof]), expected);
    }
}

#[test]
fn a_bad_issuer_does_not_make_its_callers_look_bad() {
    let text = callers(&[&claims("azp = \"p\"")]).replacen("https", "h ttps", 1);
    let visible = "must be 1 to 1024 visible ASCII characters";
    assert_eq!(
        Fixture::over_good(&text).problems(),
        [format!("t.toml: identity.jwt[0].issuer: {visible}")]
    );
    let text = callers(&[&claims("azp = \"p\"")]).replacen("audience", "#", 1);
    assert_eq!(
        Fixture::over_good(&text).problems(),
        ["t.toml: identity.jwt[0].audience: is required"]
    );
}

#[test]
fn a_token_is_one_callers_only() {
    let proofs = |list: &[&str]| -> Vec<String> { list.iter().map(|one| claims(one)).collect() };
    let said = |list: &[&str]| {
        let text = callers(&proofs(list).iter().map(String::as_str).collect::<Vec<_>>());
        let dir = Fixture::over_good(&text);
        match load(&dir.source(Some("t"))) {
            Ok(_) => String::new(),
            Err(problems) => dir
                .lines(problems.problems())
                .join("\n")
                .replace("t.toml: callers", ""),
        }
    };
    let shared = |wider, narrower| {
        format!(
            "[{wider}].jwt.claims: every token that matches callers[{narrower}].jwt.claims matches \
             these too; a token must identify one caller: add a claim"
        )
    };
    assert_eq!(said(&["azp = \"a\"", "azp = \"b\"", "sub = \"a\""]), "");
    assert_eq!(
        said(&["azp = \"a\", tid = \"1\"", "tid = \"2\", azp = \"a\""]),
        ""
    );
    // These two may meet in one token; that is seen when it comes.
    assert_eq!(
        said(&["azp = \"a\", tid = \"1\"", "azp = \"a\", sub = \"s\""]),
        ""
    );
    assert_eq!(
        said(&[
            "azp = \"a\", tid = \"1\"",
            "azp = \"b\"",
            "tid = \"1\", azp = \"a\""
        ]),
        "[2].jwt.claims: are the same as callers[0].jwt.claims"
    );
    let two = "azp = \"a\", sub = \"s\"";
    assert_eq!(said(&["azp = \"a\"", two]), shared(0, 1));
    assert_eq!(said(&[two, "azp = \"a\""]), shared(1, 0));
    let three = "azp = \"a\", sub = \"s\", tid = \"t\"";
    assert_eq!(
        said(&["azp = \"a\"", two, three]),
        format!("{}\n{}", shared(0, 1), shared(1, 2))
    );
    // A caller with another problem hides nothing.
    let text = callers(&[&claims("azp = \"a\""), &claims(two)]).replace("\"c1\"", "\"c 1\"");
    let problems = Fixture::over_good(&text).problems().join("\n");
    assert!(
        problems.contains(&shared(0, 1)) && problems.contains("[1].name: must be"),
        "{problems}"
    );
    // Another issuer's tokens are others.
    let other = claims("azp = \"a\"").replace("/t/", "/u/");
    let text = callers(&[&claims(two), &other]) + &jwt(&DISCOVERED.replace("/t/", "/u/"));
    Fixture::over_good(&text).load();
}

/// `[server.tls]` with a certificate authority for clients.
fn over_tls(text: &str) -> Fixture {
    let both = include_str!("pem/sec1.pem");
    let tls =
        "[server.tls]\ncert_file = \"both\"\nkey_file = \"both\"\nclient_ca_file = \"both\"\n";
    let scene = Fixture::over_good(&format!("{tls}{text}")).file("both", both);
    protect(&scene.path("both"), 0o600);
    scene
}

#[test]
fn a_certificate_makes_a_caller() {
    use crate::domain::San;
    let names = "certificate_san = [\"Pipeline.Example\", \"spiffe://example/a\"]";
    let settings = over_tls(&callers(&[names])).load().settings;
    let expected = [
        San::parse("pipeline.example").unwrap(),
        San::parse("spiffe://example/a").unwrap(),
    ];
    assert_eq!(settings.callers[0].certificate_san, expected);

    let said = |proofs: &[&str]| {
        let problems = over_tls(&callers(proofs)).problems().join("\n");
        problems.replace("t.toml: callers", "")
    };
    for bad in ["", "*.example", "CN=pipeline", "a b"] {
        let problem = said(&[&format!("certificate_san = [\"a\", \"{bad}\"]")]);
        let expected = "[0].certificate_san[1]: must be a DNS name without wildcards, or a URI";
        assert!(problem.starts_with(expected), "{problem}");
    }
    assert_eq!(
        said(&["certificate_san = []"]),
        "[0].certificate_san: must not be empty: no credential could identify this caller"
    );
    assert_eq!(
        said(&[names, "certificate_san = [\"x\", \"PIPELINE.example\"]"]),
        "[1].certificate_san[1]: is the same as callers[0].certificate_san[0]"
    );
}

#[test]
fn a_certificate_needs_somebody_to_sign_it() {
    let names = "certificate_san = [\"pipeline.example\"]";
    let expected = "[0].certificate_san: needs server.tls.client_ca_file: without it no client \
                    presents a certificate";
    assert_eq!(wrong_callers(&[names]), expected);
    let without = callers(&[names]);
    let scene = over_tls(&without);
    let text = fs::read_to_string(scene.path("t.toml")).unwrap();
    let scene = scene.file("t.toml", text.replace("client_ca_file = \"both\"", ""));
    assert_eq!(scene.problems(), [format!("t.toml: callers{expected}")]);
    // Whether there is one cannot be told from a bad one.
    let scene = scene.file(
        "t.toml",
        text.replace("client_ca_file = \"both\"", "client_ca_file = \"\""),
    );
    assert_eq!(
        scene.problems(),
        ["t.toml: server.tls.client_ca_file: must not be empty"]
    );
}

#[test]
fn a_caller_can_have_all_three_proofs_and_limits() {
    let proofs = format!(
        "api_key_sha256 = [\"{}\"]\n{}\ncertificate_san = [\"a\"]\n\
         rate_limit = {{ per_second = 100000, burst = 1 }}\nmax_in_flight_actions = 7\nmax_waits = 8\n\
         max_idempotency_keys = 1000000",
        "ab".repeat(32),
        claims("sub = \"s\"")
    );
    let settings = over_tls(&callers(&[&proofs])).load().settings;
    let caller = &settings.callers[0];
    assert_eq!(caller.api_key_sha256.len(), 1);
    assert!(caller.jwt.is_some());
    assert_eq!(caller.certificate_san.len(), 1);
    let limit = caller.limits.rate.unwrap();
    assert_eq!((limit.per_second.get(), limit.burst.get()), (100_000, 1));
    assert_eq!(caller.limits.actions, Some(7));
    assert_eq!(caller.limits.waits, Some(8));
    assert_eq!(caller.limits.idempotency_keys, Some(1_000_000));

    let without = Fixture::over_good("").load().settings.callers[0].clone();
    assert_eq!(without.limits, CallerLimits::default());
}

#[test]
fn limits_have_limits() {
    let proof = claims("sub = \"s\"");
    for (line, expected) in [
        (
            "rate_limit = {}",
            "rate_limit.burst: is required\n[0].rate_limit.per_second: is required",
        ),
        (
            "rate_limit = { per_second = 1 }",
            "rate_limit.burst: is required",
        ),
        (
            "rate_limit = { per_second = 0, burst = 1 }",
            "rate_limit.per_second: must be a whole number from 1 to 100000",
        ),
        (
            "rate_limit = { per_second = 1, burst = 100001 }",
            "rate_limit.burst: must be a whole number from 1 to 100000",
        ),
        (
            "rate_limit = 5",
            "rate_limit: must be a table, not a whole number",
        ),
        (
            "max_idempotency_keys = 1000001",
            "max_idempotency_keys: must be a whole number from 1 to 1000000",
        ),
        (
            "max_in_flight_actions = 0",
            "max_in_flight_actions: must be a whole number from 1 to 100000",
        ),
        (
            "max_in_flight_actions = 100001",
            "max_in_flight_actions: must be a whole number from 1 to 100000",
        ),
        (
            "max_waits = 0",
            "max_waits: must be a whole number from 1 to 100000",
        ),
        (
            "max_in_flight_actions = \"5\"",
            "max_in_flight_actions: must be a whole number from 1 to 100000, not text",
        ),
    ] {
        let lines = format!("{proof}\n{line}");
        assert_eq!(wrong_callers(&[&lines]), format!("[0].{expected}"));
    }
}

#[test]
fn a_rule_says_where_it_is_written() {
    let rule = "{ actions = [\"read\"], publishers = [\"*\"], offers = [\"*\"] }";
    let hash = "ab".repeat(32);
    let text = format!(
        "[[callers]]\nname = \"c\"\napi_key_sha256 = [\"{hash}\"]\nallow = [{rule}, {rule}]"
    );
    let scene = Fixture::over_good(&text);
    let allow = scene.load().settings.callers[0].allow.clone();
    let place = format!("{}: callers[0].allow[1]", scene.path("t.toml").display());
    assert_eq!(allow[1].place, place);
}

/// Whatever held each caller or rule against all others would be noticed here. Five
/// times as many are loaded in about a second by what is delivered.
#[test]
fn thousands_of_callers_are_read() {
    let mut text = jwt(DISCOVERED);
    for index in 0..2_000 {
        let hash = format!("{index:064x}");
        let claims = claims(&format!(
            "azp = \"app\", sub = \"s{index}\", oid = \"o{}\"",
            index % 100
        ));
        text.push_str(&format!(
            "[[callers]]\nname = \"c{index}\"\ndefault_publisher = \"contoso\"\n\
             api_key_sha256 = [\"{hash}\"]\n{claims}\nallow = ["
        ));
        for rule in 0..5 {
            text.push_str(&format!(
                "{{ actions = [\"read\", \"cancel\"], publishers = [\"contoso\"], \
                 offers = [\"o{index}-{rule}-*\"] }},"
            ));
        }
        text.push_str("]\n");
    }
    let settings = Fixture::over_good(&text).load().settings;
    assert_eq!(settings.callers.len(), 2_000);
    assert!(
        settings
            .callers
            .iter()
            .all(|caller| caller.allow.len() == 5)
    );
}

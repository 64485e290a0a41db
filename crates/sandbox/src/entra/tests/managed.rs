//! The managed identity endpoints: the headers that they want, and the words that they have.

use super::*;
use crate::route::IdentityHost;

const MACHINE: &str = "api-version=2018-02-01&resource=https://cloudpartner.azure.com";
const SERVICE: &str = "api-version=2019-08-01&resource=https://cloudpartner.azure.com/";

fn ask(host: IdentityHost, headers: &[(&str, &str)], query: &str) -> (u16, Value) {
    let options = Options::default();
    let mut request = post(&[]);
    request.method = "GET".into();
    request.query = query.into();
    let headers = headers.iter();
    request.headers = headers
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    let judged = validate_identity_request(&request, host, &Application::new(&options));
    let mut tokens = TokenStore::new(TokenForge::new(&options));
    let response = identity_response(judged, host, &mut tokens);
    (
        response.status,
        serde_json::from_slice(&response.body).unwrap(),
    )
}

#[test]
fn a_machine_has_a_token_if_it_asks_as_it_should() {
    let good = ("metadata", "true");
    let (status, body) = ask(IdentityHost::VirtualMachine, &[good], MACHINE);
    assert_eq!(status, 200);
    for member in ["expires_in", "expires_on", "not_before"] {
        assert!(body[member].is_string(), "{member}");
    }
    let named = format!("{MACHINE}&client_id=offergate");
    assert_eq!(ask(IdentityHost::VirtualMachine, &[good], &named).0, 200);
    for (headers, query, why) in [
        (vec![], MACHINE.to_owned(), "metadata header"),
        (
            vec![("metadata", "True")],
            MACHINE.to_owned(),
            "metadata header",
        ),
        (
            vec![good, ("x-forwarded-for", "10.0.0.1")],
            MACHINE.to_owned(),
            "X-Forwarded-For",
        ),
        (vec![good], SERVICE.to_owned(), "api-version"),
        (
            vec![good],
            format!("{MACHINE}&client_id=x"),
            "Identity not found",
        ),
        (
            vec![good],
            format!("{MACHINE}&object_id=x"),
            "Identity not found",
        ),
        (vec![good], "api-version=2018-02-01".to_owned(), "resource"),
        (
            vec![good],
            "api-version=2018-02-01&resource=x".to_owned(),
            "AADSTS500011",
        ),
    ] {
        let (status, body) = ask(IdentityHost::VirtualMachine, &headers, &query);
        let description = body["error_description"].as_str().unwrap();
        assert!(status == 400 && description.contains(why), "{body}");
    }
}

#[test]
fn app_service_wants_its_own_header() {
    let good = ("x-identity-header", "sandbox-identity-header");
    let (status, body) = ask(IdentityHost::AppService, &[good], SERVICE);
    assert_eq!((status, body["expires_on"].is_string()), (200, true));
    let unknown = format!("{SERVICE}&client_id=x");
    for (header, query, expected) in [
        (("x-identity-header", "true"), SERVICE, 401),
        (("metadata", "true"), SERVICE, 401),
        (good, MACHINE, 400),
        (good, unknown.as_str(), 400),
    ] {
        let (status, body) = ask(IdentityHost::AppService, &[header], query);
        assert_eq!(status, expected, "{body}");
        assert_eq!(body["statusCode"], expected);
        assert!(!body.to_string().contains("sandbox-identity-header"));
    }
}

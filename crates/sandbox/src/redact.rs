//! Keeps secrets out of the journal. A test must be able to tell which token or secret was used,
//! so each is replaced by its SHA-256 rather than dropped. Everything that looks like a JWT is
//! found anywhere, not only where one is expected.

use super::text::{percent_decode, sha256_hex};

/// Headers whose whole value is a credential.
const SECRET_HEADERS: [&str; 5] = [
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-functions-key",
    "x-identity-header",
];

/// Parameters, in forms and queries, whose value is a credential.
const SECRET_PARAMETERS: [&str; 6] = [
    "access_token",
    "assertion",
    "client_assertion",
    "client_secret",
    "password",
    "refresh_token",
];

/// `sha256:` and the hash.
pub(super) fn fingerprint(secret: &str) -> String {
    format!("sha256:{}", sha256_hex(secret.as_bytes()))
}

/// A header's value with credentials replaced; `name` in lower case.
pub(super) fn header(name: &str, value: &str) -> String {
    if name == "authorization" {
        return match value.trim().split_once(' ') {
            Some((scheme, credential)) => format!("{scheme} {}", fingerprint(credential.trim())),
            None => fingerprint(value.trim()),
        };
    }
    if SECRET_HEADERS.contains(&name) {
        return fingerprint(value);
    }
    tokens(value)
}

/// A form or query with credentials replaced and everything else left as it was sent.
pub(super) fn form(text: &str) -> String {
    let pairs: Vec<String> = text
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, value))
                if SECRET_PARAMETERS
                    .contains(&percent_decode(name).to_ascii_lowercase().as_str()) =>
            {
                let value = percent_decode(&value.replace('+', " "));
                format!("{name}={}", fingerprint(&value))
            }
            _ => pair.to_owned(),
        })
        .collect();
    tokens(&pairs.join("&"))
}

/// Any text with everything that looks like a JWT replaced.
pub(super) fn tokens(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("eyJ") {
        let (before, from) = rest.split_at(start);
        let belongs =
            |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        let end = from.find(|letter| !belongs(letter)).unwrap_or(from.len());
        let (run, after) = from.split_at(end);
        clean.push_str(before);
        if run.matches('.').count() >= 2 {
            clean.push_str(&fingerprint(run));
        } else {
            clean.push_str(run);
        }
        rest = after;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn credentials_in_headers_become_hashes() {
        assert_eq!(
            header("authorization", "Bearer abc"),
            format!("Bearer {ABC}")
        );
        assert_eq!(header("authorization", "abc"), ABC);
        assert_eq!(header("x-api-key", "abc"), ABC);
        assert_eq!(header("accept", "abc"), "abc");
    }

    #[test]
    fn only_the_secret_parameters_of_a_form_change() {
        let clean =
            form("grant_type=client_credentials&client_secret=a%62c&resource=https%3A%2F%2Fx");
        assert_eq!(
            clean,
            format!("grant_type=client_credentials&client_secret={ABC}&resource=https%3A%2F%2Fx")
        );
        assert_eq!(form(""), "");
    }

    #[test]
    fn tokens_are_found_wherever_they_stand() {
        let clean = tokens("a eyJh.eyJp.c2ln, eyJ b");
        assert!(
            clean.starts_with("a sha256:") && clean.ends_with(", eyJ b"),
            "{clean}"
        );
        assert!(!clean.contains("c2ln"));
    }
}

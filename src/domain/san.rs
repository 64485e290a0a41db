//! Names in a certificate (subject alternative names, RFC 5280 section 4.2.1.6).
//!
//! Only the two kinds that name a service are supported: DNS names and URIs, which include
//! SPIFFE IDs. The common name is never used (RFC 9525 section 6.3).

use std::fmt;

/// A DNS name or a URI in a client certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum San {
    /// A DNS name, in lower case.
    Dns(Box<str>),
    /// A URI, compared byte by byte.
    Uri(Box<str>),
}

/// Why a text is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a DNS name without wildcards, or a URI such as spiffe://domain/path (not a common name)"
)]
pub struct InvalidSan;

impl San {
    /// Parses a name: a URI if it has a scheme, else a DNS name.
    ///
    /// # Errors
    /// [`InvalidSan`] for a text that is longer than 2,048 bytes or contains spaces, control
    /// or non-ASCII characters, and for a DNS name with wildcards or invalid labels.
    pub fn parse(text: &str) -> Result<Self, InvalidSan> {
        if text.len() > 2048 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidSan);
        }
        match text.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) && !rest.is_empty() => {
                Ok(Self::Uri(text.into()))
            }
            None if is_dns_name(text) => Ok(Self::Dns(text.to_ascii_lowercase().into())),
            _ => Err(InvalidSan),
        }
    }
}

/// As in RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(legal)
}

fn is_dns_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(legal)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) | Self::Uri(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_scheme_is_a_uri() {
        for uri in ["spiffe://prod.example/ns/x/sa/y", "urn:service:a"] {
            assert_eq!(San::parse(uri), Ok(San::Uri(uri.into())));
        }
        let lower = San::Dns("pipeline.internal".into());
        assert_eq!(San::parse("Pipeline.Internal"), Ok(lower));
    }

    #[test]
    fn wildcards_common_names_and_broken_names_are_refused() {
        let long = "a".repeat(64);
        for bad in [
            "",
            ".",
            "*",
            "*.example.com",
            "CN=x",
            "a b",
            "a..b",
            "a.",
            ".a",
            "-a",
            "a-",
            "é",
            "spiffe:",
            "1x://y",
            "a\n",
            &long,
            "host:",
            ":x",
        ] {
            assert_eq!(San::parse(bad), Err(InvalidSan), "{bad:?}");
        }
    }
}

//! Email addresses that the vendor notifies about an action.

/// The most addresses in one request.
pub const MAX_EMAILS: usize = 20;

/// An email address that is safe in the vendor's comma-separated list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(Box<str>);

/// Why a text is not an address. Never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be at most 254 ASCII characters with one \"@\" and no comma, semicolon, space or control character"
)]
pub struct InvalidEmail;

impl Email {
    /// Accepts up to 254 printable ASCII characters without comma and semicolon, with one `@`
    /// that is neither first nor last.
    ///
    /// # Errors
    /// [`InvalidEmail`] for anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let legal = |b: u8| b.is_ascii_graphic() && b != b',' && b != b';';
        let (local, host) = text.split_once('@').ok_or(InvalidEmail)?;
        if text.len() <= 254
            && text.bytes().all(legal)
            && !local.is_empty()
            && !host.is_empty()
            && !host.contains('@')
        {
            Ok(Self(text.into()))
        } else {
            Err(InvalidEmail)
        }
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_addresses_and_refuses_lists() {
        assert_eq!(Email::parse("a@b.c").unwrap().as_str(), "a@b.c");
        let long = format!("{}@b.c", "x".repeat(251));
        for bad in [
            "", "a", "@b", "a@", "a@b@c", "a@b,c@d", "a@b;c", "a @b", "a@b\r\n", "é@b", &long,
        ] {
            assert_eq!(Email::parse(bad), Err(InvalidEmail), "{bad:?}");
        }
    }
}

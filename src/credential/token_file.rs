//! A file with a token for the vendor, which another program renews.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::error::TokenFetchError;
use super::token::Grant;
use super::token_response;
use crate::domain::TokenHistory;
use crate::files::{self, FileReadError};

/// The longest token or assertion, in bytes.
const MAX_TEXT: u64 = 16 * 1024;

/// A file with the vendor's token.
#[derive(Debug)]
pub struct TokenFile {
    /// The file, read again when it changes.
    pub path: PathBuf,
}

impl TokenFile {
    pub(super) async fn fetch(&self, history: &TokenHistory) -> Result<Grant, TokenFetchError> {
        #[derive(Deserialize)]
        struct Expiry {
            exp: f64,
        }
        let token = read_text(&self.path).await?;
        // Only the expiry is read; whether the token is genuine is for the vendor to check.
        let claims: Expiry = insecure_decode_claims(token.as_str())
            .map_err(|_| TokenFetchError::File("it does not hold a JWT with an exp claim"))?;
        // Bounded, since the file may hold any number.
        let left = (claims.exp - Timestamp::now().as_duration().as_secs_f64()).min(1e9);
        let left = Duration::try_from_secs_f64(left)
            .map_err(|_| TokenFetchError::File("the token in it has expired"))?;
        token_response::bearer(&token, left, history).map_err(|_| {
            TokenFetchError::File("the token in it has characters that a header cannot carry")
        })
    }
}

/// The content of a file, without white space around it.
///
/// # Errors
/// [`TokenFetchError::File`], which quotes nothing of the content.
pub(super) async fn read_text(path: &Path) -> Result<Zeroizing<String>, TokenFetchError> {
    let read = files::read_async(path.to_owned(), MAX_TEXT).await;
    let content = read.map_err(|error| {
        TokenFetchError::File(match error {
            FileReadError::Unreadable(_) => "it cannot be read",
            FileReadError::TooLong(_) => "it is longer than 16 KiB",
            FileReadError::NotFile(_) => "it is not a regular file",
            FileReadError::Late => "it does not answer; check the mount that it is on",
            FileReadError::Panicked => "it was not read because of a bug in the gateway",
        })
    })?;
    let bytes = Zeroizing::new(content.bytes);
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| TokenFetchError::File("it cannot be read as text"))?;
    token_text(text).map(|token| Zeroizing::new(token.to_owned()))
}

/// The token in a file's content; white space around it does not count.
fn token_text(content: &str) -> Result<&str, TokenFetchError> {
    match content.trim_ascii() {
        "" => Err(TokenFetchError::File("it is empty")),
        token if token.bytes().all(|b| b.is_ascii_graphic()) => Ok(token),
        token if token.starts_with('\u{feff}') => Err(TokenFetchError::File(
            "it begins with a byte order mark; write it without one",
        )),
        _ => Err(TokenFetchError::File(
            "it holds something else than a token: one line of visible ASCII characters",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use tempfile::TempDir;

    async fn lifetime(claims: &str) -> Result<Duration, TokenFetchError> {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("token");
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        std::fs::write(&path, format!(" {token}\n")).unwrap();
        let grant = TokenFile { path }.fetch(&TokenHistory::default()).await;
        grant.map(|grant| grant.lifetime)
    }

    #[tokio::test]
    async fn a_lifetime_follows_exp_and_is_a_day_at_most() {
        const DAY: Duration = Duration::from_secs(86_400);
        for endless in ["1e19", "1e300", "99999999999"] {
            let claims = format!("{{\"exp\":{endless}}}");
            assert_eq!(lifetime(&claims).await, Ok(DAY), "{endless}");
        }
        let soon = Timestamp::now().as_second() + 100;
        let left = lifetime(&format!("{{\"exp\":{soon}}}")).await.unwrap();
        assert!(left > Duration::from_secs(90) && left <= Duration::from_secs(100));
        for over in ["0", "-1", "-1e300"] {
            let claims = format!("{{\"exp\":{over}}}");
            let failure = Err(TokenFetchError::File("the token in it has expired"));
            assert_eq!(lifetime(&claims).await, failure, "{over}");
        }
        for none in ["{}", "{\"exp\":\"soon\"}", "[]"] {
            assert!(lifetime(none).await.is_err(), "{none}");
        }
    }

    #[test]
    fn a_file_holds_a_token_and_nothing_else() {
        assert_eq!(token_text(" abc.def-_~+/= \r\n"), Ok("abc.def-_~+/="));
        for other in [
            "",
            " \n",
            "\u{feff}abc",
            "two words",
            "two\nlines",
            "a\0b",
            "\u{e9}",
        ] {
            assert!(token_text(other).is_err(), "{other:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipe_is_refused_without_waiting() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let read = read_text(&path).await;
        assert_eq!(read, Err(TokenFetchError::File("it is not a regular file")));
    }
}

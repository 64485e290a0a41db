//! A token that something else renews, in a file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Failure, Grant, grant};
use crate::domain::Ring;

/// The longest token or assertion, in bytes.
const MAX_TEXT: u64 = 16 * 1024;

/// How long a file may keep us waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// A file with the vendor's token.
#[derive(Debug)]
pub struct TokenFile {
    /// Where it is. It is read when it changes.
    pub path: PathBuf,
}

impl TokenFile {
    pub(super) async fn fetch(&self, ring: &Ring) -> Result<Grant, Failure> {
        #[derive(Deserialize)]
        struct Claims {
            exp: f64,
        }
        let token = read_text(&self.path).await?;
        // Whether it is genuine is for the vendor to say; how long it lives, only it can.
        let claims: Claims = insecure_decode_claims(token.as_str())
            .map_err(|_| Failure::File("it holds no JWT with an exp"))?;
        // Bounded, since anything can stand there.
        let left = (claims.exp - Timestamp::now().as_duration().as_secs_f64()).min(1e9);
        let left = Duration::try_from_secs_f64(left)
            .map_err(|_| Failure::File("the token in it has expired"))?;
        grant::bearer(&token, left, ring)
            .map_err(|_| Failure::File("what is in it cannot be a header's value"))
    }
}

/// What is in a file, without white space around it.
///
/// # Errors
/// [`Failure::File`], which does not say what is in it.
pub(super) async fn read_text(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let path = path.to_path_buf();
    // A file can keep its reader waiting: this thread has others to serve.
    let reading = tokio::task::spawn_blocking(move || read_now(&path));
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(text)) => text,
        Ok(Err(_)) | Err(_) => Err(Failure::File("it cannot be read in time")),
    }
}

fn read_now(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let is_file = std::fs::metadata(path).map_or(true, |file| file.is_file());
    if !is_file {
        return Err(Failure::File("it is no regular file"));
    }
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(|_| Failure::File("it cannot be opened"))?;
    let length = file
        .take(MAX_TEXT + 1)
        .read_to_string(&mut text)
        .map_err(|_| Failure::File("it cannot be read as text"))?;
    if length as u64 > MAX_TEXT {
        return Err(Failure::File("it is longer than 16 KiB"));
    }
    match text.trim_ascii() {
        "" => Err(Failure::File("it is empty")),
        text => Ok(Zeroizing::new(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use tempfile::TempDir;

    async fn lifetime(claims: &str) -> Result<Duration, Failure> {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("token");
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        std::fs::write(&path, format!(" {token}\n")).unwrap();
        let grant = TokenFile { path }.fetch(&Ring::default()).await;
        grant.map(|grant| grant.lifetime)
    }

    #[tokio::test]
    async fn a_token_lives_as_long_as_it_says_but_no_longer_than_a_day() {
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
            let failure = Err(Failure::File("the token in it has expired"));
            assert_eq!(lifetime(&claims).await, failure, "{over}");
        }
        for none in ["{}", "{\"exp\":\"soon\"}", "[]"] {
            assert!(lifetime(none).await.is_err(), "{none}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipe_holds_nobody_up() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let read = read_text(&path).await;
        assert_eq!(read, Err(Failure::File("it is no regular file")));
    }
}

//! A token that something else renews, in a file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::Deserialize;

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
        let claims: Claims = insecure_decode_claims(&token)
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
pub(super) async fn read_text(path: &Path) -> Result<String, Failure> {
    let path = path.to_path_buf();
    // A file can keep its reader waiting: this thread has others to serve.
    let reading = tokio::task::spawn_blocking(move || read_now(&path));
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(text)) => text,
        Ok(Err(_)) | Err(_) => Err(Failure::File("it cannot be read in time")),
    }
}

fn read_now(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
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
        text => Ok(text.to_owned()),
    }
}

//! The configuration as a whole, from files on disk and an injected environment.
//!
//! Every test has a directory of its own and never looks at the process's
//! environment. One file a topic.

mod access;
mod callers;
mod certificate;
mod credentials;
mod files;
mod identity;
mod layers;
mod leaks;
mod managed;
mod outbound;
mod reload;
mod secrets;
mod tls;
mod url;
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{
    BASE, ConfigSource, CredentialMethod, CredentialSettings, Finding, KeyKind, Loaded, known_keys,
    load,
};
use crate::domain::Application;

/// Everything that has no default, as short as it gets.
const GOOD: &str = r#"
[credentials.contoso]
kind = "client-secret"
tenant_id = "contoso.example"
client_id = "app"
client_secret = "hush"

[[publishers]]
id = "contoso"
credential = "contoso"

[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["1111111111111111111111111111111111111111111111111111111111111111"]
allow = [{ actions = ["cancel"], publishers = ["contoso"], offers = ["contoso-*"] }]
"#;

/// What `GOOD` says of its credential.
const CLIENT_SECRET: &str = "kind = \"client-secret\"
tenant_id = \"contoso.example\"
client_id = \"app\"
client_secret = \"hush\"
";

/// `GOOD` with another credential.
fn good_with(credential: &str) -> String {
    assert!(GOOD.contains(CLIENT_SECRET));
    GOOD.replace(CLIENT_SECRET, credential)
}

/// A configuration directory, and the environment beside it.
struct Fixture {
    dir: TempDir,
    environment: BTreeMap<String, String>,
}

impl Fixture {
    /// `GOOD` as `base.toml`, `text` as the profile `t` over it.
    fn over_good(text: &str) -> Self {
        Self::empty().file("base.toml", GOOD).file("t.toml", text)
    }

    /// `GOOD` with another credential, as the profile.
    fn of(credential: &str) -> Self {
        Self::empty().file("t.toml", good_with(credential))
    }

    fn empty() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            environment: BTreeMap::new(),
        }
    }

    /// Readable for its user alone.
    fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(name), content).unwrap();
        protect(&self.path(name), 0o600);
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn source(&self, profile: Option<&str>) -> ConfigSource {
        ConfigSource {
            dir: Some(self.dir.path().to_owned()),
            profile: profile.map(str::to_owned),
            environment: self.environment.clone(),
        }
    }

    /// With the profile `t` if there is one.
    fn load(&self) -> Loaded {
        let profile = self.path("t.toml").exists().then_some("t");
        load(&self.source(profile)).unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// The credential of `GOOD`.
    fn credential(&self) -> CredentialSettings {
        self.load().settings.credentials["contoso"].clone()
    }

    fn method(&self) -> CredentialMethod {
        self.credential().method
    }

    fn application(&self) -> Application {
        match self.method() {
            CredentialMethod::ClientSecret { application, .. }
            | CredentialMethod::ClientCertificate { application, .. }
            | CredentialMethod::WorkloadIdentity { application, .. } => application,
            other => panic!("{other:?}"),
        }
    }

    fn client_secret(&self) -> String {
        match self.method() {
            CredentialMethod::ClientSecret { secret, .. } => secret.expose().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// What is wrong with the credential, the common beginning left out.
    fn problems_of_credential(&self) -> String {
        short(&self.problems())
    }

    /// What deserves a look about the credential, the common beginning left out.
    fn warnings_of_credential(&self) -> String {
        short(&self.warnings())
    }

    /// Everything that is wrong, the directory's own path left out.
    fn problems(&self) -> Vec<String> {
        let profile = self.path("t.toml").exists().then_some("t");
        let problems = load(&self.source(profile)).expect_err("it loads");
        self.lines(problems.problems())
    }

    fn warnings(&self) -> Vec<String> {
        self.lines(&self.load().warnings)
    }

    fn lines(&self, problems: &[Finding]) -> Vec<String> {
        let dir = format!("{}/", self.dir.path().display());
        problems
            .iter()
            .map(|problem| problem.to_string().replace(&dir, ""))
            .collect()
    }
}

fn short(lines: &[String]) -> String {
    let lines = lines.join("\n");
    lines
        .replace("t.toml: credentials.contoso.", "")
        .replace("credentials.contoso.", "")
}

/// Sets a file's mode, where there is one.
#[cfg(unix)]
fn protect(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn protect(_: &Path, _: u32) {}

/// The directory that is delivered.
fn delivered() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

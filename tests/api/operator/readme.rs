//! The README's commands, run as they stand there.

use std::path::Path;
use std::process::{Command, Output};

use offergate_sandbox::Options;
use tempfile::TempDir;

use crate::helpers::{KEY, Setup, spawn, spawn_with};
use crate::issuer::skip;
use crate::vendor::Vendor;

/// The block of shell commands of the README in which this stands.
fn block(contains: &str) -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let mut blocks = readme.split("```sh\n").skip(1);
    let block = blocks.find_map(|rest| {
        let block = rest.split("```").next()?;
        block.contains(contains).then(|| block.to_owned())
    });
    block.unwrap_or_else(|| panic!("no block with {contains}"))
}

/// Runs commands in a shell that finds `offergate`; none if one of the tools is missing.
async fn shell(script: String, directory: &Path, variables: &[(&str, String)]) -> Option<Output> {
    for tool in ["curl", "jq"] {
        if Command::new(tool).arg("--version").output().is_err() {
            skip("OFFERGATE_TEST_README", &format!("{tool} is missing"));
            return None;
        }
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_offergate")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .current_dir(directory)
        .env_clear()
        .env("PATH", path)
        .envs(variables.iter().map(|(name, value)| (name, value)));
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    Some(ended.await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loop_that_waits_for_an_operation_ends_with_an_exit_code() {
    let world = spawn().await;
    let answer = world.cancel("migrated-1").await;
    let location = answer.header("operation-location").unwrap().to_owned();
    let failed = spawn_with(Setup {
        vendor: Options {
            cancel_after: std::time::Duration::from_secs(600),
            ..Options::default()
        },
        tune: |settings| settings.operations.give_up = std::time::Duration::from_secs(1),
        ..Setup::default()
    })
    .await;
    let unfinished = failed.cancel("migrated-1").await;
    let unfinished = unfinished.header("operation-location").unwrap().to_owned();
    // curl would try again for a while where nothing listens.
    let script = block("until curl").replace("--retry 5", "--retry 0");
    let directory = TempDir::new().unwrap();
    for (name, key, location, code, output) in [
        ("succeeds", KEY, location.as_str(), 0, "\"Succeeded\""),
        ("fails", KEY, &unfinished, 1, "\"Failed\""),
        ("wrong key", "wrong-key-0123456789", &location, 22, ""),
        ("no gateway", KEY, "http://127.0.0.1:1/operations/x", 7, ""),
    ] {
        let variables = [("KEY", key.to_owned()), ("LOCATION", location.to_owned())];
        let ended = shell(script.clone(), directory.path(), &variables).await;
        let Some(ended) = ended else { return };
        assert_eq!(ended.status.code(), Some(code), "{name}: {ended:?}");
        let printed = String::from_utf8_lossy(&ended.stdout);
        assert!(printed.contains(output), "{name}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_step_leaves_secret_and_environment_as_they_are() {
    let vendor = Vendor::start(Options::default()).await;
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("my-config");
    std::fs::create_dir(&config).unwrap();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, base) = readme.split_once("### 3. The configuration").unwrap();
    let base = base.split("```toml\n").nth(1).unwrap().split("```").next();
    std::fs::write(config.join("base.toml"), base.unwrap()).unwrap();
    let secret = config.join("client-secret");
    std::fs::write(&secret, "the real one").unwrap();
    let before = std::fs::metadata(&secret).unwrap().modified().unwrap();
    let step = block("offergate sandbox &");
    let script = step
        .replace("offergate sandbox &\n", "env > before\n")
        .replace("127.0.0.1:7070", &vendor.address.to_string());
    let script = format!("{script}env > after\ncmp before after");
    let Some(ended) = shell(script, directory.path(), &[]).await else {
        return;
    };
    assert!(ended.status.success(), "{ended:?}");
    let printed = String::from_utf8_lossy(&ended.stdout);
    assert!(
        printed.lines().all(|line| line.starts_with("ok ")),
        "{ended:?}"
    );
    assert!(printed.contains("publisher contoso"), "{ended:?}");
    assert_eq!(std::fs::read(&secret).unwrap(), b"the real one");
    assert_eq!(
        std::fs::metadata(&secret).unwrap().modified().unwrap(),
        before
    );
}

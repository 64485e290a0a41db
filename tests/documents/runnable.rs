//! Blocks after `<!-- runnable -->` are run as they stand, against a demo on other ports. The
//! blocks of one document share a directory, but not their variables.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::markdown::{Block, Page, page, pages};
use crate::program::{Demo, request, skip};

/// Whether the programs that the blocks call are there; says so if not.
fn can_run() -> bool {
    static MISSING: OnceLock<Vec<&str>> = OnceLock::new();
    let has = |command: &str| {
        let found = Command::new("sh").args(["-c", command]).output();
        found.is_ok_and(|output| output.status.success())
    };
    let missing = MISSING.get_or_init(|| {
        let needed = [
            ("curl", "curl --version"),
            ("jq", "jq --version"),
            ("Python with requests", "python3 -c 'import requests'"),
        ];
        needed
            .into_iter()
            .filter(|(_, command)| !has(command))
            .map(|(name, _)| name)
            .collect()
    });
    if !missing.is_empty() {
        skip(&format!("missing: {}", missing.join(", ")));
    }
    missing.is_empty()
}

/// A demo, and the directory of a document's blocks.
struct Workplace {
    demo: Demo,
    directory: TempDir,
}

impl Workplace {
    /// With the configuration of the README and its secret.
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let config = directory.path().join("my-config");
        std::fs::create_dir(&config).unwrap();
        let blocks = page("README.md").blocks();
        let base = blocks
            .iter()
            .find(|block| block.language == "toml")
            .unwrap();
        std::fs::write(config.join("base.toml"), &base.text).unwrap();
        std::fs::write(config.join("client-secret"), "the real one").unwrap();
        Self {
            demo: Demo::start(),
            directory,
        }
    }

    /// Runs the text in a process group that is ended with it.
    fn run(&self, language: &str, text: &str, url: &str, key: &str) -> Output {
        let text = self.demo.at_its_addresses(text);
        // The demo's sandbox has its place.
        let text = text.replace("offergate sandbox &\n", "");
        let (program, flag) = match language {
            "sh" => ("sh", "-c"),
            "python" => ("python3", "-c"),
            other => panic!("a runnable block of {other}"),
        };
        let own = Path::new(env!("CARGO_BIN_EXE_offergate")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let variables = ["HOME", "PYENV_ROOT", "VIRTUAL_ENV"];
        let variables = variables
            .into_iter()
            .filter_map(|name| Some((name, std::env::var(name).ok()?)));
        Command::new("timeout")
            .args(["120", program, flag, &text])
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", format!("{}:{path}", own.display()))
            .env("OFFERGATE_API_KEY", key)
            .env("OFFERGATE_URL", url)
            .envs(variables)
            .output()
            .unwrap()
    }
}

fn runnable(page: &Page) -> Vec<Block> {
    let blocks = page.blocks().into_iter();
    blocks.filter(|block| block.marker == "runnable").collect()
}

#[test]
fn every_runnable_block_runs() {
    if !can_run() {
        return;
    }
    let mut count = 0;
    for page in pages() {
        let blocks = runnable(&page);
        if blocks.is_empty() {
            continue;
        }
        let workplace = Workplace::new();
        for block in blocks {
            let Demo { gateway, key, .. } = &workplace.demo;
            let ended = workplace.run(&block.language, &block.text, gateway, key);
            assert!(ended.status.success(), "{}: {ended:?}", block.place);
            count += 1;
        }
    }
    assert!(count >= 6, "only {count} runnable blocks");
}

#[test]
fn every_marker_is_known_and_before_a_block() {
    for page in pages() {
        let marked = page
            .text
            .lines()
            .filter(|line| line.trim() == "<!-- runnable -->")
            .count();
        assert_eq!(marked, runnable(&page).len(), "{}", page.name);
    }
}

/// The README's block of this language that sends a cancel.
fn cancel(language: &str) -> String {
    let blocks = runnable(&page("README.md")).into_iter();
    let mut blocks = blocks.filter(|block| block.language == language);
    blocks
        .find(|block| block.text.contains("/cancel"))
        .unwrap()
        .text
}

#[test]
fn waiting_for_an_operation_ends_with_an_exit_code() {
    if !can_run() {
        return;
    }
    let workplace = Workplace::new();
    let Demo { gateway, key, .. } = &workplace.demo;
    // curl would try for a while where nothing listens.
    let shell = cancel("sh").replace("--retry 5", "--retry 0");
    let python = cancel("python");
    let nowhere = "http://127.0.0.1:1";
    for (name, offer, url, key, codes) in [
        (
            "succeeds",
            "contoso-vm",
            gateway.as_str(),
            key.as_str(),
            [0, 0],
        ),
        ("fails", "completes-readme", gateway, key, [1, 1]),
        (
            "wrong key",
            "contoso-vm",
            gateway,
            "wrong-key-0123456789",
            [22, 1],
        ),
        ("no gateway", "contoso-vm", nowhere, key, [7, 1]),
    ] {
        for ((language, text), code) in [("sh", &shell), ("python", &python)].into_iter().zip(codes)
        {
            // Each an idempotency key of its own: another offer is another request.
            let text = text
                .replace("release-42", name)
                .replace("contoso-vm", offer);
            let ended = workplace.run(language, &text, url, key);
            assert_eq!(
                ended.status.code(),
                Some(code),
                "{name}, {language}: {ended:?}"
            );
            let printed = String::from_utf8_lossy(&ended.stdout);
            let word = if code == 0 { "Succeeded" } else { "" };
            assert!(printed.contains(word), "{name}, {language}: {printed}");
        }
    }
}

#[test]
fn the_sandbox_step_touches_neither_the_secret_nor_the_environment() {
    if !can_run() {
        return;
    }
    let workplace = Workplace::new();
    let secret = workplace.directory.path().join("my-config/client-secret");
    let before = std::fs::metadata(&secret).unwrap().modified().unwrap();
    let blocks = runnable(&page("README.md"));
    let step = blocks
        .iter()
        .find(|block| block.text.contains("offergate sandbox &\n"))
        .unwrap();
    let script = format!("env > before\n{}env > after\ncmp before after", step.text);
    let ended = workplace.run("sh", &script, "", "");
    assert!(ended.status.success(), "{ended:?}");
    let printed = String::from_utf8_lossy(&ended.stdout);
    assert!(
        printed.lines().all(|line| line.starts_with("ok ")),
        "{printed}"
    );
    assert!(printed.contains("publisher contoso"), "{printed}");
    assert_eq!(std::fs::read(&secret).unwrap(), b"the real one");
    assert_eq!(
        std::fs::metadata(&secret).unwrap().modified().unwrap(),
        before
    );
}

#[test]
fn the_demo_answers_at_the_addresses_that_it_prints() {
    let demo = Demo::start();
    assert_eq!(
        request("GET", &format!("{}/readyz", demo.admin), &[], "").status,
        200
    );
    let health = format!("{}/_sandbox/v1/health", demo.vendor);
    assert_eq!(request("GET", &health, &[], "").status, 200);
}

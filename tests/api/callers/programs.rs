//! The programs of `examples/`: what each needs, and how it is started.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::step::Step;
use crate::tools::{file, node_packages, python_packages, runs};

/// What a program lacks here, and the variable that requires it.
pub struct Missing {
    pub variable: &'static str,
    pub why: String,
}

fn missing(why: String) -> Missing {
    Missing {
        variable: "OFFERGATE_TEST_CLIENTS",
        why,
    }
}

/// What a program is asked to do.
pub struct Call<'a> {
    pub offer: &'a str,
    pub seconds: &'a str,
    pub url: &'a str,
    pub key: &'a str,
}

/// How to start a program, in an empty directory.
type Start = Box<dyn Fn(&Call, &Path) -> Command + Send + Sync>;

pub struct Program {
    /// Tells the offers of the programs apart.
    pub name: &'static str,
    pub start: Start,
    /// Where it lies.
    _home: Option<TempDir>,
}

/// A program that takes its offer and time limit as arguments.
fn program(
    name: &'static str,
    home: Option<TempDir>,
    command: impl Fn() -> Command + Send + Sync + 'static,
) -> Program {
    let start = move |call: &Call, directory: &Path| {
        let mut command = command();
        command.args([call.offer, call.seconds]);
        let variables = [("OFFERGATE_URL", call.url), ("OFFERGATE_API_KEY", call.key)];
        isolate(&mut command, directory).envs(variables);
        command
    };
    Program {
        name,
        start: Box::new(start),
        _home: home,
    }
}

/// A command that runs in this directory, and sees nothing of the test's environment.
fn isolate<'a>(command: &'a mut Command, directory: &Path) -> &'a mut Command {
    command
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("TMPDIR", directory)
}

fn curl_and_jq() -> Result<(), Missing> {
    let lacking = ["curl", "jq"]
        .into_iter()
        .find(|tool| !runs(tool, "--version"));
    lacking.map_or(Ok(()), |tool| Err(missing(format!("{tool} is missing"))))
}

pub fn shell() -> Result<Program, Missing> {
    curl_and_jq()?;
    let command = || Command::new(file("examples/cancel.sh"));
    Ok(program("shell", None, command))
}

pub fn python(name: &'static str, example: &'static str) -> Result<Program, Missing> {
    let python = python_packages("tests/clients").map_err(missing)?;
    Ok(program(name, None, move || {
        let mut command = Command::new(&python);
        command.arg(file(example));
        command
    }))
}

pub fn node() -> Result<Program, Missing> {
    node_packages("tests/clients").map_err(missing)?;
    // Node looks for packages beside the program.
    let home = TempDir::new().unwrap();
    let example = home.path().join("cancel.mjs");
    fs::copy(file("examples/cancel.mjs"), &example).unwrap();
    let packages = file("tests/clients/node_modules");
    std::os::unix::fs::symlink(packages, home.path().join("node_modules")).unwrap();
    Ok(program("node", Some(home), move || {
        let mut command = Command::new("node");
        command.arg(&example);
        command
    }))
}

pub fn go() -> Result<Program, Missing> {
    if !runs("go", "version") {
        return Err(Missing {
            variable: "OFFERGATE_TEST_GO",
            why: "Go is not installed".into(),
        });
    }
    let home = TempDir::new().unwrap();
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(home.path())
        .arg(file("examples/cancel.go"))
        .current_dir(home.path())
        .env("GOTOOLCHAIN", "local")
        .env("GOCACHE", home.path().join("cache"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    let built = home.path().join("cancel");
    Ok(program("go", Some(home), move || Command::new(&built)))
}

/// The step of the workflow, as a runner of GitHub executes it.
pub fn workflow() -> Result<Program, Missing> {
    curl_and_jq()?;
    let step = Step::read("examples/github-actions.yml");
    let start = move |call: &Call, directory: &Path| {
        let script = directory.join("step.sh");
        fs::write(&script, &step.script).unwrap();
        let path = |name: &str| directory.join(name).into_os_string();
        for name in ["output", "summary"] {
            fs::write(directory.join(name), "").unwrap();
        }
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail"]);
        command.arg(script);
        isolate(&mut command, directory)
            .env("CI", "true")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_JOB", "cancel")
            .env("GITHUB_RUN_ID", "11223344556")
            .env("GITHUB_RUN_ATTEMPT", "1")
            .env("RUNNER_TEMP", directory)
            .env("GITHUB_OUTPUT", path("output"))
            .env("GITHUB_STEP_SUMMARY", path("summary"))
            .envs(step.environment(call));
        command
    };
    Ok(Program {
        name: "workflow",
        start: Box::new(start),
        _home: None,
    })
}

//! Programs and packages that some tests need and `cargo test` does not install. A test that
//! lacks one is skipped and says so; a variable with the value `required`, as `.ci/run` sets it,
//! makes that a failure.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Reports that the calling test was skipped, on standard error itself: libtest captures what the
/// macros print. Fails if this variable requires it.
pub fn skip(variable: &str, why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!("SKIPPED: {test}: {why}\n");
    let required = std::env::var(variable).is_ok_and(|value| value == "required");
    assert!(!required, "{variable}=required, but: {line}");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A file of this repository.
pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Whether this program runs.
pub fn runs(program: impl AsRef<OsStr>, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null());
    command.output().is_ok_and(|output| output.status.success())
}

/// Whether Node is there, and the packages that the lock file in this directory asks for; or what
/// is missing.
pub fn node_packages(directory: &str) -> Result<(), String> {
    if !runs("node", "--version") {
        return Err("Node is not installed".into());
    }
    // npm writes the latter last, when everything is in place.
    let changed = |name: &str| {
        let path = file(directory).join(name);
        fs::metadata(path).and_then(|file| file.modified())
    };
    let wanted = changed("package-lock.json").unwrap();
    let how = format!("run `npm ci` in {directory}");
    match changed("node_modules/.package-lock.json") {
        Ok(installed) if installed >= wanted => Ok(()),
        Ok(_) => Err(format!(
            "its packages are older than package-lock.json: {how}"
        )),
        Err(_) => Err(format!("its packages are missing: {how}")),
    }
}

/// The interpreter of `.venv` in this directory, if the packages that `requirements.in` names are
/// there in these versions; or what is missing.
pub fn python_packages(directory: &str) -> Result<PathBuf, String> {
    let python = file(directory).join(".venv/bin/python");
    let how = format!("install {directory}/requirements.txt into {directory}/.venv");
    if !runs(&python, "--version") {
        return Err(format!("Python's packages are missing: {how}"));
    }
    let libraries = file(directory).join(".venv/lib");
    let version = fs::read_dir(libraries).unwrap().next().unwrap().unwrap();
    let packages = version.path().join("site-packages");
    let wanted = fs::read_to_string(file(directory).join("requirements.in")).unwrap();
    for line in wanted.lines().filter(|line| !line.starts_with('#')) {
        let (name, version) = line.split_once("==").unwrap();
        let record = format!("{}-{version}.dist-info", name.replace('-', "_"));
        if !packages.join(record).is_dir() {
            return Err(format!("{line} is missing: {how}"));
        }
    }
    Ok(python)
}

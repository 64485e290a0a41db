//! A gateway's memory cannot be read by other processes of the same user or from a core dump.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::getuid;
use tempfile::TempDir;

use crate::config::write_config;
use crate::helpers::Setup;
use crate::process::{Process, program_for_all};
use crate::vendor::Vendor;

/// The owner of the /proc files of a process that cannot be dumped (proc(5)).
const ROOT: u32 = 0;
/// The user `nobody`: the owner of root's processes is the same in both cases, so the test
/// needs another user.
const NOBODY: u32 = 65_534;

/// A gateway that runs as another user than root.
struct Unprivileged {
    process: Process,
    user: u32,
    _directory: TempDir,
    _vendor: Vendor,
}

impl Unprivileged {
    async fn serve(toml: &str) -> Self {
        let setup = Setup {
            toml: toml.into(),
            ..Setup::default()
        };
        let vendor = Vendor::start(setup.vendor.clone()).await;
        let directory = TempDir::new().unwrap();
        write_config(&directory, vendor.address, &setup);
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let mut command = Command::new(program_for_all(directory.path()));
        command
            .args(["serve", "--config", ".", "--profile", "test"])
            .current_dir(directory.path())
            .env_clear();
        let me = getuid().as_raw();
        let user = if me == ROOT { NOBODY } else { me };
        if user != me {
            command.uid(user).gid(user);
        }
        let mut process = Process::spawn(&mut command);
        process
            .wait_for_line(|line| line.contains("\"listen\"").then_some(()))
            .await;
        Self {
            process,
            user,
            _directory: directory,
            _vendor: vendor,
        }
    }

    fn proc(&self) -> PathBuf {
        Path::new("/proc").join(self.process.id().to_string())
    }

    fn owner_of_its_memory(&self) -> u32 {
        fs::metadata(self.proc().join("mem")).unwrap().uid()
    }
}

/// The limits on a core file, soft and hard.
fn core_limits(process: &Path) -> Vec<String> {
    let limits = fs::read_to_string(process.join("limits")).unwrap();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"));
    let words = line.unwrap().split_whitespace().take(2);
    words.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateways_memory_is_protected() {
    let gateway = Unprivileged::serve("").await;
    assert_eq!(core_limits(&gateway.proc()), ["0", "0"]);
    assert_eq!(gateway.owner_of_its_memory(), ROOT);
}

#[tokio::test(flavor = "multi_thread")]
async fn allow_debugger_removes_the_protection() {
    let gateway = Unprivileged::serve("[server]\nallow_debugger = true").await;
    assert_eq!(
        core_limits(&gateway.proc()),
        core_limits(Path::new("/proc/self"))
    );
    assert_eq!(gateway.owner_of_its_memory(), gateway.user);
}

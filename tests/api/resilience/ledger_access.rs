//! A ledger that the gateway's user may not use: `serve` and `check` refuse it alike. Tests may
//! run as root, who may do everything, so the program runs as another user then.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::config::write_config;
use crate::helpers::Setup;
use crate::process::{Ended, Process, program_for_all};
use crate::tools::skip;
use crate::vendor::Vendor;

/// The user `nobody`.
const NOBODY: u32 = 65_534;

/// The directory of a gateway, with one for the ledger in it, that belongs to the gateway's user.
struct Place {
    directory: TempDir,
    program: PathBuf,
    user: u32,
}

impl Place {
    fn new(vendor: &Vendor) -> Self {
        let setup = Setup {
            toml: "[ledger]\nurl = \"sqlite:outer/store/offergate.db\"".into(),
            ..Setup::default()
        };
        let directory = TempDir::new().unwrap();
        write_config(&directory, vendor.address, &setup);
        set_mode(directory.path(), 0o755);
        let me = geteuid();
        let user = if me.is_root() { NOBODY } else { me.as_raw() };
        let place = Self {
            program: program_for_all(directory.path()),
            directory,
            user,
        };
        for path in [place.outer(), place.store()] {
            fs::create_dir(&path).unwrap();
            place.give(&path);
        }
        place
    }

    fn outer(&self) -> PathBuf {
        self.directory.path().join("outer")
    }

    fn store(&self) -> PathBuf {
        self.outer().join("store")
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.store().join(format!("offergate.db{suffix}"))
    }

    /// Gives a file to the gateway's user.
    fn give(&self, path: &Path) {
        chown(path, Some(self.user), Some(self.user)).unwrap();
    }

    fn start(&self, command: &str) -> Process {
        let mut program = Command::new(&self.program);
        program
            .args([command, "--config", ".", "--profile", "test"])
            .current_dir(self.directory.path())
            .env_clear();
        if geteuid().is_root() {
            program.uid(self.user).gid(self.user);
        }
        Process::spawn(&mut program)
    }

    async fn run(&self, command: &str) -> Ended {
        self.start(command).ended().await
    }

    /// Lets a gateway make a ledger.
    async fn used(&self) {
        let mut process = self.start("serve");
        process.listens().await;
        process.signal("TERM");
        let ended = process.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let checked = self.run("check").await;
        assert_eq!(checked.code, Some(0), "{checked:?}");
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Gives a file to root, with this mode.
fn take(path: &Path, mode: u32) {
    chown(path, Some(0), Some(0)).unwrap();
    set_mode(path, mode);
}

/// A file system that cannot be written, until dropped; none if this process may not mount it.
struct ReadOnly<'a>(&'a Path);

impl<'a> ReadOnly<'a> {
    fn mount(directory: &'a Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "ro", "none"]);
        let mounted = mount.arg(directory).output().ok()?;
        mounted.status.success().then_some(Self(directory))
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

/// Both commands refuse with the same words, of which these are a part.
async fn assert_refused(place: &Place, words: &str) {
    let served = place.run("serve").await;
    assert_eq!(served.code, Some(69), "{words}: {served:?}");
    let (_, reason) = served
        .stderr
        .trim_end()
        .split_once("(ledger.url): ")
        .unwrap();
    assert!(reason.contains(words), "{words}: {reason}");
    let checked = place.run("check").await;
    assert_eq!(checked.code, Some(69), "{words}: {checked:?}");
    let mut lines = checked.stdout.lines();
    let line = lines.find(|line| line.starts_with("FAIL  ledger")).unwrap();
    assert!(line.ends_with(reason), "{reason}: {line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_may_not_be_used_is_refused_by_serve_and_check_alike() {
    type Change = fn(&Place);
    let vendor = Vendor::start(Setup::default().vendor).await;
    let changes: [(Change, &str); 6] = [
        (
            |place| set_mode(&place.store(), 0o555),
            "its directory is not writable: permission denied",
        ),
        (
            |place| set_mode(&place.outer(), 0o000),
            "its directory cannot be accessed: permission denied",
        ),
        (
            |place| set_mode(&place.file(""), 0o400),
            "its file is not readable and writable: permission denied",
        ),
        (
            |place| set_mode(&place.file(".lock"), 0o000),
            "its .lock file is not readable and writable: permission denied",
        ),
        (
            |place| {
                fs::write(place.file("-wal"), "").unwrap();
                place.give(&place.file("-wal"));
                set_mode(&place.file("-wal"), 0o400);
            },
            "its -wal file is not readable and writable: permission denied",
        ),
        (
            |place| {
                fs::remove_dir_all(place.store()).unwrap();
                fs::write(place.store(), "").unwrap();
            },
            "its directory is a file",
        ),
    ];
    for (change, words) in changes {
        let place = Place::new(&vendor);
        place.used().await;
        change(&place);
        assert_refused(&place, words).await;
        // So that the directory can be removed.
        set_mode(&place.outer(), 0o755);
    }
    // Before there is a ledger.
    let place = Place::new(&vendor);
    set_mode(&place.store(), 0o555);
    assert_refused(&place, "its directory is not writable: permission denied").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_ledger_is_refused_by_serve_and_check_alike() {
    type Change = fn(&Place);
    if !geteuid().is_root() {
        return skip(
            "OFFERGATE_TEST_ROOT",
            "only root gives files to other users",
        );
    }
    let vendor = Vendor::start(Setup::default().vendor).await;
    let changes: [(Change, &str); 4] = [
        (
            |place| take(&place.store(), 0o755),
            "its directory is not writable: permission denied",
        ),
        (
            |place| take(&place.file(""), 0o600),
            "its file is not readable and writable: permission denied",
        ),
        (
            |place| take(&place.file(".lock"), 0o644),
            "its .lock file is not readable and writable: permission denied",
        ),
        (
            |place| take(&place.file(""), 0o666),
            "other users may access its files, and their mode cannot be changed",
        ),
    ];
    for (change, words) in changes {
        let place = Place::new(&vendor);
        place.used().await;
        change(&place);
        assert_refused(&place, words).await;
    }
    let place = Place::new(&vendor);
    let store = place.store();
    match ReadOnly::mount(&store) {
        Some(_mounted) => {
            assert_refused(
                &place,
                "its directory is not writable: read-only filesystem",
            )
            .await;
        }
        None => skip("OFFERGATE_TEST_ROOT", "no tmpfs can be mounted here"),
    }
}

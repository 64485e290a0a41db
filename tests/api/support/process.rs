//! The program itself, or another, as a process: starting, stopping and reading its output.

use std::fs::Permissions;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::client::{self, Answer};
use crate::config::write_config;
use crate::helpers::{KEY, Setup};
use crate::vendor::Vendor;

/// The time limit of each wait for a process.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running program, which is killed when dropped.
pub struct Process {
    child: Child,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
}

/// A program's output and exit code.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// Starts `offergate` with these arguments, in this directory, with these
    /// variables only.
    pub fn start(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offergate"));
        command
            .args(arguments)
            .current_dir(directory)
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        Self::spawn(&mut command)
    }

    /// Starts a gateway with the configuration of this directory.
    pub fn serve(directory: &Path) -> Self {
        let arguments = ["serve", "--config", ".", "--profile", "test"];
        // The gateway ignores this variable, from which other programs take their log level.
        Self::start(directory, &arguments, &[("RUST_LOG", "trace")])
    }

    /// Waits until a gateway logs its addresses: for callers, and for the platform.
    pub async fn listens(&mut self) -> (SocketAddr, SocketAddr) {
        self.wait_for_line(listening).await
    }

    /// Starts any program and collects its output.
    pub fn spawn(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let deadline = Instant::now() + TIMEOUT;
        let mut child = loop {
            match command.spawn() {
                // A program that was just copied: a child that another test has forked
                // meanwhile still holds the file open for writing, until it executes its own.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                    assert!(Instant::now() < deadline, "{error}");
                    std::thread::sleep(Duration::from_millis(5));
                }
                child => break child.unwrap(),
            }
        };
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Self {
            child,
            stdout,
            stderr,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.lock().unwrap()).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap()).into_owned()
    }

    pub fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        let sent = kill.args([&format!("-{name}"), &self.child.id().to_string()]);
        assert!(sent.status().unwrap().success());
    }

    /// Waits until standard output has a line that `find` finds something in.
    pub async fn wait_for_line<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let stdout = self.stdout();
            let whole = &stdout[..stdout.rfind('\n').map_or(0, |end| end + 1)];
            if let Some(found) = whole.lines().find_map(&find) {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            let over = ended.is_some() || Instant::now() > deadline;
            assert!(!over, "{ended:?}: {stdout}{}", self.stderr());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills it, as a power cut would.
    pub async fn killed(mut self) -> Ended {
        self.child.kill().unwrap();
        self.ended().await
    }

    /// Waits for its end.
    pub async fn ended(self) -> Ended {
        self.ended_within(TIMEOUT).await
    }

    /// The same with another time limit.
    pub async fn ended_within(mut self, limit: Duration) -> Ended {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "does not end: {}", self.stdout());
            sleep(Duration::from_millis(10)).await;
        };
        // The pipes end with the process; what is in them may take a moment.
        while Arc::strong_count(&self.stdout) + Arc::strong_count(&self.stderr) > 2 {
            sleep(Duration::from_millis(5)).await;
        }
        Ended {
            code: status.code(),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Reads a pipe to its end, on a thread of its own.
fn collect(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<Vec<u8>>> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&all);
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            written.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
    });
    all
}

/// Runs the program to its end.
pub async fn run(directory: &Path, arguments: &[&str]) -> Ended {
    Process::start(directory, arguments, &[]).ended().await
}

/// A copy of the program that every user may execute; the build directory may be private.
pub fn program_for_all(directory: &Path) -> PathBuf {
    let program = directory.join("offergate");
    std::fs::copy(env!("CARGO_BIN_EXE_offergate"), &program).unwrap();
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    program
}

/// A gateway that is a process of its own, in front of `vendor`.
pub struct Served {
    pub process: Process,
    pub directory: TempDir,
    pub address: SocketAddr,
    pub admin: SocketAddr,
}

impl Served {
    pub async fn start(vendor: &Vendor, setup: &Setup) -> Self {
        let directory = TempDir::new().unwrap();
        write_config(&directory, vendor.address, setup);
        let mut process = Process::serve(directory.path());
        let (address, admin) = process.listens().await;
        Self {
            process,
            directory,
            address,
            admin,
        }
    }

    pub async fn send(&self, method: &str, path: &str) -> Answer {
        client::send(self.address, method, path, &[("X-Api-Key", KEY)], "").await
    }

    pub async fn cancel(&self, offer: &str) -> Answer {
        self.send("POST", &format!("/offers/{offer}/cancel")).await
    }

    pub async fn admin(&self, path: &str) -> Answer {
        client::send(self.admin, "GET", path, &[], "").await
    }
}

/// The addresses in the line that says that the gateway listens.
fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let address = |member: &str| line[member].as_str()?.parse().ok();
    Some((address("listen")?, address("admin")?))
}

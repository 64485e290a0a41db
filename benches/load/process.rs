//! A server in a process of its own: started, measured by what the kernel knows of
//! it, and killed when it is dropped.

use std::fs;
use std::io::{BufRead, BufReader, Error, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Names the role in which this program runs itself.
pub const ROLE: &str = "OFFERGATE_BENCH_ROLE";

/// What `/proc/PID/stat` counts in: `sysconf(_SC_CLK_TCK)` is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// What a server may have open beside its callers' connections.
const OTHER_FILES: usize = 1500;

/// A running server.
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// This very program in another role. It writes its address on its first line,
    /// and ends with its standard input.
    pub fn of_this_program(role: &str, arguments: &[String]) -> Result<Self, Error> {
        let child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Self::with_address(child, |child| {
            let mut line = String::new();
            if let Some(stdout) = child.stdout.take() {
                BufReader::new(stdout).read_line(&mut line)?;
            }
            let address = line.trim().parse();
            address.map_err(|_| Error::other(format!("{role} did not start")))
        })
    }

    /// A child that is already running, and how to learn where it listens.
    pub fn with_address(
        child: Child,
        learn: impl FnOnce(&mut Child) -> Result<SocketAddr, Error>,
    ) -> Result<Self, Error> {
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        server.address = learn(&mut server.child)?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has it read its configuration again.
    pub fn hang_up(&self) -> Result<(), Error> {
        self.signal("HUP")
    }

    /// Has it stop in good order.
    pub fn terminate(&self) -> Result<(), Error> {
        self.signal("TERM")
    }

    /// The standard library has no words for signals.
    fn signal(&self, name: &str) -> Result<(), Error> {
        let told = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()?;
        match told.success() {
            true => Ok(()),
            false => Err(Error::other(format!("kill -{name} failed"))),
        }
    }

    /// The CPU time of all its threads so far, dead ones included.
    pub fn cpu(&self) -> Result<Duration, Error> {
        let stat = self.proc("stat")?;
        // The name, in parentheses, may hold spaces; utime and stime are the 14th
        // and 15th fields (proc_pid_stat(5)).
        let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks: Vec<u32> = fields
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse().ok())
            .collect();
        match ticks[..] {
            [user, system] => Ok(TICK * (user + system)),
            _ => Err(Error::other("/proc/PID/stat is not as expected")),
        }
    }

    /// How many callers may be connected to it: the gateway has a file for each, and those
    /// to the vendor.
    pub fn connections(&self) -> Result<usize, Error> {
        Ok(self.files()?.saturating_sub(OTHER_FILES))
    }

    /// How many files it may have open.
    fn files(&self) -> Result<usize, Error> {
        let limits = self.proc("limits")?;
        let soft = limits.lines().find_map(|line| {
            let limits = line.strip_prefix("Max open files")?;
            limits.split_ascii_whitespace().next()?.parse().ok()
        });
        soft.ok_or_else(|| Error::other("no limit of open files in /proc/PID/limits"))
    }

    /// A line of `/proc/PID/status` that is in kB, in KiB.
    pub fn status_kib(&self, key: &str) -> Result<u64, Error> {
        let status = self.proc("status")?;
        let value = status
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
            .and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok());
        value.ok_or_else(|| Error::other(format!("no {key} in /proc/PID/status")))
    }

    fn proc(&self, file: &str) -> Result<String, Error> {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Tells whoever started this process where it listens, and ends it with them:
/// also when they are killed and can no longer do it themselves.
pub fn announce(address: SocketAddr) {
    println!("{address}");
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        let _ended = std::io::stdin().read_to_end(&mut rest);
        std::process::exit(0);
    });
}

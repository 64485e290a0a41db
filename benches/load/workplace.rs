//! Where the gateways work: a directory on the disk under `target`, with their
//! configuration, their ledgers and their logs; and how fast that disk is.

use std::fs::{self, File};
use std::io::{Error, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::configuration::Configuration;
use crate::process::Server;

/// As long as an application's token of Entra's is, in bytes.
pub const TOKEN_LENGTH: usize = 1500;

/// Longest wait for a gateway to listen.
const PATIENCE: Duration = Duration::from_secs(20);
/// A gateway tells nobody when its log is written.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const SYNCS: usize = 200;
const BLOCK: [u8; 4096] = [0x5a; 4096];

pub struct Workplace(TempDir);

/// A running gateway.
pub struct Gateway {
    pub server: Server,
    log: PathBuf,
    /// From its start until it listened.
    pub started_in: Duration,
}

impl Gateway {
    /// Has it read its configuration again, and waits until that is applied. Says how long
    /// it took.
    pub fn reload(&self) -> Result<Duration, Error> {
        let reloads = || -> Result<usize, Error> {
            let text = fs::read_to_string(&self.log)?;
            Ok(text.matches("configuration reloaded").count())
        };
        let before = reloads()?;
        let begun = Instant::now();
        self.server.hang_up()?;
        while begun.elapsed() < PATIENCE {
            if reloads()? > before {
                return Ok(begun.elapsed());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Err(Error::other("the gateway does not reload"))
    }
}

impl Workplace {
    /// On the disk that holds `target`, since a temporary directory may be memory.
    pub fn new() -> Result<Self, Error> {
        let target = env!("CARGO_TARGET_TMPDIR");
        fs::create_dir_all(target)?;
        let directory = tempfile::Builder::new().prefix("load-").tempdir_in(target);
        Ok(Self(directory?))
    }

    /// The real program, as it is deployed: with a configuration file, and a log
    /// at `info` that goes to a file.
    pub fn gateway(
        &self,
        configuration: &Configuration,
        vendor: SocketAddr,
    ) -> Result<Gateway, Error> {
        let directory = self.0.path().join(configuration.name);
        fs::create_dir(&directory)?;
        fs::write(directory.join("base.toml"), configuration.text(vendor)?)?;
        let log = directory.join("log");
        let begun = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_offergate"))
            .args(["serve", "--config", "."])
            .current_dir(&directory)
            // Nothing of the environment is to change what is measured.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .spawn()?;
        let server = Server::with_address(child, |child| listening(child, &log))?;
        Ok(Gateway {
            server,
            log,
            started_in: begun.elapsed(),
        })
    }

    /// How long it takes to append 4 KiB and have them on the disk, many times.
    pub fn fdatasync(&self) -> Result<Vec<Duration>, Error> {
        let path = self.0.path().join("fdatasync");
        let mut file = File::create(&path)?;
        let mut took = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            let begun = Instant::now();
            file.write_all(&BLOCK)?;
            file.sync_data()?;
            took.push(begun.elapsed());
        }
        fs::remove_file(path)?;
        Ok(took)
    }
}

/// Where the gateway's log says that it listens.
fn listening(child: &mut Child, log: &Path) -> Result<SocketAddr, Error> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let text = fs::read_to_string(log)?;
        let address = text
            .split_once(r#""listen":""#)
            .and_then(|(_, rest)| rest.split_once('"')?.0.parse().ok());
        if let Some(address) = address {
            return Ok(address);
        }
        if let Some(status) = child.try_wait()? {
            return Err(Error::other(format!("the gateway ended: {status}\n{text}")));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Err(Error::other("the gateway does not listen"))
}

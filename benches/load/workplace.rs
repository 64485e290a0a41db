//! Where the gateways work: a directory on the disk under `target`, with their
//! configuration, their ledgers and their logs; and how fast that disk is.

use std::fs::{self, File};
use std::io::{Error, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::Server;

/// What the load generator presents.
pub const KEY: &str = "load-bench-key-0123456789";
/// As long as an application's token of Entra's is, in bytes.
pub const TOKEN_LENGTH: usize = 1500;

/// Longest wait for a gateway to listen.
const PATIENCE: Duration = Duration::from_secs(20);
const SYNCS: usize = 200;
const BLOCK: [u8; 4096] = [0x5a; 4096];

pub struct Workplace(TempDir);

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
    pub fn gateway(&self, durability: &str, vendor: SocketAddr) -> Result<Server, Error> {
        let directory = self.0.path().join(durability);
        fs::create_dir(&directory)?;
        fs::write(directory.join("base.toml"), settings(durability, vendor))?;
        let log = directory.join("log");
        let child = Command::new(env!("CARGO_BIN_EXE_offergate"))
            .args(["serve", "--config", "."])
            .current_dir(&directory)
            // Nothing of the environment is to change what is measured.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .spawn()?;
        Server::with_address(child, |child| listening(child, &log))
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
        // The gateway tells nobody when its log is written.
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(Error::other("the gateway does not listen"))
}

fn settings(durability: &str, vendor: SocketAddr) -> String {
    let hash = offergate::identity::hash(KEY.as_bytes());
    let digits: String = hash.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
workers = 1
max_in_flight_actions = 1024
[admin]
listen = "127.0.0.1:0"
[portal]
base_url = "http://{vendor}"
[credentials.main]
kind = "client-secret"
authority = "http://{vendor}"
tenant_id = "contoso.onmicrosoft.com"
client_id = "7a2c0d60-0000-4000-8000-000000000001"
client_secret = "load-bench-secret-0123456789"
[[publishers]]
id = "contoso"
credential = "main"
[[callers]]
name = "load"
default_publisher = "contoso"
api_key_sha256 = ["{digits}"]
allow = [ {{ actions = ["read", "cancel"], publishers = ["contoso"], offers = ["bench-*"] }} ]
[ledger]
url = "sqlite:ledger.db"
durability = "{durability}"
[telemetry]
log_level = "info"
log_format = "json"
"#
    )
}

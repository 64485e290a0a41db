//! Why the gateway does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::access::AccessError;
use crate::ledger::LedgerError;
use crate::transport::TransportError;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address cannot be bound.
    #[error("cannot listen on {address} ({key}): {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The configuration key of the address.
        key: &'static str,
        /// The operating system's error.
        source: io::Error,
    },
    /// The ledger cannot be opened.
    #[error("cannot open {} (ledger.url): {source}", .path.display())]
    Ledger {
        /// Its file.
        path: PathBuf,
        /// The ledger's error.
        source: LedgerError,
    },
    /// The unfinished operations cannot be read from the ledger.
    #[error("cannot read the unfinished operations: {0}")]
    Unfinished(LedgerError),
    /// An HTTP client cannot be built.
    #[error("{0}")]
    Transport(#[from] TransportError),
    /// The TLS library refuses the listener's configuration.
    #[error("TLS cannot be set up (server.tls): {0}")]
    Tls(#[from] rustls::Error),
    /// Callers cannot be authenticated with this configuration.
    #[error("{0}")]
    Access(#[from] AccessError),
    /// A listener's workers do not start, most often for lack of descriptors or threads.
    #[error(
        "the {name} cannot start: {source}; check the limits of open files and threads, and server.workers"
    )]
    Listener {
        /// Which one.
        name: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// A thread or a server cannot be started.
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
}

//! The composition root, the only module that depends on all others. [`Gateway::start`] binds the
//! listeners, builds each room from the settings, starts the background thread and serves;
//! [`Gateway::drain`] stops everything in order. A [`Reloader`] applies changed
//! configurations meanwhile.

mod accepting;
pub mod access;
mod background;
pub mod credentials;
mod descriptors;
mod error;
mod gateway;
mod http_service;
mod listeners;
pub mod options;
mod progress;
mod reload;
mod snapshot;
mod tls;
mod worker;

pub use error::StartError;
pub use gateway::Gateway;
pub use progress::Progress;
pub use reload::{Reloader, log_warnings};
pub use snapshot::{FileSnapshot, FilesRead};

//! How the gateway reports: the log's form and the names of its fields.

mod access;
mod json;
mod off_thread;
mod subscriber;

pub use access::{AccessLog, AccessSpan, RouteTemplate};
pub use off_thread::LogGuard;
pub use subscriber::{LogFormat, LogLevel, LogOptions, NoLog, init};

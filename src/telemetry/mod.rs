//! How the gateway reports: the log's form and the names of its fields.

mod access;
mod subscriber;

pub use access::{AccessLog, AccessSpan, RouteTemplate};
pub use subscriber::{LogFormat, LogGuard, LogLevel, LogOptions, NoLog, init, scoped};

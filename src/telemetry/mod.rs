//! Logging: levels and formats, the writer thread, shared fields, and limits on lines that
//! strangers can cause.

mod fields;
mod log_limit;
mod subscriber;
mod writer;

pub use fields::request_span;
pub use log_limit::LogLimit;
pub use subscriber::{AlreadyLogging, LogFormat, LogLevel, LogOptions, init};
pub use tracing_appender::non_blocking::WorkerGuard as LogGuard;

//! Logging: levels and formats, the writer thread, and shared fields.

mod fields;
mod subscriber;
mod writer;

pub use fields::request_span;
pub use subscriber::{AlreadyLogging, LogFormat, LogLevel, LogOptions, init};
pub use tracing_appender::non_blocking::WorkerGuard as LogGuard;

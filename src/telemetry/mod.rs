//! What the process says of itself: its log, with levels, formats, limits on lines that
//! strangers can cause and the thread that writes it, and the supervision of its tasks.

mod fields;
mod json_line;
mod log_limit;
mod subscriber;
mod supervisor;
mod writer;

pub use fields::request_span;
pub use log_limit::LogLimit;
pub use subscriber::{AlreadyLogging, LogFormat, LogLevel, LogOptions, init};
pub use supervisor::{Lifetime, Supervisor};
pub use writer::{LogGuard, log_problem};

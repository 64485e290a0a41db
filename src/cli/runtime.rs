//! The asynchronous runtime and the log of a command.

use std::future::Future;
use std::io;
use std::process::ExitCode;

use super::exit::unavailable;
use crate::telemetry::{self, LogGuard, LogOptions};

/// Runs `main` on a multi-threaded runtime. On actix's single-threaded one, a task that
/// blocks during shutdown would block all others.
pub fn block_on(main: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(main);
            // Not waiting for blocking tasks, which may hang.
            runtime.shutdown_background();
            code
        }
        Err(error) => unavailable(&format!("the runtime cannot be started: {error}")),
    }
}

/// Starts the log.
pub fn log_to(
    options: LogOptions,
    writer: impl io::Write + Send + 'static,
) -> Result<LogGuard, ExitCode> {
    telemetry::init(options, writer).map_err(|error| unavailable(&error.to_string()))
}

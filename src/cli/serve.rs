//! `offergate serve`: runs the gateway until it is told to stop, then drains.

use std::process::ExitCode;

use super::shutdown::Shutdown;
use super::{ConfigArgs, block_on, log_to, unavailable};
use crate::settings::Loaded;
use crate::startup::Gateway;

/// A bug has ended it (`EX_SOFTWARE` of sysexits.h).
const EXIT_SOFTWARE: u8 = 70;
/// As a shell reports a process ended by SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

pub fn run(args: ConfigArgs) -> ExitCode {
    let loaded = match args.load() {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let _log = match log_to(&loaded.settings.telemetry, std::io::stdout()) {
        Ok(guard) => guard,
        Err(code) => return code,
    };
    block_on(serve(loaded))
}

async fn serve(loaded: Loaded) -> ExitCode {
    for warning in &loaded.warnings {
        tracing::warn!(
            place = warning.place,
            key = warning.key,
            "{}",
            warning.message
        );
    }
    let mut shutdown = match Shutdown::listen() {
        Ok(shutdown) => shutdown,
        Err(error) => return unavailable(&format!("signals cannot be handled: {error}")),
    };
    let gateway = match Gateway::start(loaded.settings).await {
        Ok(gateway) => gateway,
        Err(error) => {
            tracing::error!(%error, "not started");
            return unavailable(&error.to_string());
        }
    };
    let asked = tokio::select! {
        () = shutdown.requested() => true,
        () = gateway.failed() => {
            tracing::error!("the watcher has stopped; shutting down to be restarted");
            false
        }
    };
    tokio::select! {
        () = gateway.drain() => if asked { ExitCode::SUCCESS } else { ExitCode::from(EXIT_SOFTWARE) },
        () = shutdown.requested() => {
            tracing::warn!("told twice to stop; stopping at once");
            ExitCode::from(EXIT_INTERRUPTED)
        }
    }
}

//! `offergate serve`: runs the gateway until a signal ends it, and reloads a changed
//! configuration meanwhile.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::config_args::{ConfigArgs, load};
use super::exit::{EXIT_SOFTWARE, unavailable};
use super::harden::harden;
use super::runtime::{block_on, log_to};
use super::shutdown::Shutdown;
use crate::settings::{ConfigSource, Loaded};
use crate::startup::{FileSnapshot, FilesRead, Gateway, log_warnings};

pub fn run(args: ConfigArgs) -> ExitCode {
    let shutdown = match Shutdown::listen() {
        Ok(shutdown) => shutdown,
        Err(error) => return unavailable(&format!("signals cannot be handled: {error}")),
    };
    let source = args.source();
    let snapshot = FileSnapshot::begin();
    let loaded = match load(&source) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    shutdown.set_limit(Gateway::longest_shutdown(&loaded.settings.server));
    let _log = match log_to(loaded.settings.telemetry, io::stdout()) {
        Ok(guard) => guard,
        Err(code) => return code,
    };
    if let Err(error) = harden(&loaded.settings) {
        return unavailable(&error);
    }
    block_on(serve(shutdown, source, snapshot, loaded))
}

async fn serve(
    shutdown: Shutdown,
    source: ConfigSource,
    snapshot: FileSnapshot,
    loaded: Loaded,
) -> ExitCode {
    let Loaded {
        settings,
        warnings,
        files,
    } = loaded;
    let snapshot = snapshot.with(FilesRead {
        files,
        complete: true,
    });
    log_warnings(&warnings);
    let reload_requests = match reload_requests() {
        Ok(requests) => requests,
        Err(error) => return unavailable(&format!("signals cannot be handled: {error}")),
    };
    let started = tokio::select! {
        started = Gateway::start(settings) => started,
        () = shutdown.requested() => return ExitCode::SUCCESS,
    };
    let gateway = match started {
        Ok(gateway) => gateway,
        Err(error) => {
            tracing::error!(%error, "the gateway cannot start");
            return unavailable(&error.to_string());
        }
    };
    let reloader = gateway.reloader();
    let following = reloader.follow(source, snapshot, reload_requests);
    gateway.spawn("watcher of the configuration", following);
    let code = tokio::select! {
        () = shutdown.requested() => ExitCode::SUCCESS,
        () = gateway.failed() => {
            tracing::error!("shutting down for a restart");
            shutdown.begin();
            ExitCode::from(EXIT_SOFTWARE)
        }
    };
    if gateway.drain().await {
        code
    } else {
        ExitCode::from(EXIT_SOFTWARE)
    }
}

/// A request to reload for each SIGHUP from now on. Several at once count as one.
fn reload_requests() -> io::Result<mpsc::Receiver<()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (sender, requests) = mpsc::channel(1);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            // A full channel means that a reload is already due.
            let _ = sender.try_send(());
        }
    });
    Ok(requests)
}

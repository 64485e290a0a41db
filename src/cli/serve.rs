//! `offergate serve`: runs the gateway until a signal ends it, and reloads a changed
//! configuration meanwhile.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::config_args::{ConfigArgs, load};
use super::exit::{EXIT_SOFTWARE, unavailable};
use super::harden::harden;
use super::runtime::{block_on, log_to};
use super::shutdown::Shutdown;
use crate::settings::{ConfigSource, Loaded};
use crate::startup::{FileSnapshot, FilesRead, Gateway, Progress, log_warnings};

pub fn run(args: ConfigArgs) -> ExitCode {
    let progress = Progress::default();
    progress.begin("start: configuration");
    let shutdown = match Shutdown::listen(progress.clone()) {
        Ok(shutdown) => shutdown,
        Err(error) => return unavailable(&format!("signals cannot be handled: {error}")),
    };
    if let Err(error) = survive_file_size_limit() {
        return unavailable(&format!("signals cannot be handled: {error}"));
    }
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
    block_on(serve(shutdown, progress, source, snapshot, loaded))
}

async fn serve(
    shutdown: Shutdown,
    progress: Progress,
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
    // Handled from here on: until then it ends the process.
    let hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => return unavailable(&format!("signals cannot be handled: {error}")),
    };
    let started = tokio::select! {
        started = Gateway::start_with(settings, progress) => started,
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
    let (requesting, requests) = mpsc::channel(1);
    let following = reloader.follow(source, snapshot, requests);
    gateway.spawn("watcher of the configuration", following);
    gateway.spawn("receiver of SIGHUP", request_reloads(hangups, requesting));
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

/// Beyond the limit of a file's size (`ulimit -f`), a write fails like one to a full disk: the
/// ledger refuses actions, and health says so. Unhandled, the signal would end the process
/// without a word.
fn survive_file_size_limit() -> io::Result<()> {
    // The flag is of no interest; with a handler the write returns.
    flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// Requests a reload for each SIGHUP. Several at once count as one.
async fn request_reloads(mut hangups: Signal, requests: mpsc::Sender<()>) {
    while hangups.recv().await.is_some() {
        // A full channel means that a reload is already due.
        let _ = requests.try_send(());
    }
}

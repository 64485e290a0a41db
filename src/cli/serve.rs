//! `offergate serve`: runs the gateway until a signal ends it, and reloads a changed
//! configuration meanwhile.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::config_args::{ConfigArgs, load};
use super::exit::{EXIT_INTERRUPTED, EXIT_SOFTWARE, unavailable};
use super::harden::harden;
use super::runtime::{block_on, log_to};
use super::shutdown::Shutdown;
use crate::settings::{ConfigSource, Loaded};
use crate::startup::{FileSnapshot, FilesRead, Gateway, log_warnings};

pub fn run(args: ConfigArgs) -> ExitCode {
    let source = args.source();
    let snapshot = FileSnapshot::begin();
    let loaded = match load(&source) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let _log = match log_to(loaded.settings.telemetry, io::stdout()) {
        Ok(guard) => guard,
        Err(code) => return code,
    };
    if let Err(error) = harden(&loaded.settings) {
        return unavailable(&error);
    }
    block_on(serve(source, snapshot, loaded))
}

async fn serve(source: ConfigSource, snapshot: FileSnapshot, loaded: Loaded) -> ExitCode {
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
    let signals = Shutdown::listen().and_then(|shutdown| Ok((shutdown, reload_requests()?)));
    let (mut shutdown, reload_requests) = match signals {
        Ok(signals) => signals,
        Err(error) => return unavailable(&format!("signals cannot be handled: {error}")),
    };
    let gateway = match Gateway::start(settings).await {
        Ok(gateway) => gateway,
        Err(error) => {
            tracing::error!(%error, "the gateway cannot start");
            return unavailable(&error.to_string());
        }
    };
    tokio::spawn(gateway.reloader().follow(source, snapshot, reload_requests));
    let code = tokio::select! {
        () = shutdown.requested() => ExitCode::SUCCESS,
        () = gateway.failed() => {
            tracing::error!("the background thread has ended; shutting down for a restart");
            ExitCode::from(EXIT_SOFTWARE)
        }
    };
    tokio::select! {
        () = gateway.drain() => code,
        () = shutdown.requested() => {
            tracing::warn!("second signal; stopping at once");
            ExitCode::from(EXIT_INTERRUPTED)
        }
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

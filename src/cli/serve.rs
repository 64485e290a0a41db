//! `offergate serve`: runs the gateway until it is told to stop, then drains.
//! Meanwhile it takes over changed configurations.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::shutdown::Shutdown;
use super::{ConfigArgs, block_on, harden, load, log_to, unavailable};
use crate::settings::{Loaded, Source};
use crate::startup::{Gateway, Reloaded, Watched, log_warnings};

/// A bug has ended it (`EX_SOFTWARE` of sysexits.h).
const EXIT_SOFTWARE: u8 = 70;
/// As a shell reports a process ended by SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

pub fn run(args: ConfigArgs) -> ExitCode {
    let source = args.source();
    let begun = Watched::begin();
    let loaded = match load(&source) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let _log = match log_to(&loaded.settings.telemetry, io::stdout()) {
        Ok(guard) => guard,
        Err(code) => return code,
    };
    if let Err(error) = harden(&loaded.settings) {
        return unavailable(&error);
    }
    block_on(serve(source, begun, loaded))
}

async fn serve(source: Source, begun: Watched, loaded: Loaded) -> ExitCode {
    let Loaded {
        settings,
        warnings,
        files,
    } = loaded;
    let watched = begun.with(Reloaded { files, whole: true });
    log_warnings(&warnings);
    let signals = Shutdown::listen().and_then(|shutdown| Ok((shutdown, hangups()?)));
    let (mut shutdown, hangups) = match signals {
        Ok(signals) => signals,
        Err(error) => return unavailable(&format!("signals cannot be handled: {error}")),
    };
    let gateway = match Gateway::start(settings).await {
        Ok(gateway) => gateway,
        Err(error) => {
            tracing::error!(%error, "not started");
            return unavailable(&error.to_string());
        }
    };
    tokio::spawn(gateway.reloader().follow(source, watched, hangups));
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

/// SIGHUP, from now on: to read the configuration again. Several that come at once
/// count as one.
fn hangups() -> io::Result<mpsc::Receiver<()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (tell, told) = mpsc::channel(1);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let _one_is_waiting_already = tell.try_send(());
        }
    });
    Ok(told)
}

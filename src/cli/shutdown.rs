//! The signals that end the process: the first one as requested, at the latest within a time
//! limit; a second one at once. Neither depends on the asynchronous runtime, which may hang.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use tokio_util::sync::CancellationToken;

use super::exit::{EXIT_INTERRUPTED, EXIT_SOFTWARE, EXIT_TERMINATED};
use crate::startup::Progress;

/// The time limit until [`Shutdown::set_limit`] is called.
const DEFAULT_LIMIT: Duration = Duration::from_secs(10);
/// What is left to the log before the process ends.
const LAST_LINE: Duration = Duration::from_millis(100);

/// Receives SIGTERM and SIGINT from its creation on. Clones are the same.
#[derive(Clone)]
pub struct Shutdown(Arc<ShutdownState>);

struct ShutdownState {
    progress: Progress,
    requested: CancellationToken,
    limit_ms: AtomicU64,
    has_begun: AtomicBool,
}

impl Shutdown {
    /// Starts to handle both signals. The step of `progress` is reported if the time limit
    /// passes.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn listen(progress: Progress) -> io::Result<Self> {
        let shutdown = Self(Arc::new(ShutdownState {
            progress,
            requested: CancellationToken::new(),
            limit_ms: AtomicU64::new(0),
            has_begun: AtomicBool::new(false),
        }));
        shutdown.set_limit(DEFAULT_LIMIT);
        let signals = [SIGTERM, SIGINT];
        let was_requested = Arc::new(AtomicBool::new(false));
        for signal in signals {
            // In this order: only the second signal finds the flag set. It ends the process
            // in the signal's handler, whatever any thread is doing.
            let code = i32::from(EXIT_INTERRUPTED);
            flag::register_conditional_shutdown(signal, code, Arc::clone(&was_requested))?;
            flag::register(signal, Arc::clone(&was_requested))?;
        }
        let mut signals = Signals::new(signals)?;
        let receiver = shutdown.clone();
        let receiving = thread::Builder::new().name("signals".into());
        receiving.spawn(move || {
            if signals.forever().next().is_some() {
                receiver.0.requested.cancel();
                receiver.end_in_time();
            }
        })?;
        Ok(shutdown)
    }

    /// How long the process may take to end after the first signal.
    pub fn set_limit(&self, limit: Duration) {
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.0.limit_ms.store(millis, Ordering::Relaxed);
    }

    /// Completes at the first signal.
    pub async fn requested(&self) {
        self.0.requested.cancelled().await;
    }

    /// Starts the time limit without a signal.
    pub fn begin(&self) {
        let shutdown = self.clone();
        let ending = thread::Builder::new().name("shutdown".into());
        if let Err(error) = ending.spawn(move || shutdown.end_in_time()) {
            tracing::error!(%error, "the shutdown has no time limit, since its thread cannot start");
        }
    }

    /// Ends the process when the time limit has passed, if it has not ended by itself.
    fn end_in_time(&self) {
        if self.0.has_begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let began = Instant::now();
        // The limit may be set only now, when the configuration has been read.
        let limit = || Duration::from_millis(self.0.limit_ms.load(Ordering::Relaxed));
        while let Some(left) = limit().checked_sub(began.elapsed()) {
            thread::sleep(left.clamp(Duration::from_millis(1), Duration::from_secs(1)));
        }
        let step = self.0.progress.step();
        tracing::error!(step, "shutdown took too long; ending at once");
        thread::sleep(LAST_LINE);
        low_level::exit(EXIT_SOFTWARE.into());
    }
}

/// For a command that handles no signals. The first process of a container ignores those that
/// it does not handle (pid_namespaces(7)), so it has to handle them; elsewhere the defaults
/// tell a shell more than an exit code would.
///
/// # Errors
/// The operating system's error.
pub fn end_by_signals() -> io::Result<()> {
    if process::id() != 1 {
        return Ok(());
    }
    for (signal, code) in [(SIGTERM, EXIT_TERMINATED), (SIGINT, EXIT_INTERRUPTED)] {
        let always = Arc::new(AtomicBool::new(true));
        flag::register_conditional_shutdown(signal, code.into(), always)?;
    }
    Ok(())
}

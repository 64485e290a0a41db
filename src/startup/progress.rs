//! What a gateway is doing while it starts or shuts down: named in the log if that takes
//! longer than it should.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// A start that takes longer is reported, and again each time it has taken as long once more.
const LONG_START: Duration = Duration::from_secs(10);

/// The present step. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<&'static str>>);

impl Progress {
    /// From now on this step is being made.
    pub fn begin(&self, step: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    /// The step; empty before the first.
    #[must_use]
    pub fn step(&self) -> &'static str {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports a start that does not get on, until the handle is dropped. A task of its own,
    /// since a step may block the thread that makes it.
    pub(super) fn report_long_start(&self) -> AbortOnDropHandle<()> {
        let progress = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                sleep(LONG_START).await;
                tracing::warn!(
                    step = progress.step(),
                    "the start has not ended; check the disk that this step needs"
                );
            }
        }))
    }
}

//! Events that renew a token before it is due: its file has changed, or the machine was
//! suspended, during which the token aged but the monotonic clock stood still.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::files::{self, FileStamp};

/// Time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Shorter suspensions do not count.
const SHORTEST_SUSPENSION: Duration = Duration::from_secs(2);

/// The observed file and clock, with their initial state.
pub(super) struct RefreshTrigger {
    file: Option<PathBuf>,
    /// The file as it was before the fetch; none until it has answered.
    stamp: Option<Option<FileStamp>>,
    suspended: Duration,
}

impl RefreshTrigger {
    /// Detects suspensions from now on, and changes of `file` once it has been looked at.
    pub(super) fn new(file: Option<&Path>) -> Self {
        Self {
            file: file.map(Path::to_path_buf),
            stamp: None,
            suspended: suspended(),
        }
    }

    /// Detects suspensions and changes of `file` from now on.
    pub(super) async fn watch(file: Option<&Path>) -> Self {
        let mut trigger = Self::new(file);
        trigger.has_changed().await;
        trigger
    }

    /// Completes at the first such event.
    pub(super) async fn fired(&mut self) {
        let mut ticks = interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if suspended().saturating_sub(self.suspended) > SHORTEST_SUSPENSION {
                tracing::info!("the machine was suspended; renewing the token");
                return;
            }
            if self.has_changed().await {
                return;
            }
        }
    }

    /// Looks at the file. One that does not answer counts as unchanged.
    async fn has_changed(&mut self) -> bool {
        let Some(file) = &self.file else {
            return false;
        };
        let Ok(now) = files::stamp_async(file.clone()).await else {
            return false;
        };
        *self.stamp.get_or_insert(now) != now
    }
}

/// How long the machine has been suspended since it was started, which is the difference
/// between two clocks.
#[cfg(target_os = "linux")]
fn suspended() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let nanos = |clock| {
        let now = clock_gettime(clock);
        i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
    };
    let ahead = nanos(ClockId::Boottime) - nanos(ClockId::Monotonic);
    Duration::from_nanos(u64::try_from(ahead).unwrap_or(0))
}

/// Unknown on other systems: there a token that has expired unnoticed is replaced when the
/// vendor rejects it.
#[cfg(not(target_os = "linux"))]
fn suspended() -> Duration {
    Duration::ZERO
}

//! Events that renew a token before it is due: its file has changed, or the machine was
//! suspended, during which the token aged but the monotonic clock stood still.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// Time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Shorter suspensions do not count.
const SHORTEST_SUSPENSION: Duration = Duration::from_secs(2);

/// The observed file and clock, with their initial state.
pub(super) struct RefreshTrigger {
    file: Option<PathBuf>,
    stamp: Option<[i64; 6]>,
    suspended: Duration,
}

impl RefreshTrigger {
    /// Starts detecting suspensions and changes of `file`.
    pub(super) fn watch(file: Option<&Path>) -> Self {
        Self {
            file: file.map(Path::to_path_buf),
            stamp: file.and_then(stamp),
            suspended: suspended(),
        }
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
            if self.file.as_deref().and_then(stamp) != self.stamp {
                return;
            }
        }
    }
}

/// Identity, size and times of a file: one of them changes when the file does.
fn stamp(path: &Path) -> Option<[i64; 6]> {
    let file = std::fs::metadata(path).ok()?;
    let whole = |number: u64| i64::from_ne_bytes(number.to_ne_bytes());
    Some([
        whole(file.ino()),
        whole(file.size()),
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec(),
    ])
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

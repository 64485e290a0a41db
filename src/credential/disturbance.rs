//! What makes a token worth another look before its time: its file has changed, or the
//! machine has slept, during which the monotonic clock stood still and the token aged.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A sleep shorter than this is none.
const SHORTEST_SLEEP: Duration = Duration::from_secs(2);

/// What is looked at, and as it was at the beginning.
pub(super) struct Disturbance {
    file: Option<PathBuf>,
    stamp: Option<[i64; 6]>,
    slept: Duration,
}

impl Disturbance {
    /// Begins to look.
    pub(super) fn watch(file: Option<&Path>) -> Self {
        Self {
            file: file.map(Path::to_path_buf),
            stamp: file.and_then(stamp),
            slept: slept(),
        }
    }

    /// Completes at the first disturbance.
    pub(super) async fn noticed(&mut self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if slept().saturating_sub(self.slept) > SHORTEST_SLEEP {
                tracing::info!("the machine has slept; tokens are renewed");
                return;
            }
            if self.file.as_deref().and_then(stamp) != self.stamp {
                return;
            }
        }
    }
}

/// What changes when a file does.
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

/// For how long the machine has slept since it was started: one clock counts that, the
/// other does not.
#[cfg(target_os = "linux")]
fn slept() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let nanos = |clock| {
        let now = clock_gettime(clock);
        i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
    };
    let ahead = nanos(ClockId::Boottime) - nanos(ClockId::Monotonic);
    Duration::from_nanos(u64::try_from(ahead).unwrap_or(0))
}

/// Nothing is known of it elsewhere; a refused token is replaced all the same.
#[cfg(not(target_os = "linux"))]
fn slept() -> Duration {
    Duration::ZERO
}

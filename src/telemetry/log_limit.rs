//! A limit on log lines that anyone on the network can cause, without losing their count.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// Lines of one kind that are written at once.
const BURST: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// Further ones for each second.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// How long left-out lines are counted before their number is written.
const REPORT_AFTER: Duration = Duration::from_secs(1);

/// The limit of one kind of lines: a burst of 100, then 10 a second. The rest is counted,
/// and the count is written once a second.
pub struct LogLimit {
    kind: &'static str,
    limiter: DefaultDirectRateLimiter,
    left_out: AtomicU64,
    /// Whether a report is due.
    reports: AtomicBool,
}

impl LogLimit {
    /// A limit of its own; `kind` says in the log what was left out.
    #[must_use]
    pub fn new(kind: &'static str) -> Self {
        Self {
            kind,
            limiter: RateLimiter::direct(Quota::per_second(PER_SECOND).allow_burst(BURST)),
            left_out: AtomicU64::new(0),
            reports: AtomicBool::new(false),
        }
    }

    /// Whether one more line may be written; else it is counted.
    pub fn admits(&'static self) -> bool {
        if self.limiter.check().is_ok() {
            return true;
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        if !self.reports.swap(true, Ordering::AcqRel) {
            let report = Report(self);
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    tokio::time::sleep(REPORT_AFTER).await;
                    drop(report);
                });
            }
        }
        false
    }
}

/// Writes the count when it is dropped: after its time, or with the thread that runs it.
struct Report(&'static LogLimit);

impl Drop for Report {
    fn drop(&mut self) {
        // In this order: a line that is counted in between begins another report.
        self.0.reports.store(false, Ordering::Release);
        let left_out = self.0.left_out.swap(0, Ordering::AcqRel);
        if left_out > 0 {
            tracing::info!(
                kind = self.0.kind,
                left_out,
                "log lines left out: too many of their kind"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_left_out_is_counted_and_reported() {
        let limit: &'static LogLimit = Box::leak(Box::new(LogLimit::new("test")));
        let admitted = (0..1000).filter(|_| limit.admits()).count();
        // More only if this took a tenth of a second.
        assert!((100..150).contains(&admitted), "{admitted}");
        let left_out = 1000 - u64::try_from(admitted).unwrap();
        assert_eq!(limit.left_out.load(Ordering::Relaxed), left_out);
        assert!(limit.reports.load(Ordering::Relaxed));
        tokio::time::sleep(REPORT_AFTER * 2).await;
        assert_eq!(limit.left_out.load(Ordering::Relaxed), 0);
        assert!(!limit.reports.load(Ordering::Relaxed));
    }
}

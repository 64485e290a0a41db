//! Notices what dies or hangs inside: every task that must run for as long as the process is
//! wrapped in [`Supervisor::watch`].
//!
//! A task that ends or panics is a failure at once, after which the gateway stops to be
//! restarted. One whose thread does not get on, because something blocks it, makes `/healthz`
//! and `/readyz` fail after a few seconds, and is a failure after half a minute.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use std::{io, thread};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The time between two beats of a task, and between two looks at all of them.
const BEAT: Duration = Duration::from_secs(1);
/// A task that has missed this many looks hangs.
const HANGS_AFTER: u32 = 5;
/// A task that has missed this many looks does not recover.
const FAILS_AFTER: u32 = 30;

/// How a task has failed.
const PANICKED: &str = "has panicked";
const ENDED: &str = "has ended";
const ENDED_WITH_ITS_THREAD: &str = "has ended because its thread has panicked";
const ABORTED: &str = "was aborted";
const HANGS: &str = "hangs";

/// Whether a task may end while the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Its end is a failure.
    Process,
    /// Only a panic is.
    UntilDone,
}

/// Supervises tasks on any thread. Clones are the same supervisor.
#[derive(Clone, Default)]
pub struct Supervisor(Arc<SupervisorState>);

#[derive(Default)]
struct SupervisorState {
    tasks: Mutex<Vec<Arc<TaskState>>>,
    failure: OnceLock<String>,
    failed: CancellationToken,
    /// Tasks may end from then on.
    stopping: CancellationToken,
}

struct TaskState {
    name: String,
    lifetime: Lifetime,
    /// Looks since the last beat. Counted instead of measured, so that a machine or process
    /// that was suspended as a whole is not taken for a task that hangs.
    missed: AtomicU32,
    /// Whether the task is being polled, which takes no time unless it blocks.
    is_polled: AtomicBool,
}

impl Supervisor {
    /// A supervisor with a thread that looks at the tasks every second until the last clone is
    /// dropped.
    ///
    /// # Errors
    /// The operating system's error if the thread cannot be created.
    pub fn start() -> io::Result<Self> {
        let supervisor = Self::default();
        let looks = Looks(Arc::downgrade(&supervisor.0));
        let thread = thread::Builder::new().name("supervisor".into());
        thread.spawn(move || looks.run())?;
        Ok(supervisor)
    }

    /// Runs `task` under this name until it ends. It is supervised from this call on: dropping
    /// the future counts as its end, even if it was never polled.
    pub fn watch<N: Into<String>, F: Future>(
        &self,
        name: N,
        lifetime: Lifetime,
        task: F,
    ) -> impl Future<Output = F::Output> + use<N, F> {
        let watched = WatchedTask::new(self.clone(), name.into(), lifetime);
        async move {
            let mut task = pin!(task);
            let mut beats = interval(BEAT);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let result = poll_fn(|context| {
                // Wakes the task again for the next beat, though it may have nothing to do.
                while beats.poll_tick(context).is_ready() {}
                watched.state.is_polled.store(true, Ordering::Relaxed);
                let polled = task.as_mut().poll(context);
                watched.state.is_polled.store(false, Ordering::Relaxed);
                watched.state.missed.store(0, Ordering::Relaxed);
                polled
            });
            let result = result.await;
            watched.end();
            result
        }
    }

    /// Completes at the first failure.
    pub async fn failed(&self) {
        self.0.failed.cancelled().await;
    }

    /// What is wrong at present, for an operator: the first failure, and the tasks that hang.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let failure = self.0.failure.get();
        let failure = failure.map(|failure| format!("{failure}; restart the gateway"));
        let tasks = self.lock();
        let late = || {
            tasks
                .iter()
                .filter(|task| task.missed.load(Ordering::Relaxed) >= HANGS_AFTER)
        };
        // A task that blocks its thread holds up all others there.
        let blocks = late().any(|task| task.is_polled.load(Ordering::Relaxed));
        let hanging = late()
            .filter(|task| !blocks || task.is_polled.load(Ordering::Relaxed))
            .map(|task| format!("{} hangs; if this persists, restart the gateway", task.name));
        let mut problems: Vec<String> = failure.into_iter().chain(hanging).collect();
        // A listener consists of two tasks.
        problems.dedup();
        problems
    }

    /// From now on the end of a task is not a failure.
    pub fn stop(&self) {
        self.0.stopping.cancel();
    }

    /// Calls [`Self::stop`] when it is dropped.
    #[must_use]
    pub fn stop_on_drop(&self) -> DropGuard {
        self.0.stopping.clone().drop_guard()
    }

    fn fail(&self, name: &str, how: &'static str) {
        if self.0.stopping.is_cancelled() {
            return;
        }
        tracing::error!(task = name, how, "a part of the gateway has failed");
        self.0.failure.get_or_init(|| format!("{name} {how}"));
        self.0.failed.cancel();
    }

    /// One look at all tasks.
    fn look(&self) {
        let mut stuck = Vec::new();
        for task in &*self.lock() {
            match task.missed.fetch_add(1, Ordering::Relaxed) + 1 {
                HANGS_AFTER => tracing::warn!(task = task.name, "a part of the gateway hangs"),
                FAILS_AFTER => stuck.push(Arc::clone(task)),
                _ => {}
            }
        }
        // The one that blocks its thread first.
        stuck.sort_by_key(|task| !task.is_polled.load(Ordering::Relaxed));
        for task in stuck {
            self.fail(&task.name, HANGS);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<TaskState>>> {
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Supervisor")
    }
}

/// The thread that looks at the tasks.
struct Looks(Weak<SupervisorState>);

impl Looks {
    fn run(self) {
        loop {
            thread::sleep(BEAT);
            match self.0.upgrade() {
                Some(state) => Supervisor(state).look(),
                None => return,
            }
        }
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        // Without it no task that hangs would be noticed.
        if let Some(state) = self.0.upgrade() {
            Supervisor(state).fail("supervisor", ENDED);
        }
    }
}

/// A task from its start to its end, however that comes.
struct WatchedTask {
    supervisor: Supervisor,
    state: Arc<TaskState>,
    has_ended: bool,
}

impl WatchedTask {
    fn new(supervisor: Supervisor, name: String, lifetime: Lifetime) -> Self {
        let state = Arc::new(TaskState {
            name,
            lifetime,
            missed: AtomicU32::new(0),
            is_polled: AtomicBool::new(false),
        });
        supervisor.lock().push(Arc::clone(&state));
        Self {
            supervisor,
            state,
            has_ended: false,
        }
    }

    fn end(mut self) {
        self.has_ended = true;
    }
}

impl Drop for WatchedTask {
    fn drop(&mut self) {
        self.supervisor
            .lock()
            .retain(|task| !Arc::ptr_eq(task, &self.state));
        let TaskState { name, lifetime, .. } = &*self.state;
        // A panic leaves the mark that is taken away after each poll.
        let how = match (self.state.is_polled.load(Ordering::Relaxed), lifetime) {
            (true, _) => PANICKED,
            (false, Lifetime::UntilDone) => return,
            (false, Lifetime::Process) if self.has_ended => ENDED,
            (false, Lifetime::Process) if thread::panicking() => ENDED_WITH_ITS_THREAD,
            (false, Lifetime::Process) => ABORTED,
        };
        self.supervisor.fail(name, how);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn looks(supervisor: &Supervisor, count: u32) {
        (0..count).for_each(|_| supervisor.look());
    }

    async fn failure(supervisor: &Supervisor) -> String {
        supervisor.failed().await;
        supervisor.problems().remove(0)
    }

    #[tokio::test]
    async fn the_end_of_a_task_is_a_failure_unless_it_may_end_or_the_process_stops() {
        let supervisor = Supervisor::default();
        supervisor
            .watch("helper", Lifetime::UntilDone, ready(()))
            .await;
        drop(supervisor.watch("helper", Lifetime::UntilDone, pending::<()>()));
        assert!(supervisor.problems().is_empty());
        let stopping = Supervisor::default();
        stopping.stop();
        stopping.watch("poller", Lifetime::Process, ready(())).await;
        assert!(stopping.problems().is_empty());
        supervisor
            .watch("poller", Lifetime::Process, ready(()))
            .await;
        assert_eq!(
            failure(&supervisor).await,
            "poller has ended; restart the gateway"
        );
    }

    #[tokio::test]
    async fn a_panic_and_an_aborted_task_are_failures() {
        for lifetime in [Lifetime::Process, Lifetime::UntilDone] {
            let supervisor = Supervisor::default();
            let panics = tokio::spawn(supervisor.watch("keys", lifetime, async {
                tokio::task::yield_now().await;
                panic!("on purpose");
            }));
            assert!(panics.await.unwrap_err().is_panic());
            assert_eq!(
                failure(&supervisor).await,
                "keys has panicked; restart the gateway"
            );
        }
        let supervisor = Supervisor::default();
        let task = supervisor.watch("worker", Lifetime::Process, pending::<()>());
        let aborted = tokio::spawn(task);
        tokio::task::yield_now().await;
        aborted.abort();
        assert_eq!(
            failure(&supervisor).await,
            "worker was aborted; restart the gateway"
        );
    }

    #[tokio::test]
    async fn a_thread_that_panics_takes_its_tasks_along_even_unpolled() {
        let supervisor = Supervisor::default();
        let task = supervisor.watch("poller", Lifetime::Process, pending::<()>());
        let thread = std::thread::spawn(move || {
            let _never_polled = task;
            panic!("on purpose");
        });
        assert!(thread.join().is_err());
        assert_eq!(
            failure(&supervisor).await,
            "poller has ended because its thread has panicked; restart the gateway"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_waits_does_not_hang() {
        let supervisor = Supervisor::default();
        tokio::spawn(supervisor.watch("poller", Lifetime::Process, pending::<()>()));
        for _ in 0..10 * FAILS_AFTER {
            tokio::time::sleep(BEAT).await;
            supervisor.look();
        }
        assert!(supervisor.problems().is_empty());
    }

    #[test]
    fn the_task_that_blocks_its_thread_is_named_and_recovers_or_fails() {
        let supervisor = Supervisor::default();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (blocking, blocks) = std::sync::mpsc::channel::<()>();
        let task = supervisor.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let idle = task.watch("refresher", Lifetime::UntilDone, pending::<()>());
                tokio::task::spawn_local(idle);
                tokio::task::yield_now().await;
                let blocks_its_thread = async {
                    blocking.send(()).unwrap();
                    let _ = released.recv();
                };
                task.watch("watcher", Lifetime::UntilDone, blocks_its_thread)
                    .await;
            });
        });
        blocks.recv().unwrap();
        looks(&supervisor, HANGS_AFTER - 1);
        assert!(supervisor.problems().is_empty());
        looks(&supervisor, 1);
        let expected = "watcher hangs; if this persists, restart the gateway";
        assert_eq!(supervisor.problems(), [expected]);
        assert!(!supervisor.0.failed.is_cancelled());
        looks(&supervisor, FAILS_AFTER - HANGS_AFTER);
        assert!(supervisor.0.failed.is_cancelled());
        release.send(()).unwrap();
        thread.join().unwrap();
        assert_eq!(
            supervisor.problems(),
            ["watcher hangs; restart the gateway"]
        );
    }
}

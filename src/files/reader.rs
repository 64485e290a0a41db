//! The threads that touch files, so that no other thread has to wait for a file system.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::regular::FileReadError;

/// Threads, and files that are accessed at a time: as many may hang without stopping others.
const MAX_THREADS: usize = 8;
/// How long an idle thread waits for more work, so that checks every second share one.
const KEEP_IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// Runs accesses to files on its threads, at most one for each path.
pub struct FileReader {
    state: Mutex<ReaderState>,
    /// An access has begun to wait, or has ended.
    changed: Condvar,
}

struct ReaderState {
    /// The paths of the accesses that have not ended.
    busy: BTreeSet<PathBuf>,
    /// Those of them that somebody has given up waiting for.
    hung: BTreeSet<PathBuf>,
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl FileReader {
    pub const fn new() -> Self {
        Self {
            state: Mutex::new(ReaderState {
                busy: BTreeSet::new(),
                hung: BTreeSet::new(),
                jobs: VecDeque::new(),
                threads: 0,
                idle: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// The result of `access`, which may block as long as it likes.
    ///
    /// # Errors
    /// [`FileReadError::Late`] after `patience`, and at once while an earlier access to the
    /// same path, or to eight others, hangs; `Unreadable` if there can be no thread; `Panicked` if
    /// `access` does.
    pub fn run<T: Send + 'static>(
        &'static self,
        path: &Path,
        patience: Duration,
        access: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> Result<T, FileReadError> {
        let deadline = Instant::now() + patience;
        let reservation = self.reserve(path, deadline)?;
        let (sender, result) = mpsc::sync_channel(1);
        self.submit(Box::new(move || {
            let found = access(&reservation.path);
            drop(reservation);
            // Nobody may be waiting any more.
            let _ = sender.send(found);
        }))?;
        let left = deadline.saturating_duration_since(Instant::now());
        result.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                let mut state = self.lock();
                if state.busy.contains(path) {
                    state.hung.insert(path.to_owned());
                }
                FileReadError::Late
            }
            RecvTimeoutError::Disconnected => FileReadError::Panicked,
        })
    }

    /// Waits until this path may be accessed.
    fn reserve(
        &'static self,
        path: &Path,
        deadline: Instant,
    ) -> Result<Reservation, FileReadError> {
        let mut state = self.lock();
        loop {
            let is_free = !state.busy.contains(path);
            if is_free && state.busy.len() < MAX_THREADS {
                state.busy.insert(path.to_owned());
                return Ok(Reservation {
                    reader: self,
                    path: path.to_owned(),
                });
            }
            let hopeless = state.hung.contains(path) || state.hung.len() >= MAX_THREADS;
            let left = deadline.saturating_duration_since(Instant::now());
            if hopeless || left.is_zero() {
                return Err(FileReadError::Late);
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn submit(&'static self, job: Job) -> Result<(), FileReadError> {
        let mut state = self.lock();
        state.jobs.push_back(job);
        // Of so many threads at least one does not hang, since so few paths are accessed.
        if state.idle >= state.jobs.len() || state.threads >= MAX_THREADS {
            drop(state);
            self.changed.notify_all();
            return Ok(());
        }
        state.threads += 1;
        let thread = thread::Builder::new().name("files".into());
        let spawned = thread.spawn(|| self.work());
        if let Err(error) = spawned {
            state.threads -= 1;
            // Without any thread the job would wait for the next one that asks.
            if state.threads == 0 {
                let job = state.jobs.pop_back();
                drop(state);
                drop(job);
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // A panic ends this access alone; its caller gets no result.
                let _panicked = catch_unwind(AssertUnwindSafe(job));
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let waited = self
                .changed
                .wait_timeout_while(state, KEEP_IDLE, |state| state.jobs.is_empty());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.idle -= 1;
            if state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, ReaderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to access a path, given back when it is dropped.
struct Reservation {
    reader: &'static FileReader,
    path: PathBuf,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.reader.lock();
        state.busy.remove(&self.path);
        state.hung.remove(&self.path);
        drop(state);
        self.reader.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Sender;

    use super::*;

    const SOON: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(20);

    /// An access to this path that hangs until the sender is dropped.
    fn hang(reader: &'static FileReader, path: &str) -> Sender<()> {
        let (release, released) = mpsc::channel();
        let outcome = reader.run(Path::new(path), SOON, move |_| {
            let _ = released.recv();
        });
        assert!(matches!(outcome, Err(FileReadError::Late)));
        release
    }

    fn access(reader: &'static FileReader, path: &str) -> Option<PathBuf> {
        reader.run(Path::new(path), LONG, Path::to_path_buf).ok()
    }

    #[test]
    fn a_file_that_hangs_stops_no_other_and_is_not_asked_again() {
        static READER: FileReader = FileReader::new();
        let hung: Vec<_> = (1..MAX_THREADS)
            .map(|n| hang(&READER, &format!("/hung/{n}")))
            .collect();
        for _ in 0..3 {
            assert!(access(&READER, "/good").is_some());
            assert!(access(&READER, "/hung/1").is_none(), "asked twice");
        }
        // With the eighth there is no thread left, and nobody waits for one.
        let eighth = hang(&READER, "/hung/8");
        let began = Instant::now();
        assert!(access(&READER, "/good").is_none());
        assert!(began.elapsed() < LONG / 2);
        assert_eq!(READER.lock().threads, MAX_THREADS);
        drop((hung, eighth));
        while !READER.lock().busy.is_empty() {
            thread::yield_now();
        }
        assert!(access(&READER, "/hung/1").is_some());
        assert!(access(&READER, "/good").is_some());
    }

    #[test]
    fn accesses_to_one_path_follow_each_other() {
        static READER: FileReader = FileReader::new();
        static RUNNING: Mutex<()> = Mutex::new(());
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let alone = READER.run(Path::new("/one"), LONG, |_| {
                        let running = RUNNING.try_lock().is_ok();
                        thread::sleep(Duration::from_millis(1));
                        running
                    });
                    assert!(alone.unwrap());
                });
            }
        });
    }

    #[test]
    fn one_thread_serves_one_access_after_the_other() {
        static READER: FileReader = FileReader::new();
        for n in 0..50 {
            assert!(access(&READER, &format!("/{n}")).is_some());
            // The answer comes a moment before its thread is idle again.
            while READER.lock().idle == 0 {
                thread::yield_now();
            }
        }
        assert_eq!(READER.lock().threads, 1);
    }

    #[test]
    fn a_panic_frees_the_path() {
        static READER: FileReader = FileReader::new();
        let outcome = READER.run(Path::new("/bad"), LONG, |_| panic!("on purpose"));
        assert!(matches!(outcome, Err(FileReadError::Panicked)));
        assert!(READER.lock().hung.is_empty());
        assert!(access(&READER, "/bad").is_some());
    }
}

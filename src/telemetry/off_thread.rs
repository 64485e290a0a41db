//! Lines of the log on their way out: written by a thread of their own, many at a
//! time, so that no request waits for a slow disk or a stuck pipe, and none pays for
//! waking another thread.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How long a line waits at the most for others to go with it.
const GATHER: Duration = Duration::from_millis(50);
/// With this much waiting, in bytes, nobody waits any longer.
const ENOUGH: usize = 64 * 1024;
/// With this much waiting, in bytes, new lines are dropped, and counted.
const TOO_MUCH: usize = 4 * 1024 * 1024;

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    dropped: u64,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

/// Takes lines. Cheap to clone.
#[derive(Clone)]
pub struct OffThread(Arc<Shared>);

/// Writes what still waits when it is dropped.
pub struct LogGuard {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread that writes into `writer`.
///
/// # Errors
/// When there can be no thread.
pub fn off_thread(writer: impl Write + Send + 'static) -> io::Result<(OffThread, LogGuard)> {
    let shared = Arc::new(Shared::default());
    let taken = Arc::clone(&shared);
    let thread = std::thread::Builder::new()
        .name("log".into())
        .spawn(move || taken.write_all_to(writer))?;
    let guard = LogGuard {
        shared: Arc::clone(&shared),
        thread: Some(thread),
    };
    Ok((OffThread(shared), guard))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all_to(&self, mut writer: impl Write) {
        let mut lines = Vec::new();
        loop {
            let mut waiting = self.lock();
            if !waiting.closed && waiting.lines.len() < ENOUGH {
                let gathered = self.wake.wait_timeout(waiting, GATHER);
                waiting = gathered.unwrap_or_else(PoisonError::into_inner).0;
            }
            std::mem::swap(&mut lines, &mut waiting.lines);
            let (closed, dropped) = (waiting.closed, std::mem::take(&mut waiting.dropped));
            drop(waiting);
            // A log that cannot be written has nowhere to say so.
            let _unwritable = writer.write_all(&lines).and_then(|()| writer.flush());
            lines.clear();
            if dropped > 0 {
                tracing::warn!(
                    lines = dropped,
                    "the log could not be written fast enough; lines are lost"
                );
            }
            if closed {
                return;
            }
        }
    }
}

impl Write for OffThread {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.lock();
        if waiting.lines.len() + line.len() > TOO_MUCH {
            waiting.dropped += 1;
        } else {
            let before = waiting.lines.len();
            waiting.lines.extend_from_slice(line);
            if before < ENOUGH && waiting.lines.len() >= ENOUGH {
                self.0.wake.notify_one();
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for OffThread {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_in_its_order_before_the_end() {
        let page = Page::default();
        let (mut log, guard) = off_thread(page.clone()).unwrap();
        let lines: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        for line in lines.split_inclusive('\n') {
            log.write_all(line.as_bytes()).unwrap();
        }
        drop(guard);
        assert_eq!(
            String::from_utf8(page.0.lock().unwrap().clone()).unwrap(),
            lines
        );
    }

    #[test]
    fn a_log_that_nobody_reads_drops_lines_and_holds_up_nobody() {
        let stuck = Page::default();
        let reader_is_away = stuck.0.lock().unwrap();
        let (mut log, guard) = off_thread(stuck.clone()).unwrap();
        let line = [b'x'; 64 * 1024];
        for _ in 0..200 {
            log.write_all(&line).unwrap();
        }
        drop(reader_is_away);
        drop(guard);
        assert!(stuck.0.lock().unwrap().len() < 200 * line.len());
    }
}

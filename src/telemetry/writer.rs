//! The log's writer: a separate thread writes the lines, many at a time, so that
//! no request waits for a slow disk or pays for waking another thread.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// The pause after each write. The thread is not woken meanwhile, and the lines of this
/// time are written together. A longer pause leaves more lines in memory than the
/// processor's caches hold.
const GATHER: Duration = Duration::from_millis(5);
/// Lines that may wait; further ones are dropped and counted. The queue is an array of
/// 32 bytes a line, all of them touched at the start; with the lines it is about 2 MiB.
const MAX_WAITING: usize = 4 * 1024;
/// A batch of this size, in bytes, is written although more lines are waiting.
const MAX_BATCH: usize = 64 * 1024;

/// How long the end of the log may take.
const END: Duration = Duration::from_millis(1500);

/// An output that takes nothing for this long is reported.
const STUCK: Duration = Duration::from_secs(5);

/// How the log's output does. A process has one log.
static OUTPUT: Mutex<Output> = Mutex::new(Output {
    writing_since: None,
    failure: None,
});

struct Output {
    /// When the write began that has not ended.
    writing_since: Option<Instant>,
    /// Why the last write failed, if it did.
    failure: Option<io::ErrorKind>,
}

fn output() -> MutexGuard<'static, Output> {
    OUTPUT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is wrong with the log's output, for an operator who does not see it there.
#[must_use]
pub fn log_problem() -> Option<String> {
    let output = output();
    let stuck = output.writing_since.map(|since| since.elapsed());
    if let Some(stuck) = stuck.filter(|stuck| *stuck >= STUCK) {
        let stuck = stuck.as_secs();
        return Some(format!(
            "log: standard output has taken nothing for {stuck} s; further lines are dropped"
        ));
    }
    let failed =
        |failure| format!("log: standard output cannot be written ({failure}); lines are lost");
    output.failure.map(failed)
}

/// Ends the log when it is dropped: what is waiting is written, for `END` at most.
pub struct LogGuard(Option<WorkerGuard>);

impl Drop for LogGuard {
    fn drop(&mut self) {
        // The library's guard prints to standard output if its thread does not answer, which
        // blocks for ever if that is because nothing reads standard output.
        let guard = self.0.take();
        let (sender, ended) = mpsc::channel::<()>();
        let ending = thread::Builder::new().name("log end".into());
        let ending = ending.spawn(move || {
            drop(guard);
            drop(sender);
        });
        if ending.is_ok() {
            let _ended_or_given_up = ended.recv_timeout(END);
        }
    }
}

/// Starts the thread that writes into `writer`, until the guard is dropped.
pub fn non_blocking(writer: impl Write + Send + 'static) -> (NonBlocking, LogGuard) {
    let dropped = Arc::new(OnceLock::new());
    let batches = Batches {
        writer,
        lines: Vec::new(),
        dropped: Arc::clone(&dropped),
        reported: 0,
    };
    let (lines, guard) = NonBlockingBuilder::default()
        .thread_name("log")
        .buffered_lines_limit(MAX_WAITING)
        .finish(batches);
    dropped.get_or_init(|| lines.error_counter());
    (lines, LogGuard(Some(guard)))
}

/// Collects lines until the queue is empty, which is when it is flushed.
struct Batches<W> {
    writer: W,
    lines: Vec<u8>,
    dropped: Arc<OnceLock<ErrorCounter>>,
    /// How many dropped lines the log has mentioned.
    reported: usize,
}

impl<W: Write> Batches<W> {
    fn write_out(&mut self) {
        output().writing_since = Some(Instant::now());
        // A failure to write the log cannot be logged.
        let written = self.writer.write_all(&self.lines);
        *output() = Output {
            writing_since: None,
            failure: written.err().map(|error| error.kind()),
        };
        self.lines.clear();
    }

    /// The number of lines dropped since the last call.
    fn take_dropped(&mut self) -> usize {
        let dropped = self.dropped.get().map_or(0, ErrorCounter::dropped_lines);
        let new = dropped - self.reported;
        self.reported = dropped;
        new
    }
}

impl<W: Write> Write for Batches<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.extend_from_slice(line);
        if self.lines.len() >= MAX_BATCH {
            self.write_out();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out();
        let _unwritable = self.writer.flush();
        let lines = self.take_dropped();
        if lines > 0 {
            tracing::warn!(
                lines,
                "log lines dropped: they were not written fast enough"
            );
        }
        thread::sleep(GATHER);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

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
        let (mut log, guard) = non_blocking(page.clone());
        let lines: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        for line in lines.split_inclusive('\n') {
            log.write_all(line.as_bytes()).unwrap();
        }
        drop(guard);
        let written = page.0.lock().unwrap().clone();
        assert_eq!(String::from_utf8(written).unwrap(), lines);
    }

    #[test]
    fn a_stuck_log_drops_and_counts_lines_without_blocking() {
        let stuck = Page::default();
        let reader_is_away = stuck.0.lock().unwrap();
        let (mut log, guard) = non_blocking(stuck.clone());
        let mut batches = Batches {
            writer: io::sink(),
            lines: Vec::new(),
            dropped: Arc::new(OnceLock::from(log.error_counter())),
            reported: 0,
        };
        assert_eq!(batches.take_dropped(), 0);
        // What a batch holds may be taken from the queue before the writer is stuck.
        let line = [b'x'; 64];
        for _ in 0..2 * MAX_WAITING {
            log.write_all(&line).unwrap();
        }
        let dropped = batches.take_dropped();
        assert!(
            dropped >= MAX_WAITING - 2 * MAX_BATCH / line.len(),
            "{dropped}"
        );
        assert_eq!(batches.take_dropped(), 0);
        drop(reader_is_away);
        drop(guard);
        let written = stuck.0.lock().unwrap().len() / line.len();
        assert_eq!(written + dropped, 2 * MAX_WAITING);
    }

    #[test]
    fn the_end_of_a_stuck_log_is_bounded() {
        let stuck = Page::default();
        let reader_is_away = stuck.0.lock().unwrap();
        let (mut log, guard) = non_blocking(stuck.clone());
        for _ in 0..2 * MAX_WAITING {
            log.write_all(&[b'x'; 64]).unwrap();
        }
        let began = Instant::now();
        drop(guard);
        assert!(began.elapsed() < 2 * END);
        drop(reader_is_away);
    }
}

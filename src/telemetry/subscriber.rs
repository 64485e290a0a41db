//! Where log lines go: one JSON object a line, written off the request's thread.

use std::io::{self, Write};

use tracing::Subscriber;
use tracing::subscriber::DefaultGuard;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// The target of everything that is our own.
const OURS: &str = env!("CARGO_CRATE_NAME");
/// Lines that may wait for a slow reader of the log before new ones are dropped,
/// so that a stuck pipe cannot stop the gateway.
const QUEUE_LINES: usize = 16_384;

/// How much to say. Dependencies stay at `warn`: at lower levels they print what
/// they send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what somebody must look at.
    Error,
    /// And what may become that.
    Warn,
    /// And one line a request.
    Info,
    /// And the steps of following an operation.
    Debug,
    /// And everything else.
    Trace,
}

impl LogLevel {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// What to log, and how.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// How much.
    pub level: LogLevel,
    /// In which form.
    pub format: LogFormat,
}

/// Writes what still waits when it is dropped.
pub type LogGuard = WorkerGuard;

/// Somebody else in this process logs already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("logging is set up already")]
pub struct NoLog;

/// Logs for the whole process into `writer` until the guard is dropped, which
/// writes what still waits.
///
/// # Errors
/// [`NoLog`] if logging was set up before.
pub fn init(options: LogOptions, writer: impl Write + Send + 'static) -> Result<LogGuard, NoLog> {
    let (writer, guard) = off_thread(writer);
    build(options, writer).try_init().map_err(|_| NoLog)?;
    Ok(guard)
}

/// Logs for the calling thread only, as tests do.
pub fn scoped(
    options: LogOptions,
    writer: impl Write + Send + 'static,
) -> (DefaultGuard, LogGuard) {
    let (writer, guard) = off_thread(writer);
    (build(options, writer).set_default(), guard)
}

fn off_thread(writer: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUE_LINES)
        .lossy(true)
        .thread_name("log")
        // The worker flushes whenever its queue is empty: many lines, one write.
        .finish(io::BufWriter::with_capacity(64 * 1024, writer))
}

fn build(options: LogOptions, writer: NonBlocking) -> Box<dyn Subscriber + Send + Sync + 'static> {
    let filter = EnvFilter::new(format!("warn,{OURS}={}", options.level.as_str()));
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    match options.format {
        LogFormat::Json => Box::new(
            base.json()
                .flatten_event(true)
                .with_span_list(false)
                .with_current_span(false)
                .finish(),
        ),
        LogFormat::Pretty => Box::new(base.with_ansi(false).with_target(false).compact().finish()),
    }
}

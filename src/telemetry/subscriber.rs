//! Where log lines go: one JSON object a line, written off the request's thread.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::json::JsonLines;
use super::off_thread::{LogGuard, OffThread, off_thread};

/// The target of everything that is our own.
const OURS: &str = env!("CARGO_CRATE_NAME");

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
    fn as_tracing(self) -> Level {
        match self {
            Self::Error => Level::ERROR,
            Self::Warn => Level::WARN,
            Self::Info => Level::INFO,
            Self::Debug => Level::DEBUG,
            Self::Trace => Level::TRACE,
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

/// Nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum NoLog {
    /// Somebody else in this process logs already.
    #[error("logging is set up already")]
    Taken,
    /// There can be no thread for it.
    #[error("logging needs a thread: {0}")]
    Thread(#[from] io::Error),
}

/// Logs for the whole process into `writer` until the guard is dropped, which
/// writes what still waits.
///
/// # Errors
/// [`NoLog`]
pub fn init(options: LogOptions, writer: impl Write + Send + 'static) -> Result<LogGuard, NoLog> {
    let (writer, guard) = off_thread(writer)?;
    build(options, writer)
        .try_init()
        .map_err(|_| NoLog::Taken)?;
    Ok(guard)
}

fn build(options: LogOptions, writer: OffThread) -> Box<dyn Subscriber + Send + Sync + 'static> {
    let filter = Targets::new()
        .with_default(Level::WARN)
        .with_target(OURS, options.level.as_tracing())
        // A line for each malformed request: anybody could fill the log with them.
        .with_target("actix_http", LevelFilter::OFF);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match options.format {
        LogFormat::Json => {
            let json = layer.event_format(JsonLines);
            Box::new(Registry::default().with(filter).with(json))
        }
        LogFormat::Pretty => {
            let pretty = layer.with_ansi(false).with_target(false).compact();
            Box::new(Registry::default().with(filter).with(pretty))
        }
    }
}

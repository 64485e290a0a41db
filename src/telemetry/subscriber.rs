//! Levels and formats of the log.

use std::fmt;
use std::io::Write;

use jiff::Timestamp;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::json_line::JsonLine;
use super::writer::{LogGuard, non_blocking};

/// The target of the gateway's own events.
const CRATE: &str = env!("CARGO_CRATE_NAME");

/// Which of the gateway's own events are logged. Dependencies stay at `warn`: at lower levels they
/// print what they send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Failures that need an operator.
    Error,
    /// Also conditions that may become failures.
    Warn,
    /// Also one line for each request and for the end of each operation.
    Info,
    /// Also the steps of polling an operation.
    Debug,
    /// All events.
    Trace,
}

impl LogLevel {
    /// All values, with their names in the configuration.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];

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

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text for people.
    Pretty,
}

impl LogFormat {
    /// Both values, with their names in the configuration.
    pub const WORDS: [(&'static str, Self); 2] = [("json", Self::Json), ("pretty", Self::Pretty)];
}

/// What to log, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// The least important level that is logged.
    pub level: LogLevel,
    /// The form of a line.
    pub format: LogFormat,
}

/// The process already has a log.
#[derive(Debug, thiserror::Error)]
#[error("logging is set up already")]
pub struct AlreadyLogging;

/// Logs for the whole process into `writer` until the guard is dropped.
///
/// # Errors
/// [`AlreadyLogging`]
pub fn init(
    options: LogOptions,
    writer: impl Write + Send + 'static,
) -> Result<LogGuard, AlreadyLogging> {
    let (writer, guard) = non_blocking(writer);
    let subscriber = subscriber(options, writer);
    subscriber.try_init().map_err(|_| AlreadyLogging)?;
    Ok(guard)
}

fn subscriber(
    options: LogOptions,
    writer: NonBlocking,
) -> Box<dyn Subscriber + Send + Sync + 'static> {
    let filter = Targets::new()
        .with_default(Level::WARN)
        .with_target(CRATE, options.level.as_tracing())
        // It logs each malformed request, so any client could flood the log.
        .with_target("actix_http", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match options.format {
        LogFormat::Json => {
            let json = lines.event_format(JsonLine).fmt_fields(JsonLine);
            Box::new(Registry::default().with(filter).with(json))
        }
        LogFormat::Pretty => {
            let pretty = lines
                .with_timer(Microseconds)
                .with_ansi(false)
                .with_target(false)
                .compact();
            Box::new(Registry::default().with(filter).with(pretty))
        }
    }
}

/// RFC 3339 in UTC, with six digits of fraction.
struct Microseconds;

impl FormatTime for Microseconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.6}", Timestamp::now())
    }
}

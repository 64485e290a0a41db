//! `[telemetry]`: the log.

use super::reader::{Table, all, one_of};
use crate::telemetry::{LogFormat, LogLevel, LogOptions};

pub fn read(t: &mut Table<'_, '_>) -> Option<LogOptions> {
    all!(LogOptions {
        level: t.required("log_level", one_of(&LogLevel::WORDS)),
        format: t.required("log_format", one_of(&LogFormat::WORDS)),
    })
}

//! The JSON form of a line: one flat object an event.
//!
//! The library's own JSON format goes through a serializer for every member; for a request's
//! line, with a dozen members, that was a third of all instructions spent on reading an operation.

use std::fmt::{self, Write};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// `timestamp` (RFC 3339 in UTC, with six digits of fraction), `level`, the event's fields,
/// `target`, and `span` with the fields and the name of the innermost span.
pub struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let now = Timestamp::now();
        let level = metadata.level();
        write!(line, r#"{{"timestamp":"{now:.6}","level":"{level}""#)?;
        let mut members = Members {
            line: line.by_ref(),
            result: Ok(()),
        };
        event.record(&mut members);
        members.result?;
        write!(line, r#","target":"{}""#, metadata.target())?;
        if let Some(span) = context.lookup_current() {
            write!(line, r#","span":{{"name":"{}""#, span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                line.write_str(fields)?;
            }
            line.write_char('}')?;
        }
        line.write_str("}\n")
    }
}

/// Formats a span's fields once, as members that follow its name.
impl<'w> FormatFields<'w> for JsonLine {
    fn format_fields<R: RecordFields>(&self, line: Writer<'w>, fields: R) -> fmt::Result {
        let mut members = Members {
            line,
            result: Ok(()),
        };
        fields.record(&mut members);
        members.result
    }
}

/// Writes fields, each as a member that follows others.
struct Members<'a> {
    line: Writer<'a>,
    result: fmt::Result,
}

impl Members<'_> {
    fn member(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let line = &mut self.line;
        self.result = self.result.and_then(|()| {
            line.write_str(r#",""#)?;
            line.write_str(field.name())?;
            line.write_str(r#"":"#)?;
            write(line)
        });
    }
}

impl Visit for Members<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field, |line| match value.is_finite() {
            true => write!(line, "{value}"),
            false => line.write_str("null"),
        });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |line| {
            line.write_char('"')?;
            Escaped(line).write_str(value)?;
            line.write_char('"')
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, |line| {
            line.write_char('"')?;
            write!(Escaped(line), "{value:?}")?;
            line.write_char('"')
        });
    }
}

/// Escapes what is written as the inside of a JSON string (RFC 8259 section 7).
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.bytes().position(must_be_escaped) {
            let (plain, from_here) = rest.split_at(at);
            self.0.write_str(plain)?;
            let (escaped, after) = from_here.split_at(1);
            match escaped {
                "\"" => self.0.write_str("\\\""),
                "\\" => self.0.write_str("\\\\"),
                "\n" => self.0.write_str("\\n"),
                control => write!(self.0, "\\u{:04x}", control.as_bytes()[0]),
            }?;
            rest = after;
        }
        self.0.write_str(rest)
    }
}

fn must_be_escaped(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_text_is_read_back_as_it_was_written() {
        let controls: String = ('\0'..='\u{9f}').collect();
        for text in [
            "",
            "plain",
            "\"\\\"",
            "a\nb\tc",
            "é\u{2028}\u{10ffff}",
            &controls,
        ] {
            let mut line = String::new();
            Escaped(&mut Writer::new(&mut line))
                .write_str(text)
                .unwrap();
            assert!(!line.contains('\n'), "{line}");
            let read: Value = serde_json::from_str(&format!("\"{line}\"")).unwrap();
            assert_eq!(read, Value::from(text));
        }
    }
}

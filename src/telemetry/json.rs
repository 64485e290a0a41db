//! One JSON object a line. The stock formatter builds a map of every event and
//! formats that; a line for each request is worth a direct way.

use std::fmt;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Members: `timestamp`, `level`, the event's own fields, `target`. Everything that
/// is text is escaped, so nothing can break a line.
pub struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let now = Timestamp::now();
        write!(
            writer,
            "{{\"timestamp\":\"{now:.6}\",\"level\":\"{}\"",
            metadata.level()
        )?;
        let mut members = Members {
            writer: &mut writer,
            result: Ok(()),
        };
        event.record(&mut members);
        members.result?;
        writeln!(writer, ",\"target\":\"{}\"}}", metadata.target())
    }
}

/// Writes each field as a member; remembers the first failure.
struct Members<'w, 'a> {
    writer: &'w mut Writer<'a>,
    result: fmt::Result,
}

impl Members<'_, '_> {
    fn member(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.result.is_ok() {
            // Names of fields are identifiers of ours.
            self.result =
                write!(self.writer, ",\"{}\":", field.name()).and_then(|()| write(self.writer));
        }
    }
}

impl Visit for Members<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |writer| escaped(writer, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, |writer| escaped(writer, &format!("{value:?}")));
    }
}

/// A JSON string (RFC 8259, 7). What needs no escape is written in one piece.
fn escaped(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    writer.write_char('"')?;
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        // The line separators of JavaScript do not break a JSON line.
        if byte >= 0x20 && byte != b'"' && byte != b'\\' && byte != 0x7f {
            continue;
        }
        writer.write_str(&text[plain_from..at])?;
        match byte {
            b'"' | b'\\' => write!(writer, "\\{}", char::from(byte))?,
            _ => write!(writer, "\\u{byte:04x}")?,
        }
        plain_from = at + 1;
    }
    writer.write_str(&text[plain_from..])?;
    writer.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_one_json_string_on_one_line(text in any::<String>()) {
            let mut line = String::new();
            escaped(&mut Writer::new(&mut line), &text).unwrap();
            prop_assert!(!line.contains(['\n', '\r']));
            let read: String = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(read, text);
        }
    }
}

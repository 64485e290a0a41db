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

/// Initial capacity of a line, in bytes: it seldom has to grow.
const USUAL_LINE: usize = 1024;
/// Initial capacity of a span's fields, in bytes.
const USUAL_FIELDS: usize = 64;

/// `timestamp` (RFC 3339 in UTC, with six digits of fraction), `level`, the event's fields,
/// `target`, and `span` with the fields and the name of the span that the event is in.
pub struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut members = Members(String::with_capacity(USUAL_LINE));
        write!(members.0, r#"{{"timestamp":"{:.6}""#, Timestamp::now())?;
        members.push("level", metadata.level().as_str());
        event.record(&mut members);
        members.push("target", metadata.target());
        let Members(mut line) = members;
        if let Some(span) = context.parent_span() {
            line.push_str(r#","span":{"name":""#);
            line.push_str(span.name());
            line.push('"');
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                line.push_str(fields);
            }
            line.push('}');
        }
        line.push_str("}\n");
        writer.write_str(&line)
    }
}

/// Formats a span's fields once, as members that follow its name.
impl<'w> FormatFields<'w> for JsonLine {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut members = Members(String::with_capacity(USUAL_FIELDS));
        fields.record(&mut members);
        writer.write_str(&members.0)
    }
}

/// Fields, each as a member that follows others. A string of its own, since the library's
/// writer is called through two pointers for every piece.
struct Members(String);

impl Members {
    /// Begins a member; its value is to follow.
    fn begin(&mut self, name: &str) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn push(&mut self, name: &str, text: &str) {
        self.begin(name);
        self.0.push('"');
        push_escaped(&mut self.0, text);
        self.0.push('"');
    }

    fn push_plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.begin(field.name());
        // Writing to a string fails only if the value's own `Display` does.
        let _ = write!(self.0, "{value}");
    }
}

impl Visit for Members {
    fn record_f64(&mut self, field: &Field, value: f64) {
        match value.is_finite() {
            true => self.push_plain(field, value),
            false => self.push_plain(field, "null"),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push_plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push_plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push_plain(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.begin(field.name());
        self.0.push('"');
        let start = self.0.len();
        let _ = write!(self.0, "{value:?}");
        if has_escapes(&self.0[start..]) {
            let text = self.0.split_off(start);
            push_escaped(&mut self.0, &text);
        }
        self.0.push('"');
    }
}

/// Appends a text as the inside of a JSON string (RFC 8259 section 7).
fn push_escaped(line: &mut String, text: &str) {
    if !has_escapes(text) {
        line.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\0'..' ' => line.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => line.push(c),
        }
    }
}

/// Whether anything in it must be escaped. All bytes are looked at, many at a time, since
/// hardly any text has such a byte.
fn has_escapes(text: &str) -> bool {
    text.bytes().fold(false, |found, byte| {
        found | (byte < b' ') | (byte == b'"') | (byte == b'\\')
    })
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
            push_escaped(&mut line, text);
            assert!(!line.contains('\n'), "{line}");
            let read: Value = serde_json::from_str(&format!("\"{line}\"")).unwrap();
            assert_eq!(read, Value::from(text));
        }
    }
}

//! Printing. The macros of the standard library panic when the reader of a pipe has gone, as
//! in `offergate policy table | head -1`; these do not.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use super::exit::unavailable;

/// The first error of standard output.
static FAILURE: OnceLock<ErrorKind> = OnceLock::new();

/// Prints a line to standard output.
macro_rules! outln {
    ($($text:tt)*) => { $crate::cli::output::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints a line to standard error.
macro_rules! errln {
    ($($text:tt)*) => { $crate::cli::output::complain(format_args!("{}\n", format_args!($($text)*))) };
}

pub fn print(text: Arguments<'_>) {
    note(io::stdout().lock().write_fmt(text));
}

pub fn complain(text: Arguments<'_>) {
    // There is no other place to report it.
    let _unread = io::stderr().lock().write_fmt(text);
}

/// The exit code of a command that has printed its output: `code`, unless the output was lost.
/// A reader that has gone wanted no more of it, so that is no failure. Nothing has to be
/// flushed: whatever is printed are whole lines.
pub fn finish(code: ExitCode) -> ExitCode {
    match FAILURE.get() {
        None | Some(ErrorKind::BrokenPipe) => code,
        Some(kind) => unavailable(&format!("cannot write to standard output: {kind}")),
    }
}

fn note(written: io::Result<()>) {
    if let Err(error) = written {
        FAILURE.get_or_init(|| error.kind());
    }
}

//! Exit codes, and how a command reports a failure.

use std::process::ExitCode;

/// Wrong usage, as clap reports it.
pub const EXIT_USAGE: u8 = 2;
/// A dependency is not available (`EX_UNAVAILABLE` of sysexits.h).
pub const EXIT_UNAVAILABLE: u8 = 69;
/// The program ended because of a bug (`EX_SOFTWARE`).
pub const EXIT_SOFTWARE: u8 = 70;
/// The configuration has problems (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;
/// Interrupted, as a shell reports a process that SIGINT has ended.
pub const EXIT_INTERRUPTED: u8 = 130;
/// Ended by SIGTERM, likewise.
pub const EXIT_TERMINATED: u8 = 143;

/// All exit codes, for `offergate --help`.
pub const HELP: &str = "\
Exit codes:
  0    success
  1    the command ran with a negative result (see the command's help)
  2    wrong usage
  69   a dependency of the command is not available
  70   internal error
  78   the configuration has problems
  130  interrupted, by a second signal where the first begins a shutdown
  143  terminated, as the first process of a container";

/// Reports wrong usage.
pub fn usage(message: &str) -> ExitCode {
    fail(EXIT_USAGE, message)
}

/// Reports that a dependency of the command is not available.
pub fn unavailable(message: &str) -> ExitCode {
    fail(EXIT_UNAVAILABLE, message)
}

fn fail(code: u8, message: &str) -> ExitCode {
    errln!("offergate: {message}");
    ExitCode::from(code)
}

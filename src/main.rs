//! The `offergate` program: parse, run, exit code.

use std::process::ExitCode;

/// Two threads' worth of arenas in the system's allocator would weigh more than
/// everything else in the process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    offergate::cli::run()
}

//! The `offergate` program: parse, run, exit code.

use std::process::ExitCode;

/// The per-thread arenas of the system's allocator would take more memory than
/// everything else in the process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    offergate::cli::run()
}

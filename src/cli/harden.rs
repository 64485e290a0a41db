//! Protects the secrets in this process's memory from other processes and core dumps.

use crate::settings::Settings;

/// Turns off core dumps and, on Linux, prevents other processes of the same user from
/// attaching to this one (prctl(2), `PR_SET_DUMPABLE`), unless `server.allow_debugger` is
/// set.
///
/// # Errors
/// A message for the operator if the operating system refuses.
pub fn harden(settings: &Settings) -> Result<(), String> {
    if settings.server.allow_debugger {
        return Ok(());
    }
    let refused = |error| {
        format!(
            "core dumps cannot be turned off ({error}); set server.allow_debugger = true to run without this protection"
        )
    };
    forbid().map_err(refused)
}

#[cfg(target_os = "linux")]
fn forbid() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn forbid() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    Ok(())
}

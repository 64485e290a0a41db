//! Polls every unfinished operation to its end, and records every result.
//!
//! An operation is first polled at the moment of the vendor's answer, then ever more
//! rarely; a restart resumes where the last process was.

mod case;
mod followed;
mod handle;
mod holds;
mod lanes;
mod look;
#[cfg(test)]
mod model;
mod offer;
mod pace;
mod run;
mod state_writer;
mod table;

pub use handle::PollerHandle;
pub use run::{Poller, PollerOptions};

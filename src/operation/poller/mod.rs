//! Polls every unfinished operation to its end, and records every result.
//!
//! An operation is polled at the moment of the vendor's answer, then at growing intervals;
//! after a restart it is resumed. The [`scheduler`] says what is polled when, [`poll`]
//! asks the vendor, [`outcome`](super::outcome) judges, the [`state_writer`] records.

mod fair_queue;
mod handle;
mod interval;
mod now;
mod offer;
mod options;
mod pace;
mod poll;
mod poll_times;
mod run;
mod scheduler;
mod state_writer;
mod throttle;
mod tracked;

pub use handle::PollerHandle;
pub use options::{MAX_POLLS, PollerOptions};
pub use run::Poller;

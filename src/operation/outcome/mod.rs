//! The outcome of an action. Pure: no clock, no network, no state but the evidence. The
//! gateway's clock is the steady one of [`domain::clock`](crate::domain::clock).
//!
//! The vendor answers 202 to almost everything; the truth is in its list of submissions.
//! [`judge`] weighs one reading of that list, by the rules of the action (one file an
//! action); [`observe`] applies the verdict to the operation.

mod cancel;
mod judge;
#[cfg(test)]
mod model;
mod terms;
mod time_evidence;
mod update;

pub use judge::judge;
pub use terms::{Deadlines, Facts, MissingReason, Observation, Verdict};
pub use update::{Effect, adopt, assume_sent, gives_up_at, note_jump, observe, settles_at};

#[cfg(test)]
mod tests;

//! The story of an action: intent, token, call, result; and what became of it.
//!
//! One file an action (`cancel`), one that decides its outcome (`outcome`, pure)
//! and one that follows it to its end (`watch`). Whatever acts demands a
//! [`Permit`](crate::policy::Permit).

mod answer;
mod cancel;
mod failure;
pub mod outcome;
mod vendor;
mod watch;

pub use cancel::{Desk, DeskShared, Keyed, Told, UnderKey, Work, Written};
pub use failure::{Answered, Failure, NotDone, Refusal, Said, Unreachable};
pub use vendor::{Publishers, Vendor};
pub use watch::{Follower, Watcher, WatcherOptions};

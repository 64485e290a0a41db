//! The story of an action: intent, token, call, result; and what became of it.
//!
//! One file an action (`cancel`), one that decides its outcome (`outcome`, pure)
//! and one that polls it to its end (`poller`). Whatever acts demands a
//! [`Permit`](crate::policy::Permit).

mod answer;
mod authorized_portal;
mod cancel;
mod failure;
pub mod outcome;
mod poller;

pub use authorized_portal::{AuthorizedPortal, Publishers};
pub use cancel::{Desk, DeskShared, Keyed, Told, UnderKey, Work, Written};
pub use failure::{Answered, Failure, NotDone, Refusal, Said, Unreachable};
pub use poller::{Poller, PollerHandle, PollerOptions};

//! Actions: what callers ask for, how it is sent, and how its end is found out.
//!
//! [`OperationService`] carries out any action for which the policy gave a
//! [`Permit`](crate::policy::Permit); `poller` polls what is unfinished to its end; `outcome`
//! decides from the evidence what became of it; [`reply`] turns an operation, or a
//! [`RequestFailure`], into the answer.
//!
//! A new action is a file beside `cancel`, which says how it is sent; a route in `http`;
//! and a judge of its outcome.

mod answer;
mod authorized_portal;
mod cancel;
mod failure;
pub mod outcome;
mod poller;
pub mod reply;
mod service;

pub use authorized_portal::{AuthorizedPortal, Publishers};
pub use failure::RequestFailure;
pub use poller::{Poller, PollerHandle, PollerOptions};
pub use reply::{ProblemContext, Reply, ReplyConfig};
pub use service::{Act, ActionRequest, Executed, OperationService, ServiceShared};

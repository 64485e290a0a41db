//! Actions: how they are sent, followed to their end, and answered.
//!
//! [`OperationService`] carries out any action for which the policy granted a
//! [`Permit`](crate::policy::Permit). `poller` polls unfinished operations to their end,
//! [`outcome`] judges the evidence, and [`reply`] turns an operation, or a
//! [`RequestFailure`], into the answer.
//!
//! A new action is a file like `cancel` with an [`Act`], a judge of its outcome, and a
//! route in `http`.

mod act;
mod answer;
mod authorized_portal;
mod cancel;
mod failure;
pub mod outcome;
mod poller;
pub mod reply;
mod service;

pub use act::Act;
pub use authorized_portal::{AuthorizedPortal, Publishers};
pub use failure::RequestFailure;
pub use poller::{MAX_POLLS, Poller, PollerHandle, PollerOptions};
pub use reply::{ProblemContext, Reply, ReplyConfig};
pub use service::{ActionRequest, Executed, OperationService, ServiceShared};

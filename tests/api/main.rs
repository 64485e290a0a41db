//! The gateway over real HTTP, with the sandbox behind it: one file a topic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cancel;
mod client;
mod credential;
mod helpers;
mod identity;
mod ledger;
mod limits;
mod location;
mod outcome;
mod refused;
mod request_id;
mod sent;
mod unreachable;
mod vendor;

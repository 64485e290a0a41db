//! offergate cancels offers on Microsoft's commercial marketplace for callers that do not
//! hold the vendor's credential, and reports the outcome that the vendor's data proves.
//!
//! # The path of a request
//!
//! ```text
//! listener → identity → policy → operation → ledger(intent) → credential → portal
//!          ← problem/JSON ← normalize ← ledger(result) ←──────────────────┘
//! ```
//!
//! [`http`] accepts a request, bounds it and gives it an id. [`identity`] turns its
//! credential into a caller; [`policy`] grants that caller a permit for the target, or denies.
//! [`operation`] executes the action: the intent is durable in the [`ledger`] before
//! [`portal`] sends the first byte with a token from [`credential`]. `portal::normalize`
//! interprets the vendor's answer, and `operation::poller` polls an unfinished operation
//! until it ends.
//!
//! [`http1`] counts where HTTP messages end, below the libraries on both sides.
//!
//! Every module may import [`domain`], [`files`] and [`telemetry`]; all other imports have one
//! direction, which `tests/layering` checks. [`startup`] builds the gateway, and [`cli`]
//! starts it.

pub mod admin;
pub mod cli;
pub mod credential;
pub mod domain;
pub mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod http1;
pub mod identity;
pub mod ledger;
pub mod operation;
pub mod policy;
pub mod portal;
pub mod settings;
pub mod startup;
pub mod telemetry;
pub mod transport;

//! The ledger: the durable record of every operation. An intent is on disk before its
//! request is sent, a result before it is reported.
//!
//! [`Ledger`] is the handle that the program shares, and [`LedgerClient`] its form for one
//! thread. Behind them one task writes and one reads; each turns everything that waits into
//! a single statement of a [`Store`], so that a durable write costs a few microseconds and
//! not a disk flush of its own. A further database is a further folder beside `sqlite/`,
//! which implements [`Store`] and is chosen in `open.rs`.

mod batch;
mod client;
mod error;
mod feed;
mod handle;
mod key_counts;
mod key_state;
mod keys;
mod open;
mod options;
mod reader;
#[cfg(test)]
mod samples;
mod sqlite;
mod store;
mod writer;

pub use client::LedgerClient;
pub use error::LedgerError;
pub use feed::Subscription;
pub use handle::Ledger;
pub use key_counts::{KeysFull, MAX_KEYS};
pub use key_state::KeyState;
pub use keys::{Claim, ClaimResult, IdempotencyIndex};
pub use options::{LedgerOptions, Retention};
pub use store::{Found, MAX_BATCH, Store, Stored, StoredKey};
pub use writer::Write;

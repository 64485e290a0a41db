//! offergate: cancels offers on Microsoft's commercial marketplace for callers who
//! never hold the vendor's credential, and tells the truth about what became of it.
//!
//! # The life of a request
//!
//! ```text
//! listener → identity → policy → operation → ledger(intent) → credential → portal
//!          ← problem/JSON ← normalize ← ledger(result) ←──────────────────┘
//! ```
//!
//! [`http`] accepts a request, bounds it and gives it an id. [`identity`] turns its
//! credential into a caller, [`policy`] caller and target into a permit, or refuses.
//! [`operation`] tells the story of the action: the intent is durable in the
//! [`ledger`] before [`credential`]'s token goes out with [`portal`]'s first byte.
//! What the vendor said becomes what we say in `portal::normalize`, and whatever is
//! not over is followed by `operation::poller` to its end.
//!
//! [`domain`] and [`telemetry`] may be imported by everyone; besides that imports
//! run one way, as `tests/layering` holds them to. [`startup`] puts everything
//! together, [`cli`] starts it.

pub mod admin;
pub mod cli;
pub mod credential;
pub mod domain;
pub mod http;
pub mod identity;
pub mod ledger;
pub mod operation;
pub mod policy;
pub mod portal;
pub mod settings;
pub mod startup;
pub mod telemetry;
pub mod transport;

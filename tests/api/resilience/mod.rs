//! Lost connections, crashes, overload, and a vendor or a token endpoint in trouble.

mod abandoned;
mod credential;
mod descriptors;
mod drain;
mod files;
mod kill;
mod ledger;
mod ledger_files;
mod pipelining;
mod poller;
mod robust;
mod rotate;
mod shutdown;
mod unreachable;

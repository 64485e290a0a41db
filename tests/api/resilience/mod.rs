//! Lost connections, crashes, overload, and a vendor or a token endpoint in trouble.

mod abandoned;
mod credential;
mod drain;
mod kill;
mod ledger;
mod poller;
mod robust;
mod rotate;
mod unreachable;

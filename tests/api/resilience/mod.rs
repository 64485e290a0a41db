//! Lost connections, crashes, overload, and a vendor or a token endpoint in trouble.

mod abandoned;
mod credential;
mod descriptors;
mod drain;
mod file_size;
mod files;
mod kill;
mod ledger;
mod ledger_access;
mod ledger_files;
mod pipelining;
mod poller;
mod robust;
mod rotate;
mod shutdown;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod supervision;
mod unreachable;

//! The HTTP contract: what each request is answered with, and what reaches the vendor.

mod cancel;
mod events;
pub mod idempotency;
mod idempotency_key;
mod limits;
mod location;
mod operations;
mod outcome;
mod refused;
mod request_id;
mod sent;
mod waiting;

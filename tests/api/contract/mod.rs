//! The HTTP contract: the answer to each request, and what reaches the vendor.

mod answers;
mod cancel;
mod events;
mod http;
pub mod idempotency;
mod idempotency_key;
mod limits;
mod location;
mod openapi;
mod operations;
mod outcome;
mod refused;
mod request_id;
mod retry_after;
mod sdk;
mod sent;
mod waiting;

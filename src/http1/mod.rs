//! Where the messages of HTTP/1 end in a stream of bytes (RFC 9112): the blank line after a
//! head, and the last chunk of a body.
//!
//! Both sides count this below their HTTP libraries: `http` to pass on one
//! request at a time, `transport` to notice an answer that broke off. What
//! a message means is for the libraries to say.

mod chunks;
mod head_scan;

pub use chunks::{Chunks, ChunksRead};
pub use head_scan::HeadScan;

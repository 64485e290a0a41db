//! The handlers: one file a noun, each handler a list of named steps.

pub mod events;
pub mod offers;
pub mod operations;
pub mod problems;

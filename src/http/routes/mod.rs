//! The handlers: one file per resource, each handler a list of named steps.

pub mod description;
pub mod events;
pub mod offers;
pub mod operations;
pub mod problems;

//! The API's description (OpenAPI 3.1), made from the route table, and the page that shows it.
//!
//! A new route gets a function in [`descriptions`], which its entry in the table names. Tests
//! hold every answer that they see against the description.

mod answers;
mod contract;
mod description;
pub mod descriptions;
mod document;
mod examples;
mod headers;
mod html;
mod parameters;
mod schemas;

pub use contract::Contract;
pub use description::Description;

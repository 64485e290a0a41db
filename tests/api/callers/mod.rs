//! What callers run: the programs of `examples/`, and client libraries as they are published.
//! Python, Node, their packages and Go are not part of a build; see `support/tools.rs`.

mod dropped;
mod ends;
mod examples;
mod libraries;
mod programs;
mod step;

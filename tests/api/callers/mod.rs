//! What callers run: the programs of `examples/`, and client libraries as they are published.
//! Python, Node, their packages and Go are not part of a build; see `support/tools.rs`.

use std::time::Duration;

mod dropped;
mod ends;
mod examples;
mod libraries;
mod programs;
mod step;

/// How long a program or a library may take: many start at once, and a machine may be slow.
const TIMEOUT: Duration = Duration::from_secs(150);

//! Outbound HTTP: the vendor, token endpoints, issuers of signing keys.
//!
//! This module adds to awc what makes its answers dependable. Redirects are not
//! followed, every framing that HTTP/1 allows is understood and every other refused, bodies
//! are bounded, everything has a deadline, a connection whose framing is in doubt is never
//! used again, and a GET on a stale pooled connection is repeated.

mod backoff;
mod body;
mod client;
mod config;
mod connect;
mod error;
mod framing;
mod headers;
#[cfg(any(test, feature = "fuzzing"))]
mod memory;
mod trust;
mod unreachable;

pub use backoff::Backoff;
pub use body::Body;
pub use client::{HttpClient, Request, Response, Transport};
pub use config::TransportOptions;
pub use error::{Lost, SendError};
#[cfg(any(test, feature = "fuzzing"))]
pub use framing::{Replay, ReplayEnd, replay};
pub use headers::{date, retry_after};
#[cfg(any(test, feature = "fuzzing"))]
pub use memory::{MemoryAnswer, MemoryServer};
pub use trust::{TransportError, trust_warning};
pub use unreachable::{ProxyFailure, ProxyProblem, TlsProblem, Unreachable};

//! State that the handlers of one thread share.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::access::CurrentAccess;
use super::openapi::Contract;
use super::quota::LongPollLimit;
use crate::ledger::LedgerClient;
use crate::operation::{OperationService, ReplyConfig};

/// State that the handlers of one thread share.
pub struct AppState {
    /// The callers, their credentials and rights.
    pub access: CurrentAccess,
    /// Carries out actions.
    pub operations: Rc<OperationService>,
    /// Holds operations.
    pub ledger: LedgerClient,
    /// The configuration of replies.
    pub reply: ReplyConfig,
    /// The longest wait for a finished operation.
    pub max_wait: Duration,
    /// The time between two comments on a stream of events.
    pub keepalive: Duration,
    /// How many requests may wait at a time.
    pub long_polls: LongPollLimit,
    /// Cancelled when the gateway drains, which ends all waiting.
    pub draining: CancellationToken,
    /// The sizes of requests.
    pub limits: RequestLimits,
    /// The API's description, the same for all threads.
    pub contract: Arc<Contract>,
}

/// The largest requests that are accepted.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Limits of the head.
    pub head: HeadLimits,
    /// Limits of the body.
    pub body: BodyLimits,
}

/// The largest request head that is accepted.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// The longest request target, in bytes.
    pub max_uri_bytes: usize,
    /// The longest sum of header names and values, in bytes.
    pub max_header_bytes: usize,
}

/// The largest and slowest body that is accepted.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// The longest body, in bytes.
    pub max_bytes: usize,
    /// The longest time for all of it.
    pub timeout: Duration,
}

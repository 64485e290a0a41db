//! Who may ask, and for what: one version of it, exchanged as a whole.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::quota::Quotas;
use crate::identity::Identity;
use crate::policy::Policy;

/// One version of callers, their credentials, rules and limits. A request keeps the
/// one that it began with to its end.
pub struct Access {
    /// Who callers are.
    pub identity: Identity,
    /// What they may.
    pub policy: Policy,
    /// How much of it.
    pub quotas: Quotas,
}

/// The version that new requests are under.
pub type CurrentAccess = Arc<ArcSwap<Access>>;

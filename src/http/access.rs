//! Who may ask, and for what: one version of it, exchanged as a whole.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use super::quota::Quotas;
use crate::identity::Authenticator;
use crate::policy::Policy;

/// One version of callers, their credentials, rules and limits. A request keeps the
/// one that it began with to its end.
pub struct Access {
    /// Who callers are.
    pub identity: Authenticator,
    /// What they may.
    pub policy: Policy,
    /// How much of it.
    pub quotas: Quotas,
}

/// The version that new requests are under. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct CurrentAccess(Arc<Current>);

struct Current {
    version: ArcSwap<Access>,
    exchanged: watch::Sender<()>,
}

impl CurrentAccess {
    /// Begins with this version.
    #[must_use]
    pub fn new(first: Access) -> Self {
        Self(Arc::new(Current {
            version: ArcSwap::from_pointee(first),
            exchanged: watch::Sender::new(()),
        }))
    }

    /// The version of this moment, for a moment.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Access>> {
        self.0.version.load()
    }

    /// The version of this moment, to be kept.
    #[must_use]
    pub fn load_full(&self) -> Arc<Access> {
        self.0.version.load_full()
    }

    /// Exchanges it, and tells those who are being served under an earlier one.
    pub fn store(&self, version: Access) {
        self.0.version.store(Arc::new(version));
        self.0.exchanged.send_replace(());
    }

    /// Changes with every exchange from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.exchanged.subscribe()
    }
}

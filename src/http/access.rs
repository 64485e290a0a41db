//! Callers and what they may do, replaced as a whole when the configuration is reloaded.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use super::quota::Quotas;
use crate::identity::Authenticator;
use crate::policy::Policy;

/// One version of callers, their credentials, rules and limits. A request uses the
/// version that it began with.
pub struct Access {
    /// Authenticates callers.
    pub identity: Authenticator,
    /// Authorizes them.
    pub policy: Policy,
    /// Their rate and concurrency limits.
    pub quotas: Quotas,
}

/// The version for new requests. Clones share it.
#[derive(Clone)]
pub struct CurrentAccess(Arc<AccessVersions>);

struct AccessVersions {
    current: ArcSwap<Access>,
    replaced: watch::Sender<()>,
}

impl CurrentAccess {
    /// Begins with this version.
    #[must_use]
    pub fn new(first: Access) -> Self {
        Self(Arc::new(AccessVersions {
            current: ArcSwap::from_pointee(first),
            replaced: watch::Sender::new(()),
        }))
    }

    /// The current version, for short use.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Access>> {
        self.0.current.load()
    }

    /// The current version, to be kept.
    #[must_use]
    pub fn load_full(&self) -> Arc<Access> {
        self.0.current.load_full()
    }

    /// Replaces the version and notifies [`Self::changes`].
    pub fn store(&self, version: Access) {
        self.0.current.store(Arc::new(version));
        self.0.replaced.send_replace(());
    }

    /// Changes whenever the version is replaced from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.replaced.subscribe()
    }
}

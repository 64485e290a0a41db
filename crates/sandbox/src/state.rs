//! The state of one sandbox: offers, the registered application, tokens, pending faults and
//! the journal. Each part has its own lock, held for one call and never while another is
//! taken, so there is no lock order to keep.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::entra::{Allowance, Application, TokenForge, TokenStore};
use super::faults::Faults;
use super::journal::{self, Journal};
use super::offer::{Behaviour, Offers};
use super::options::Options;

pub(super) struct SandboxState {
    pub(super) options: Options,
    pub(super) journal: Journal,
    offers: Mutex<Offers>,
    application: Mutex<Application>,
    tokens: Mutex<TokenStore>,
    allowance: Mutex<Allowance>,
    faults: Mutex<Faults>,
    offer_changes: watch::Sender<()>,
}

impl SandboxState {
    pub(super) fn new(options: Options) -> Self {
        let behaviour = Behaviour::new(options.cancel_after, options.publish_takes);
        Self {
            journal: Journal::new(journal::LIMIT),
            offers: Mutex::new(Offers::new(behaviour)),
            application: Mutex::new(Application::new(&options)),
            tokens: Mutex::new(TokenStore::new(TokenForge::new(&options))),
            allowance: Mutex::default(),
            faults: Mutex::default(),
            offer_changes: watch::Sender::new(()),
            options,
        }
    }

    pub(super) fn offers(&self) -> MutexGuard<'_, Offers> {
        lock(&self.offers)
    }

    pub(super) fn application(&self) -> MutexGuard<'_, Application> {
        lock(&self.application)
    }

    pub(super) fn allowance(&self) -> MutexGuard<'_, Allowance> {
        lock(&self.allowance)
    }

    pub(super) fn tokens(&self) -> MutexGuard<'_, TokenStore> {
        lock(&self.tokens)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    /// Wakes the requests that wait for a change of an offer.
    pub(super) fn notify(&self) {
        self.offer_changes.send_replace(());
    }

    pub(super) fn offer_changes(&self) -> watch::Receiver<()> {
        self.offer_changes.subscribe()
    }
}

/// A poisoned lock still guards consistent data: every change here is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

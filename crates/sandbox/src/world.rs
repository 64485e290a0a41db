//! Everything that one sandbox knows: offers, the application, tokens, orders for faults, the
//! journal. Each
//! has a lock of its own, is held for one call only and never while another is taken, so
//! there is no order of locks to keep.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::entra::{Allowance, Application, Book, Mint};
use super::faults::Faults;
use super::journal::{self, Journal};
use super::offer::{Behaviour, Offers};
use super::options::Options;

pub(super) struct World {
    pub(super) options: Options,
    pub(super) journal: Journal,
    offers: Mutex<Offers>,
    application: Mutex<Application>,
    book: Mutex<Book>,
    allowance: Mutex<Allowance>,
    faults: Mutex<Faults>,
    /// Rings when something was done to an offer.
    bell: watch::Sender<()>,
}

impl World {
    pub(super) fn new(options: Options) -> Self {
        let plain = Behaviour::plain(options.cancel_after, options.publish_takes);
        Self {
            journal: Journal::new(journal::LIMIT),
            offers: Mutex::new(Offers::new(plain)),
            application: Mutex::new(Application::new(&options)),
            book: Mutex::new(Book::new(Mint::new(&options))),
            allowance: Mutex::default(),
            faults: Mutex::default(),
            bell: watch::Sender::new(()),
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

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    /// Tells whoever waits on an offer to look again.
    pub(super) fn ring(&self) {
        self.bell.send_replace(());
    }

    pub(super) fn bell(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }
}

/// A lock whose holder panicked still guards sound data: every change here is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The state of one sandbox: offers, the registered application, tokens, pending faults and
//! the journal. Each part has its own lock, held for one call and never while another is
//! taken, so there is no lock order to keep.

use parking_lot::Mutex;
use tokio::sync::watch;

use super::entra::{Allowance, Application, TokenForge, TokenStore};
use super::faults::Faults;
use super::journal::{self, Journal};
use super::offer::{Behaviour, Offers};
use super::options::Options;

pub(super) struct SandboxState {
    pub(super) options: Options,
    pub(super) journal: Journal,
    pub(super) offers: Mutex<Offers>,
    pub(super) application: Mutex<Application>,
    pub(super) tokens: Mutex<TokenStore>,
    pub(super) allowance: Mutex<Allowance>,
    pub(super) faults: Mutex<Faults>,
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

    /// Wakes the requests that wait for a change of an offer.
    pub(super) fn notify(&self) {
        self.offer_changes.send_replace(());
    }

    pub(super) fn offer_changes(&self) -> watch::Receiver<()> {
        self.offer_changes.subscribe()
    }
}

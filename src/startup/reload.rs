//! Another version of the configuration, taken over while requests flow: all of it
//! or nothing of it.
//!
//! Callers, their credentials, rules and limits, issuers and the listener's
//! certificates are exchanged. A changed credential towards the vendor goes to its
//! keeper, who uses it once it has earned a token. What differs elsewhere waits for a
//! restart, and says so.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::access;
use super::background::KeepKeys;
use super::credentials;
use super::tls::ListenerTls;
use super::watched::Watched;
use crate::credential::Handle;
use crate::domain::Redactor;
use crate::http::CurrentAccess;
use crate::settings::{self, Credential, Loaded, Problem, Settings, Source};

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What rules are about: rules for another vendor, or for other publishers, must not be
/// applied to these.
const FOUNDATIONS: [&str; 2] = ["portal", "publishers"];
const REFUSED: &str = "configuration refused, the old one stays";

/// What has been read.
pub struct Reloaded {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Whether these are all that there are: a broken version may name more.
    pub whole: bool,
}

/// Takes over other versions of the configuration. Cheap to clone.
#[derive(Clone)]
pub struct Reloader(Arc<Shared>);

struct Shared {
    /// As it was at the start: what cannot change without another.
    running: Settings,
    access: CurrentAccess,
    tls: Option<ListenerTls>,
    keep_keys: KeepKeys,
    credentials: BTreeMap<String, Handle>,
    redactor: Arc<Redactor>,
    notices: ArcSwap<Vec<String>>,
    /// One at a time; and the credentials as they were taken over last.
    turn: Mutex<BTreeMap<String, Credential>>,
}

impl Reloader {
    pub(super) fn new(
        mut running: Settings,
        access: CurrentAccess,
        tls: Option<ListenerTls>,
        keep_keys: KeepKeys,
        credentials: BTreeMap<String, Handle>,
        redactor: Arc<Redactor>,
    ) -> Self {
        // They are many, and nothing is compared with them.
        running.callers = Vec::new();
        Self(Arc::new(Shared {
            turn: Mutex::new(running.credentials.clone()),
            credentials,
            redactor,
            running,
            access,
            tls,
            keep_keys,
            notices: ArcSwap::default(),
        }))
    }

    /// What an operator should know of the last attempt: its problems, or what of it
    /// waits for a restart.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        self.0.notices.load().to_vec()
    }

    /// Reads the configuration again and takes it over, if all of it is good. Blocks
    /// while it reads files. Returns the files that it consists of, as far as they are
    /// known, and whether they are all.
    pub fn reload(&self, source: &Source) -> Reloaded {
        let mut latest = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        match settings::reload(source, &self.0.running) {
            Ok(loaded) => {
                self.take_over(&loaded, &mut latest);
                Reloaded {
                    files: loaded.files,
                    whole: true,
                }
            }
            Err(problems) => {
                for problem in problems.as_slice() {
                    tracing::error!(
                        place = problem.place,
                        key = problem.key,
                        "configuration refused: {}",
                        problem.message
                    );
                }
                let refused = problems.as_slice().iter();
                self.notice(refused.map(|p| format!("{REFUSED}: {p}")));
                Reloaded {
                    files: problems.files().to_vec(),
                    whole: false,
                }
            }
        }
    }

    fn take_over(&self, loaded: &Loaded, latest: &mut BTreeMap<String, Credential>) {
        let Shared {
            running,
            access,
            tls,
            keep_keys,
            credentials,
            redactor,
            ..
        } = &*self.0;
        let waiting = running.waiting_for_restart(&loaded.settings);
        let built = match waiting.iter().find(|section| FOUNDATIONS.contains(section)) {
            Some(section) => Err(format!(
                "{section} has changed, on which the rules depend; that takes a restart"
            )),
            None => access::build(&loaded.settings, Some(&access.load()))
                .map_err(|error| error.to_string()),
        };
        let (version, keepers) = match built {
            Ok(built) => built,
            Err(error) => {
                tracing::error!(error, "configuration refused");
                return self.notice([format!("{REFUSED}: {error}")]);
            }
        };
        keep_keys.begin(keepers);
        access.store(version);
        if let (Some(listener), Some(tls)) = (tls, &loaded.settings.server.tls) {
            listener.apply(tls, access.load().identity.client_ca());
        }
        // Changed credentials go to their keepers, who try them before they use them.
        credentials::rotate(latest, &loaded.settings.credentials, credentials, redactor);
        latest.clone_from(&loaded.settings.credentials);
        log_warnings(&loaded.warnings);
        for section in &waiting {
            tracing::warn!(
                section,
                "configuration changed; this part waits for a restart"
            );
        }
        tracing::info!(
            callers = loaded.settings.callers.len(),
            issuers = loaded.settings.jwt_issuers.len(),
            "configuration taken over"
        );
        self.notice(waiting.iter().map(|section| {
            format!("configuration: {section} has changed, which takes effect at a restart only")
        }));
    }

    fn notice(&self, notices: impl IntoIterator<Item = String>) {
        self.0
            .notices
            .store(Arc::new(notices.into_iter().collect()));
    }

    /// Reloads whenever one of the files changes, or it is `told` to; forever.
    /// `watched` are the files of the version that runs.
    pub async fn follow(self, source: Source, mut watched: Watched, mut told: mpsc::Receiver<()>) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = tokio::select! {
                _ = ticks.tick() => watched.has_changed(),
                Some(()) = told.recv() => true,
            };
            if !due {
                continue;
            }
            let next = watched.again();
            let (reloader, from) = (self.clone(), source.clone());
            match tokio::task::spawn_blocking(move || reloader.reload(&from)).await {
                Ok(reloaded) => watched = next.with(reloaded),
                Err(error) => tracing::error!(%error, "the configuration could not be read again"),
            }
        }
    }
}

/// Logs what can be used but deserves a look.
pub fn log_warnings(warnings: &[Problem]) {
    for warning in warnings {
        tracing::warn!(
            place = warning.place,
            key = warning.key,
            "{}",
            warning.message
        );
    }
}

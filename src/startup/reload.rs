//! Applies a changed configuration while requests are served: as a whole or not at all.
//!
//! Callers, their credentials, rules and limits, issuers, and the listener's certificates
//! are replaced. A changed credential towards the vendor goes to its refresher, which uses
//! it as soon as it has acquired a token with it. Every other change takes effect at the
//! next restart, as the log and `/readyz` say.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::access;
use super::background::KeyRefresherSpawner;
use super::credentials;
use super::snapshot::{FileSnapshot, FilesRead};
use super::tls::ListenerTls;
use crate::credential::Handle;
use crate::domain::Redactor;
use crate::http::CurrentAccess;
use crate::settings::{self, ConfigSource, CredentialSettings, Finding, Loaded, Settings};

/// The interval between two checks of the files.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// The sections that rules refer to. Rules for another vendor or for other publishers must
/// not be applied to the running ones.
const FOUNDATIONS: [&str; 2] = ["portal", "publishers"];
const REFUSED: &str = "configuration refused; the previous version stays in effect";

/// Applies changed configurations to a running gateway. Cheap to clone.
#[derive(Clone)]
pub struct Reloader(Arc<ReloaderState>);

/// The parts of a running gateway that a reload can change.
pub struct Reloadable {
    pub access: CurrentAccess,
    pub tls: Option<ListenerTls>,
    pub key_refreshers: KeyRefresherSpawner,
    pub credentials: BTreeMap<String, Handle>,
    pub redactor: Arc<Redactor>,
}

struct ReloaderState {
    /// The settings of the start. What differs from them needs a restart.
    running: Settings,
    parts: Reloadable,
    notices: ArcSwap<Vec<String>>,
    /// The credentials as applied last. Locked during a reload, so that two cannot overlap.
    applied: Mutex<BTreeMap<String, CredentialSettings>>,
}

impl Reloader {
    pub(super) fn new(mut running: Settings, parts: Reloadable) -> Self {
        // There can be many callers, and they are not part of the comparison.
        running.callers = Vec::new();
        Self(Arc::new(ReloaderState {
            applied: Mutex::new(running.credentials.clone()),
            running,
            parts,
            notices: ArcSwap::default(),
        }))
    }

    /// Warnings for an operator: the problems of the last reload or its changes that
    /// need a restart, and the issuers whose keys are missing.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.0.notices.load().to_vec();
        warnings.extend(self.0.parts.access.load().identity.warnings());
        warnings
    }

    /// Reads the configuration again and applies it if it has no problem. Blocks while it
    /// reads files.
    pub fn reload(&self, source: &ConfigSource) -> FilesRead {
        let mut applied = self
            .0
            .applied
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match settings::reload(source, &self.0.running) {
            Ok(loaded) => {
                self.apply(&loaded, &mut applied);
                FilesRead {
                    files: loaded.files,
                    complete: true,
                }
            }
            Err(error) => {
                for problem in error.problems() {
                    tracing::error!(
                        place = problem.place,
                        key = problem.key,
                        problem = problem.message,
                        "configuration refused"
                    );
                }
                let refused = error.problems().iter();
                self.set_notices(refused.map(|p| format!("{REFUSED}: {p}")));
                FilesRead {
                    files: error.files().to_vec(),
                    complete: false,
                }
            }
        }
    }

    fn apply(&self, loaded: &Loaded, applied: &mut BTreeMap<String, CredentialSettings>) {
        let ReloaderState { running, parts, .. } = &*self.0;
        let waiting = running.waiting_for_restart(&loaded.settings);
        let built = match waiting.iter().find(|section| FOUNDATIONS.contains(section)) {
            Some(section) => Err(format!(
                "{section} has changed, which rules refer to; restart the gateway to apply all changes"
            )),
            None => access::build(&loaded.settings, Some(&parts.access.load()))
                .map_err(|error| error.to_string()),
        };
        let (version, keepers) = match built {
            Ok(built) => built,
            Err(error) => {
                tracing::error!(problem = error, "configuration refused");
                return self.set_notices([format!("{REFUSED}: {error}")]);
            }
        };
        parts.key_refreshers.spawn(keepers);
        parts.access.store(version);
        if let (Some(listener), Some(tls)) = (&parts.tls, &loaded.settings.server.tls) {
            listener.apply(tls, parts.access.load().identity.client_ca());
        }
        credentials::rotate(
            applied,
            &loaded.settings.credentials,
            &parts.credentials,
            &parts.redactor,
        );
        applied.clone_from(&loaded.settings.credentials);
        log_warnings(&loaded.warnings);
        for section in &waiting {
            tracing::warn!(section, "configuration change takes effect after a restart");
        }
        tracing::info!(
            callers = loaded.settings.callers.len(),
            issuers = loaded.settings.jwt_issuers.len(),
            "configuration reloaded"
        );
        self.set_notices(waiting.iter().map(|section| {
            format!("configuration: {section} has changed; restart the gateway to apply it")
        }));
    }

    fn set_notices(&self, notices: impl IntoIterator<Item = String>) {
        self.0
            .notices
            .store(Arc::new(notices.into_iter().collect()));
    }

    /// Reloads whenever one of the files changes, and at each request; runs forever.
    /// `snapshot` has the files of the running version.
    pub async fn follow(
        self,
        source: ConfigSource,
        mut snapshot: FileSnapshot,
        mut requests: mpsc::Receiver<()>,
    ) {
        let mut ticks = interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = tokio::select! {
                _ = ticks.tick() => snapshot.detect_change(),
                Some(()) = requests.recv() => true,
            };
            if !due {
                continue;
            }
            let next = snapshot.renewed();
            let (reloader, from) = (self.clone(), source.clone());
            match tokio::task::spawn_blocking(move || reloader.reload(&from)).await {
                Ok(read) => snapshot = next.with(read),
                Err(error) => tracing::error!(%error, "panic while reloading the configuration"),
            }
        }
    }
}

/// Logs the warnings of a valid configuration.
pub fn log_warnings(warnings: &[Finding]) {
    for warning in warnings {
        tracing::warn!(
            place = warning.place,
            key = warning.key,
            problem = warning.message,
            "configuration warning"
        );
    }
}

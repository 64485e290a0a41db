//! Applies a changed configuration while requests are served: as a whole or not at all.
//!
//! Callers, their credentials, rules and limits, issuers, and the listener's certificates
//! are replaced. A changed credential towards the vendor goes to its refresher, which uses
//! it as soon as it has acquired a token with it. Every other change takes effect at the
//! next restart, as the log and `/readyz` say.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::access;
use super::background::KeyRefresherSpawner;
use super::credentials;
use super::snapshot::{FileSnapshot, FilesRead};
use super::tls::ListenerTls;
use crate::credential::Handle;
use crate::domain::Redactor;
use crate::http::CurrentAccess;
use crate::settings::{self, ConfigSource, CredentialSettings, Finding, Loaded, Settings};
use crate::transport::Backoff;

/// The interval between two checks of the files.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Reading that takes longer is reported. Each file has a limit of its own.
const LONGEST_CHECK: Duration = Duration::from_secs(60);
const STUCK: &str = "reading it does not end; check the mounts of its files";
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
    /// Whether the last reload was refused.
    is_refused: AtomicBool,
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
            is_refused: AtomicBool::new(false),
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
        self.0.notices.store(Arc::default());
        self.try_again(source)
    }

    /// As [`Self::reload`], but a refusal for the same reasons as the last one is not logged
    /// again.
    fn try_again(&self, source: &ConfigSource) -> FilesRead {
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
                let refused = error.problems().iter();
                if self.refuse(refused.map(|p| format!("{REFUSED}: {p}"))) {
                    for problem in error.problems() {
                        tracing::error!(
                            place = problem.place,
                            key = problem.key,
                            problem = problem.message,
                            "configuration refused"
                        );
                    }
                }
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
                if self.refuse([format!("{REFUSED}: {error}")]) {
                    tracing::error!(problem = error, "configuration refused");
                }
                return;
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
        let waiting = waiting.iter().map(|section| {
            format!("configuration: {section} has changed; restart the gateway to apply it")
        });
        self.0.notices.store(Arc::new(waiting.collect()));
        self.0.is_refused.store(false, Ordering::Relaxed);
    }

    /// Reports a refusal in `/readyz`; returns whether its reasons are new.
    fn refuse(&self, reasons: impl IntoIterator<Item = String>) -> bool {
        let reasons: Vec<String> = reasons.into_iter().collect();
        self.0.is_refused.store(true, Ordering::Relaxed);
        let earlier = self.0.notices.swap(Arc::new(reasons.clone()));
        *earlier != reasons
    }

    /// Reloads whenever one of the files changes, and at each request; runs forever. A
    /// configuration that was refused is read again after a while, with growing pauses: what
    /// was wrong may have been the disk, and a rule that is taken away must not stay in effect
    /// because of that. `snapshot` has the files of the running version.
    pub async fn follow(
        self,
        source: ConfigSource,
        mut snapshot: FileSnapshot,
        mut requests: mpsc::Receiver<()>,
    ) {
        let mut ticks = interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut backoff = Backoff::default();
        let mut retry_at = Instant::now();
        loop {
            let requested = tokio::select! {
                _ = ticks.tick() => false,
                Some(()) = requests.recv() => true,
            };
            let (reloader, source) = (self.clone(), source.clone());
            let is_retry_due = Instant::now() >= retry_at;
            let mut checked = tokio::task::spawn_blocking(move || {
                reloader.check(&source, snapshot, requested, is_retry_due)
            });
            let checked = match timeout(LONGEST_CHECK, &mut checked).await {
                Ok(checked) => checked,
                Err(_elapsed) => {
                    self.refuse([format!("{REFUSED}: {STUCK}")]);
                    tracing::error!(problem = STUCK, "configuration refused");
                    checked.await
                }
            };
            let Ok((checked, has_read)) = checked else {
                // Only a bug panics there. What is supervising this task notices its end.
                return;
            };
            snapshot = checked;
            if has_read && self.is_refused() {
                retry_at = Instant::now() + backoff.pause();
            } else if has_read {
                backoff = Backoff::default();
            }
        }
    }

    /// One round of [`Self::follow`]: returns the snapshot to compare with next time, and
    /// whether the configuration was read. Blocks.
    fn check(
        &self,
        source: &ConfigSource,
        mut snapshot: FileSnapshot,
        requested: bool,
        is_retry_due: bool,
    ) -> (FileSnapshot, bool) {
        let changed = snapshot.detect_change();
        // Files that are being written are not read in between.
        let retry = is_retry_due && self.is_refused() && snapshot.is_settled();
        if !requested && !changed && !retry {
            return (snapshot, false);
        }
        let next = snapshot.renewed();
        let read = if requested || changed {
            self.reload(source)
        } else {
            self.try_again(source)
        };
        (next.with(read), true)
    }

    fn is_refused(&self) -> bool {
        self.0.is_refused.load(Ordering::Relaxed)
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

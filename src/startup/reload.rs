//! Another version of the configuration, taken over while requests flow: all of it
//! or nothing of it.
//!
//! Callers, their credentials, rules and limits, issuers and the listener's
//! certificates are exchanged. What differs elsewhere waits for a restart, and says so.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::access;
use super::background::KeepKeys;
use super::tls::ListenerTls;
use crate::http::CurrentAccess;
use crate::settings::{self, Loaded, Problem, Settings, Source};

/// Between two looks at the files. A change counts once it is seen twice: whoever
/// writes several files is given that long.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Takes over other versions of the configuration. Cheap to clone.
#[derive(Clone)]
pub struct Reloader(Arc<Shared>);

struct Shared {
    /// As it was at the start: what cannot change without another.
    running: Settings,
    access: CurrentAccess,
    tls: Option<ListenerTls>,
    keep_keys: KeepKeys,
    notices: ArcSwap<Vec<String>>,
    /// One at a time.
    turn: Mutex<()>,
}

impl Reloader {
    pub(super) fn new(
        running: Settings,
        access: CurrentAccess,
        tls: Option<ListenerTls>,
        keep_keys: KeepKeys,
    ) -> Self {
        Self(Arc::new(Shared {
            running,
            access,
            tls,
            keep_keys,
            notices: ArcSwap::default(),
            turn: Mutex::new(()),
        }))
    }

    /// What an operator should know of the last attempt: its problems, or what of it
    /// waits for a restart.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        self.0.notices.load().to_vec()
    }

    /// Reads the configuration again and takes it over, if all of it is good. Blocks
    /// while it reads files. Returns the files to watch from now on.
    #[must_use]
    pub fn reload(&self, source: &Source) -> Vec<PathBuf> {
        let _one_at_a_time = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        match settings::reload(source, &self.0.running) {
            Ok(loaded) => {
                self.take_over(&loaded);
                loaded.files
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
                self.notice(
                    refused.map(|p| format!("configuration refused, the old one stays: {p}")),
                );
                problems.files().to_vec()
            }
        }
    }

    fn take_over(&self, loaded: &Loaded) {
        let Shared {
            running,
            access,
            tls,
            keep_keys,
            ..
        } = &*self.0;
        let (version, keepers) = match access::build(&loaded.settings, Some(&access.load())) {
            Ok(built) => built,
            Err(error) => {
                tracing::error!(%error, "configuration refused");
                return self.notice([format!("configuration refused, the old one stays: {error}")]);
            }
        };
        keep_keys.begin(keepers);
        access.store(Arc::new(version));
        if let (Some(listener), Some(tls)) = (tls, &loaded.settings.server.tls) {
            listener.apply(tls, access.load().identity.client_ca());
        }
        log_warnings(&loaded.warnings);
        let waiting = running.waiting_for_restart(&loaded.settings);
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
    pub async fn follow(
        self,
        source: Source,
        mut files: Vec<PathBuf>,
        mut told: mpsc::Receiver<()>,
    ) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = stamps(&files);
        let mut changing: Option<Stamps> = None;
        loop {
            let told = tokio::select! {
                _ = ticks.tick() => false,
                Some(()) = told.recv() => true,
            };
            let now = stamps(&files);
            let settled = now != taken && changing.as_ref() == Some(&now);
            if !told && !settled {
                changing = (now != taken).then_some(now);
                continue;
            }
            let (reloader, from) = (self.clone(), source.clone());
            let reloaded = tokio::task::spawn_blocking(move || reloader.reload(&from));
            // What changes from here on is seen at the next look.
            let before = now;
            match reloaded.await {
                Ok(next) => {
                    taken = stamps(&next);
                    taken.extend(before.into_iter().filter(|(path, _)| next.contains(path)));
                    files = next;
                }
                Err(error) => tracing::error!(%error, "the configuration could not be read again"),
            }
            changing = None;
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

/// What changes when a file does. A mounted secret is a symbolic link that is
/// exchanged: the file behind it is another one then.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);
type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

fn stamps(files: &[PathBuf]) -> Stamps {
    let stamp = |path: &PathBuf| {
        let file = std::fs::metadata(path).ok();
        (path.clone(), file.map(|file| stamp(&file)))
    };
    files.iter().map(stamp).collect()
}

fn stamp(file: &Metadata) -> Stamp {
    (
        file.dev(),
        file.ino(),
        file.size(),
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec(),
    )
}

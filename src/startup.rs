//! The composition root: builds everything from plain settings, binds first and
//! says where, and takes it all down again in the right order.

pub mod access;
mod background;
pub mod credentials;
mod listeners;
pub mod options;
mod reload;
mod tls;
mod watched;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::HealthSources;
use crate::domain::Redactor;
use crate::http::{CurrentAccess, LongPollLimit};
use crate::ledger::{Ledger, LedgerError};
use crate::operation::{Poller, ReplyConfig, ServiceShared};
use crate::settings::{self, Settings};
use crate::transport::{Transport, TransportError};
use access::AccessError;
use background::Background;
use listeners::{bind, close, serve_admin, serve_public};
pub use reload::{Reloaded, Reloader, log_warnings};
use tls::ListenerTls;
pub use watched::Watched;
use worker::{AppStateFactory, Vendors};

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({key}): {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The key it comes from.
        key: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The ledger cannot be opened.
    #[error("cannot open {} (ledger.url): {source}", .path.display())]
    Ledger {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: LedgerError,
    },
    /// The ledger does not say what is unfinished.
    #[error("cannot read the unfinished operations: {0}")]
    Unfinished(LedgerError),
    /// No TLS client can be made.
    #[error("{0}")]
    Transport(#[from] TransportError),
    /// The TLS library refuses to serve.
    #[error("TLS cannot be set up (server.tls): {0}")]
    Tls(#[from] rustls::Error),
    /// Nobody can be told apart, or an issuer not be asked.
    #[error("{0}")]
    Access(#[from] AccessError),
    /// A thread or a server could not be started.
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
}

/// A running gateway.
pub struct Gateway {
    public_address: SocketAddr,
    admin_address: SocketAddr,
    public_url: String,
    reloader: Reloader,
    drain: Duration,
    health: HealthSources,
    tasks: TaskTracker,
    public: ServerHandle,
    admin: ServerHandle,
    background: Background,
}

impl Gateway {
    /// Binds, opens the ledger, begins to fetch tokens, continues to follow what
    /// was unfinished, and serves.
    ///
    /// Must run inside a tokio runtime of several threads.
    ///
    /// # Errors
    /// [`StartError`]; nothing keeps running then.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let public = bind(settings.server.listen, "server.listen")?;
        let admin = bind(settings.admin.listen, "admin.listen")?;
        let (public_address, admin_address) = (public.local_addr()?, admin.local_addr()?);
        let public_url = public_url(&settings.server, public_address);

        let redactor = Arc::new(Redactor::default());
        let (refreshers, handles) = credentials::refreshers(&settings, &redactor);
        let vendors = Vendors {
            transport: Transport::new(&options::portal_transport(&settings))?,
            portal: options::portal(&settings, Arc::clone(&redactor)),
            publishers: options::publishers(&settings, &handles),
        };
        let (access, key_keepers) = access::build(&settings, None)?;
        let tls = settings.server.tls.as_ref();
        let tls = tls.map(|tls| ListenerTls::new(tls, access.identity.client_ca()));
        let access = CurrentAccess::new(access);
        let token_transport = options::token_transport(&settings)?;

        let ledger = Ledger::open(options::ledger(&settings.ledger))
            .await
            .map_err(|source| StartError::Ledger {
                path: settings.ledger.path.clone(),
                source,
            })?;
        // Whatever fails from here on takes down what runs already.
        let stop = CancellationToken::new();
        let stop_on_failure = stop.clone().drop_guard();
        let (poller, poller_handle) =
            Poller::new(ledger.clone(), options::poller(&settings), stop.clone());
        for operation in ledger.unfinished().await.map_err(StartError::Unfinished)? {
            poller_handle.resume(Arc::new(operation));
        }
        let background =
            Background::start(poller, vendors.clone(), refreshers, token_transport, stop)?;
        background.keep_keys.begin(key_keepers);
        let reloader = Reloader::new(
            settings.clone(),
            access.clone(),
            tls.clone(),
            background.keep_keys.clone(),
            handles.clone(),
            redactor,
        );

        let tasks = TaskTracker::new();
        let draining = CancellationToken::new();
        let operations = ServiceShared {
            poller: poller_handle,
            tasks: tasks.clone(),
            draining: draining.clone(),
            slots: Arc::new(Semaphore::new(settings.server.max_in_flight_actions)),
            max_in_flight: settings.server.max_in_flight_actions,
        };
        let health = HealthSources {
            ledger: ledger.clone(),
            credentials: credentials::served(&settings, &handles, &vendors.publishers),
            draining,
            background_ended: background.ended.clone(),
            warnings: {
                let (access, reloader) = (access.clone(), reloader.clone());
                Arc::new(move || {
                    let mut warnings = reloader.notices();
                    warnings.extend(access.load().identity.warnings());
                    warnings
                })
            },
        };
        let states = AppStateFactory {
            access: access.clone(),
            operations,
            vendors,
            ledger,
            reply: ReplyConfig {
                public_url: public_url.as_str().into(),
                portal_url: settings.portal.base_url.as_str().into(),
                poll: settings.operations.poll,
            },
            max_wait: settings.server.max_wait,
            keepalive: settings.server.events_beat,
            long_polls: LongPollLimit::among(settings.server.max_connections),
            limits: options::limits(&settings.server),
        };
        let admin = serve_admin(admin, health.clone())?;
        let public = serve_public(public, &settings.server, tls.as_ref(), states)?;
        stop_on_failure.disarm();
        tracing::info!(
            listen = %public_address,
            admin = %admin_address,
            public_url,
            "offergate is listening"
        );
        Ok(Self {
            public_address,
            admin_address,
            public_url,
            reloader,
            drain: settings.server.drain,
            health,
            tasks,
            public,
            admin,
            background,
        })
    }

    /// Where callers are served.
    #[must_use]
    pub fn public_address(&self) -> SocketAddr {
        self.public_address
    }

    /// Where the platform is served.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The address that operation locations carry.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// What takes over other versions of the configuration.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Completes if the watcher and the keepers are gone, which only a bug can cause:
    /// then nothing is followed any more, and a restart is the cure.
    pub async fn failed(&self) {
        self.background.ended.cancelled().await;
    }

    /// Shuts down: readiness goes first, new actions are refused, running ones
    /// finish (no longer than configured), then everything stops and what is left
    /// to record is recorded.
    pub async fn drain(self) {
        tracing::info!("draining");
        self.health.draining.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.drain, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                actions = self.tasks.len(),
                "still running after drain_seconds; the next start follows them"
            );
        }
        close(self.public).await;
        self.background.stop.cancel();
        let thread = self.background.thread;
        if let Ok(Err(_)) = tokio::task::spawn_blocking(move || thread.join()).await {
            tracing::error!("the background thread has panicked");
        }
        if let Err(error) = self.health.ledger.close().await {
            tracing::error!(%error, "the ledger was not closed cleanly");
        }
        close(self.admin).await;
        tracing::info!("stopped");
    }
}

/// Where callers reach the gateway: as configured, else on the port that it got.
fn public_url(server: &settings::Server, bound: SocketAddr) -> String {
    let scheme = if server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let configured = server.public_url.clone();
    configured.unwrap_or_else(|| format!("{scheme}://{bound}"))
}

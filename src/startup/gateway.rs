//! A running gateway, from binding its listeners to draining.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::background::Background;
use super::error::StartError;
use super::listeners::{bind, close, serve_admin, serve_public};
use super::progress::Progress;
use super::reload::{Reloadable, Reloader};
use super::tls::ListenerTls;
use super::worker::{AppStateFactory, Vendors};
use super::{access, credentials, descriptors, options};
use crate::admin::HealthSources;
use crate::domain::Redactor;
use crate::http::{self, CurrentAccess, LongPollLimit};
use crate::ledger::Ledger;
use crate::operation::{Poller, ReplyConfig, ServiceShared};
use crate::settings::{LedgerSettings, ServerSettings, Settings};
use crate::telemetry::{Lifetime, Supervisor};
use crate::transport::{Transport, trust_warning};

/// How long everything may take to close once running actions have finished or
/// `server.drain_seconds` are over.
const CLOSE: Duration = Duration::from_secs(3);
/// What is left of that for the steps after each one.
const AFTER_PUBLIC: Duration = Duration::from_millis(1500);
const AFTER_BACKGROUND: Duration = Duration::from_millis(750);
const AFTER_LEDGER: Duration = Duration::from_millis(250);
/// How much longer the process may take to end: what hangs is named in the log, and the log
/// is written out, before the process is ended from outside.
const AFTER_DRAIN: Duration = Duration::from_secs(2);

/// A running gateway.
pub struct Gateway {
    public_address: SocketAddr,
    admin_address: SocketAddr,
    public_url: String,
    reloader: Reloader,
    shutdown_delay: Duration,
    drain: Duration,
    supervisor: Supervisor,
    health: HealthSources,
    tasks: TaskTracker,
    public: ServerHandle,
    admin: ServerHandle,
    background: Background,
    progress: Progress,
}

impl Gateway {
    /// Starts a gateway: binds its listeners, opens the ledger, begins to fetch tokens,
    /// continues to follow unfinished operations, and serves.
    ///
    /// Must run inside a multi-threaded tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]; nothing keeps running then.
    pub async fn start(configured: Settings) -> Result<Self, StartError> {
        Self::start_with(configured, Progress::default()).await
    }

    /// As [`Self::start`]; `progress` has the step that this, and later [`Self::drain`], is at.
    ///
    /// # Errors
    /// As there.
    pub async fn start_with(configured: Settings, progress: Progress) -> Result<Self, StartError> {
        progress.begin("start");
        let _reporting = progress.report_long_start();
        let supervisor = Supervisor::start()?;
        let budget = descriptors::budget(&configured.server, descriptors::raise_limit());
        let mut settings = configured.clone();
        settings.server.max_connections = budget.callers;
        // Bind first: a second instance fails before it touches anything else.
        let public = bind(settings.server.listen, "server.listen")?;
        let admin = bind(settings.admin.listen, "admin.listen")?;
        let (public_address, admin_address) = (public.local_addr()?, admin.local_addr()?);
        let public_url = public_url(&settings.server, public_address);

        // Build what the settings describe.
        progress.begin("start: certificates");
        if let Some(proxy) = &settings.outbound.proxy {
            tracing::info!(%proxy, key = proxy.key, "https connections go through a proxy");
        }
        if let Some(problem) = trust_warning() {
            tracing::warn!(
                problem,
                "some certificate authorities could not be loaded; servers that they signed are refused"
            );
        }
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
        progress.begin("start: ledger");
        let ledger = open_ledger(&settings.ledger).await?;

        // Start the background thread. A failure from here on stops it again.
        let stop = CancellationToken::new();
        let stop_on_failure = (supervisor.stop_on_drop(), stop.clone().drop_guard());
        tokio::spawn(supervisor.watch("ledger", Lifetime::Process, ledger.ended()));
        let (poller, poller_handle) = Poller::new(
            ledger.clone(),
            options::poller(&settings, budget.polls),
            stop.clone(),
        );
        let unfinished = ledger.unfinished().await.map_err(StartError::Unfinished)?;
        let resumed = unfinished.len();
        for operation in unfinished {
            poller_handle.resume(Arc::new(operation));
        }
        let background = Background::start(
            poller,
            vendors.clone(),
            refreshers,
            token_transport,
            &supervisor,
            stop,
        )?;
        background.key_refreshers.spawn(key_keepers);

        // Prepare reloading.
        let reloader = Reloader::new(
            configured,
            Reloadable {
                access: access.clone(),
                tls: tls.clone(),
                key_refreshers: background.key_refreshers.clone(),
                credentials: handles.clone(),
                redactor,
            },
        );

        // Serve.
        progress.begin("start: listeners");
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
            stopping: CancellationToken::new(),
            draining,
            supervisor: supervisor.clone(),
            issuers: {
                let access = access.clone();
                Arc::new(move || access::issuer_health(&access.load()))
            },
            warnings: {
                let reloader = reloader.clone();
                Arc::new(move || reloader.warnings())
            },
        };
        let app_state = AppStateFactory {
            access,
            operations,
            vendors,
            ledger,
            reply: ReplyConfig {
                public_url: public_url.as_str().into(),
                portal_url: settings.portal.base_url.as_str().into(),
            },
            max_wait: settings.server.max_wait,
            keepalive: settings.server.events_beat,
            long_polls: LongPollLimit::new(settings.server.pools().waits),
            limits: options::limits(&settings.server),
            contract: Arc::new(http::contract(&public_url)),
        };
        let admin = serve_admin(admin, &public_url, health.clone(), &supervisor).await?;
        let public = serve_public(
            public,
            &settings.server,
            settings.server.max_connections,
            tls.as_ref(),
            app_state,
            &supervisor,
        )
        .await;
        let public = match public {
            Ok(public) => public,
            Err(error) => {
                supervisor.stop();
                close(admin).await;
                return Err(error);
            }
        };
        stop_on_failure.0.disarm();
        stop_on_failure.1.disarm();
        progress.begin("serving");
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            unfinished_operations = resumed,
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
            shutdown_delay: settings.server.shutdown_delay,
            drain: settings.server.drain,
            supervisor,
            health,
            tasks,
            public,
            admin,
            background,
            progress,
        })
    }

    /// The address of the public listener.
    #[must_use]
    pub fn public_address(&self) -> SocketAddr {
        self.public_address
    }

    /// The address of the admin listener.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The base address of operation locations.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Applies changed configurations to this gateway.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Completes if something has ended, panicked or hung that the gateway cannot do without,
    /// which only a bug can cause. It must restart then.
    pub async fn failed(&self) {
        self.supervisor.failed().await;
    }

    /// Supervises a further task that must run as long as the gateway.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.supervisor.watch(name, Lifetime::Process, task));
    }

    /// How long the process may take to end, with these settings: two seconds more than
    /// [`Self::drain`] takes at most.
    #[must_use]
    pub fn longest_shutdown(settings: &ServerSettings) -> Duration {
        settings.shutdown_delay + settings.drain + CLOSE + AFTER_DRAIN
    }

    /// Shuts down: readiness fails, and requests are served for `server.shutdown_delay_seconds`
    /// more. Then new actions are refused, running ones finish within `server.drain_seconds`,
    /// and the listeners, the background thread and the ledger are closed, which takes three
    /// seconds at most. The admin listener answers until the end.
    ///
    /// Returns whether all of that ended in time; what did not is left behind.
    pub async fn drain(self) -> bool {
        tracing::info!("draining");
        let step = |step| self.progress.begin(step);
        step("shutdown: server.shutdown_delay_seconds");
        self.health.stopping.cancel();
        sleep(self.shutdown_delay).await;
        let end = Instant::now() + self.drain + CLOSE;
        self.health.draining.cancel();
        self.tasks.close();
        step("shutdown: running actions");
        if timeout_at(end - CLOSE, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                actions = self.tasks.len(),
                "actions still running after server.drain_seconds; the next start polls them"
            );
        }
        self.supervisor.stop();
        let mut all_ended = true;
        let mut ended = |step: &'static str, in_time: bool| {
            all_ended &= in_time;
            if !in_time {
                tracing::error!(step, "shutdown step did not end in time and is left behind");
            }
        };
        step("shutdown: public listener");
        let closed = timeout_at(end - AFTER_PUBLIC, close(self.public)).await;
        ended("public listener", closed.is_ok());
        step("shutdown: background thread");
        self.background.stop.cancel();
        let thread = self.background.thread;
        let joining = tokio::task::spawn_blocking(move || thread.join());
        let joined = timeout_at(end - AFTER_BACKGROUND, joining).await;
        ended("background thread", joined.is_ok());
        if let Ok(Ok(Err(_))) = joined {
            tracing::error!("panic in the background thread");
        }
        step("shutdown: ledger");
        let ledger = self.health.ledger;
        let unfinished = async {
            let left = ledger.unfinished().await.ok().map(|left| left.len());
            if let Err(error) = ledger.close().await {
                tracing::error!(%error, "the ledger was not closed cleanly");
            }
            left
        };
        let left = timeout_at(end - AFTER_LEDGER, unfinished).await;
        ended("ledger", left.is_ok());
        step("shutdown: admin listener");
        let closed = timeout_at(end, close(self.admin)).await;
        ended("admin listener", closed.is_ok());
        step("shutdown: threads and the log");
        tracing::info!(unfinished_operations = left.ok().flatten(), "stopped");
        all_ended
    }
}

async fn open_ledger(settings: &LedgerSettings) -> Result<Ledger, StartError> {
    let opened = Ledger::open(options::ledger(settings)).await;
    opened.map_err(|source| StartError::Ledger {
        path: settings.path.clone(),
        source,
    })
}

/// `server.public_url`, or else the address that was bound.
fn public_url(server: &ServerSettings, bound: SocketAddr) -> String {
    let scheme = if server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let configured = server.public_url.clone();
    configured.unwrap_or_else(|| format!("{scheme}://{bound}"))
}

//! The composition root: builds everything from plain settings, binds first and
//! says where, and takes it all down again in the right order.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{self, Vitals};
use crate::credential::{ClientSecret, Handle, Keeper, Source, TokenEndpoint};
use crate::domain::{Caller, Redactor};
use crate::http::{self, BodyLimits, Gate, HeadLimits, Limits};
use crate::identity::{ApiKeys, DuplicateKey};
use crate::ledger::{Durability, Ledger, LedgerError, Options as LedgerOptions};
use crate::operation::outcome::Patience;
use crate::operation::{Desk, DeskOptions, Publishers, Vendor, Watcher, WatcherOptions};
use crate::policy::Policy;
use crate::portal::{Portal, PortalOptions};
use crate::settings::{self, Settings};
use crate::transport::{Transport, TransportError, TransportOptions};

/// The longest wait for a token endpoint, connecting included.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections that may wait to be accepted: a burst of callers is not turned away.
const BACKLOG: u32 = 4096;
/// How long the listeners may take to close once nothing is under way any more.
const CLOSE_SECONDS: u64 = 2;

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
    /// The ledger cannot be used.
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// No TLS client can be made.
    #[error("{0}")]
    Transport(#[from] TransportError),
    /// Two callers share a key.
    #[error("{0}")]
    Keys(#[from] DuplicateKey),
    /// A thread or a server could not be started.
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
}

/// A running gateway.
pub struct Gateway {
    public: SocketAddr,
    admin: SocketAddr,
    public_url: String,
    drain: Duration,
    vitals: Vitals,
    tasks: TaskTracker,
    servers: [ServerHandle; 2],
    background: Background,
}

/// The thread of keepers and watcher, which no worker's end can take along.
struct Background {
    stop_watching: CancellationToken,
    stop: CancellationToken,
    /// Set when the thread has ended, for whatever reason.
    ended: CancellationToken,
    thread: JoinHandle<()>,
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
        let public_url = settings
            .server
            .public_url
            .clone()
            .unwrap_or_else(|| format!("http://{public_address}"));

        let redactor = Arc::new(Redactor::default());
        let keys = Arc::new(api_keys(&settings)?);
        let policy = Arc::new(policy(&settings));
        let transport = Transport::new(&portal_transport(&settings))?;
        let (keepers, handles) = keepers(&settings, &redactor);
        let token_transport = Transport::new(&token_transport(&settings))?;
        let publishers: Publishers = settings
            .publishers
            .iter()
            .filter_map(|p| Some((p.id.clone(), handles.get(&p.credential)?.clone())))
            .collect();
        let portal = PortalOptions {
            base_url: settings.portal.base_url.clone(),
            api_version: settings.portal.api_version.clone(),
            redactor,
        };

        let ledger = Ledger::open(ledger_options(&settings.ledger)).await?;
        let draining = CancellationToken::new();
        let stop_watching = CancellationToken::new();
        let (watcher, follower) = Watcher::new(
            ledger.clone(),
            watcher_options(&settings),
            stop_watching.clone(),
        );
        for operation in ledger.unfinished().await? {
            follower.follow(operation);
        }

        let stop = CancellationToken::new();
        let vendor = {
            let (transport, portal, publishers) =
                (transport.clone(), portal.clone(), publishers.clone());
            move || Vendor::new(Portal::new(&transport, portal.clone()), publishers.clone())
        };
        let ended = CancellationToken::new();
        let thread = background(
            watcher,
            vendor.clone(),
            keepers,
            token_transport,
            (stop.clone(), ended.clone()),
        )?;

        let tasks = TaskTracker::new();
        let desk = DeskOptions {
            ledger: ledger.clone(),
            follower,
            tasks: tasks.clone(),
            draining: draining.clone(),
            max_in_flight: settings.server.max_in_flight_actions,
            in_flight: Arc::default(),
        };
        let gate = GateParts {
            keys,
            policy,
            desk,
            ledger: ledger.clone(),
            public_url: public_url.as_str().into(),
            portal_url: settings.portal.base_url.as_str().into(),
            poll: settings.operations.poll,
            limits: limits(&settings.server),
        };
        let vitals = Vitals {
            ledger,
            credentials: credential_vitals(&settings, &handles),
            draining,
            background_ended: ended.clone(),
        };
        let servers = [
            serve_public(public, &settings.server, gate, vendor)?,
            serve_admin(admin, vitals.clone())?,
        ];
        tracing::info!(
            listen = %public_address,
            admin = %admin_address,
            public_url,
            "offergate is listening"
        );
        Ok(Self {
            public: public_address,
            admin: admin_address,
            public_url,
            drain: settings.server.drain,
            vitals,
            tasks,
            servers,
            background: Background {
                stop_watching,
                stop,
                ended,
                thread,
            },
        })
    }

    /// Where callers are served.
    #[must_use]
    pub fn public_address(&self) -> SocketAddr {
        self.public
    }

    /// Where the platform is served.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The address that operation locations carry.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.public_url
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
        self.vitals.draining.cancel();
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
        let [public, admin] = self.servers;
        close(public).await;
        self.background.stop_watching.cancel();
        self.background.stop.cancel();
        let thread = self.background.thread;
        if let Ok(Err(_)) = tokio::task::spawn_blocking(move || thread.join()).await {
            tracing::error!("the background thread has panicked");
        }
        if let Err(error) = self.vitals.ledger.close().await {
            tracing::error!(%error, "the ledger was not closed cleanly");
        }
        close(admin).await;
        tracing::info!("stopped");
    }
}

/// Closes a listener and its connections; a worker that is stuck is left behind.
async fn close(server: ServerHandle) {
    let patience = Duration::from_secs(CLOSE_SECONDS + 1);
    if tokio::time::timeout(patience, server.stop(true))
        .await
        .is_err()
    {
        tracing::error!("a listener did not close in time");
    }
}

fn bind(address: SocketAddr, key: &'static str) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Bind {
        address,
        key,
        source,
    };
    let listen = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    listen().map_err(failed)
}

fn api_keys(settings: &Settings) -> Result<ApiKeys, DuplicateKey> {
    ApiKeys::new(settings.callers.iter().map(|caller| {
        let known = Caller {
            name: caller.name.clone(),
            default_publisher: caller.default_publisher.clone(),
        };
        (Arc::new(known), caller.api_key_sha256.clone())
    }))
}

fn policy(settings: &Settings) -> Policy {
    let callers = settings.callers.iter();
    Policy::new(callers.map(|caller| (caller.name.clone(), caller.allow.clone())))
}

/// How the vendor is reached.
#[must_use]
pub fn portal_transport(settings: &Settings) -> TransportOptions {
    TransportOptions {
        ca_file: settings.portal.ca_file.clone(),
        connect_timeout: settings.portal.connect_timeout,
        request_timeout: settings.portal.request_timeout,
        tls: settings.portal.base_url.starts_with("https:"),
    }
}

/// How token endpoints are reached.
#[must_use]
pub fn token_transport(settings: &Settings) -> TransportOptions {
    TransportOptions {
        request_timeout: TOKEN_TIMEOUT.min(settings.portal.request_timeout),
        tls: settings
            .credentials
            .values()
            .any(|credential| credential.authority.starts_with("https:")),
        ..portal_transport(settings)
    }
}

/// A keeper for each credential, and the handles to their tokens by name.
#[must_use]
pub fn keepers(
    settings: &Settings,
    redactor: &Arc<Redactor>,
) -> (Vec<Keeper>, BTreeMap<String, Handle>) {
    let mut keepers = Vec::new();
    let mut handles = BTreeMap::new();
    for (name, credential) in &settings.credentials {
        redactor.guard(credential.client_secret.expose());
        let source = Source::ClientSecret(ClientSecret {
            authority: credential.authority.clone(),
            tenant_id: credential.tenant_id.clone(),
            client_id: credential.client_id.clone(),
            client_secret: credential.client_secret.clone(),
            endpoint: match credential.endpoint.clone() {
                settings::TokenEndpoint::V1 { resource } => TokenEndpoint::V1 { resource },
                settings::TokenEndpoint::V2 { scope } => TokenEndpoint::V2 { scope },
            },
        });
        let (keeper, handle) =
            Keeper::new(name.clone(), source, credential.wait, Arc::clone(redactor));
        keepers.push(keeper);
        handles.insert(name.clone(), handle);
    }
    (keepers, handles)
}

fn credential_vitals(
    settings: &Settings,
    handles: &BTreeMap<String, Handle>,
) -> Vec<(Handle, Vec<String>)> {
    let served_by = |name: &String| {
        let publishers = settings.publishers.iter();
        publishers
            .filter(|publisher| publisher.credential == *name)
            .map(|publisher| publisher.id.as_str().to_owned())
            .collect()
    };
    handles
        .iter()
        .map(|(name, handle)| (handle.clone(), served_by(name)))
        .collect()
}

fn ledger_options(ledger: &settings::Ledger) -> LedgerOptions {
    LedgerOptions {
        path: ledger.path.clone(),
        durability: match ledger.durability {
            settings::Durability::Full => Durability::Full,
            settings::Durability::Relaxed => Durability::Relaxed,
        },
        retention: ledger.retention,
    }
}

fn watcher_options(settings: &Settings) -> WatcherOptions {
    WatcherOptions {
        poll: settings.operations.poll,
        patience: Patience {
            settle: settings.operations.settle,
            give_up: settings.operations.give_up,
        },
    }
}

fn limits(server: &settings::Server) -> Limits {
    Limits {
        head: HeadLimits {
            max_uri_bytes: server.max_uri_bytes,
            max_header_bytes: server.max_header_bytes,
        },
        body: BodyLimits {
            max_bytes: server.max_body_bytes,
            timeout: server.request_timeout,
        },
    }
}

/// Runs the watcher and the keepers on a thread of their own, each with its own
/// connections, until stopped.
fn background(
    watcher: Watcher,
    vendor: impl FnOnce() -> Vendor + Send + 'static,
    keepers: Vec<Keeper>,
    token_transport: Transport,
    (stop, ended): (CancellationToken, CancellationToken),
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("background".into())
        .spawn(move || {
            let _ended = ended.drop_guard();
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async move {
                for keeper in keepers {
                    tokio::task::spawn_local(keeper.run(token_transport.client()));
                }
                watcher.run(vendor()).await;
                stop.cancelled().await;
            });
        })
}

/// What every worker's [`Gate`] is made from.
#[derive(Clone)]
struct GateParts {
    keys: Arc<ApiKeys>,
    policy: Arc<Policy>,
    desk: DeskOptions,
    ledger: Ledger,
    public_url: Arc<str>,
    portal_url: Arc<str>,
    poll: Duration,
    limits: Limits,
}

impl GateParts {
    /// The gate of the calling worker thread, with its own connections.
    fn gate(&self, vendor: Vendor) -> Gate {
        Gate {
            keys: Arc::clone(&self.keys),
            policy: Arc::clone(&self.policy),
            desk: Rc::new(Desk::new(self.desk.clone(), vendor)),
            ledger: self.ledger.clone(),
            public_url: Arc::clone(&self.public_url),
            portal_url: Arc::clone(&self.portal_url),
            poll: self.poll,
            limits: self.limits,
        }
    }
}

fn serve_public(
    listener: TcpListener,
    server: &settings::Server,
    parts: GateParts,
    vendor: impl Fn() -> Vendor + Send + Clone + 'static,
) -> io::Result<ServerHandle> {
    let workers = server.workers.get();
    // Our own signal handling drains first; actix's would not.
    let running = HttpServer::new(move || http::app(web::Data::new(parts.gate(vendor()))))
        .disable_signals()
        .workers(workers)
        .worker_max_blocking_threads(1)
        .max_connections(server.max_connections.div_ceil(workers))
        .client_request_timeout(server.head_timeout)
        .client_disconnect_timeout(Duration::from_secs(1))
        .keep_alive(server.keep_alive)
        .shutdown_timeout(CLOSE_SECONDS)
        .listen(listener)?
        .run();
    let handle = running.handle();
    tokio::spawn(running);
    Ok(handle)
}

fn serve_admin(listener: TcpListener, vitals: Vitals) -> io::Result<ServerHandle> {
    let vitals = web::Data::new(vitals);
    let running =
        HttpServer::new(move || App::new().app_data(vitals.clone()).configure(admin::routes))
            .disable_signals()
            .workers(1)
            .worker_max_blocking_threads(1)
            .max_connections(256)
            .shutdown_timeout(CLOSE_SECONDS)
            .listen(listener)?
            .run();
    let handle = running.handle();
    tokio::spawn(running);
    Ok(handle)
}

//! The composition root: builds everything from plain settings, binds first and
//! says where, and takes it all down again in the right order.

pub mod access;
pub mod options;
mod worker;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, web};
use arc_swap::ArcSwap;
use tokio::net::TcpSocket;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{self, Vitals};
use crate::credential::Keeper;
use crate::domain::Redactor;
use crate::http;
use crate::ledger::{Ledger, LedgerError};
use crate::operation::{DeskShared, Watcher};
use crate::settings::{self, Settings};
use crate::transport::{Transport, TransportError};
use access::{AccessError, NewKeeper};
use worker::{Gates, Vendors};

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
    drain: Duration,
    vitals: Vitals,
    tasks: TaskTracker,
    public: ServerHandle,
    admin: ServerHandle,
    background: Background,
}

/// The thread of keepers and watcher, which no worker's end can take along.
struct Background {
    stop: CancellationToken,
    /// Set when the thread has ended, for whatever reason.
    ended: CancellationToken,
    /// Keepers of issuers' keys that are to begin.
    key_keepers: mpsc::UnboundedSender<NewKeeper>,
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
        let (keepers, handles) = options::keepers(&settings, &redactor);
        let vendors = Vendors {
            transport: Transport::new(&options::portal_transport(&settings))?,
            portal: options::portal(&settings, redactor),
            publishers: options::publishers(&settings, &handles),
        };
        let (access, key_keepers) = access::build(&settings, None)?;
        let access = Arc::new(ArcSwap::from_pointee(access));
        let token_transport = Transport::new(&options::token_transport(&settings))?;

        let ledger = Ledger::open(options::ledger(&settings.ledger))
            .await
            .map_err(|source| StartError::Ledger {
                path: settings.ledger.path.clone(),
                source,
            })?;
        // Whatever fails from here on takes down what runs already.
        let stop = CancellationToken::new();
        let stop_on_failure = stop.clone().drop_guard();
        let (watcher, follower) =
            Watcher::new(ledger.clone(), options::watcher(&settings), stop.clone());
        for operation in ledger.unfinished().await.map_err(StartError::Unfinished)? {
            follower.follow(Arc::new(operation));
        }
        let background =
            Background::start(watcher, vendors.clone(), keepers, token_transport, stop)?;
        background.keep_keys(key_keepers);

        let tasks = TaskTracker::new();
        let draining = CancellationToken::new();
        let desk = DeskShared {
            follower,
            tasks: tasks.clone(),
            draining: draining.clone(),
            places: Arc::new(Semaphore::new(settings.server.max_in_flight_actions)),
        };
        let vitals = Vitals {
            ledger: ledger.clone(),
            credentials: options::credentials(&settings, &handles),
            draining,
            background_ended: background.ended.clone(),
            warnings: {
                let access = Arc::clone(&access);
                Arc::new(move || access.load().identity.complaints())
            },
        };
        let gates = Gates {
            access: Arc::clone(&access),
            desk,
            vendors,
            ledger,
            public_url: public_url.as_str().into(),
            portal_url: settings.portal.base_url.as_str().into(),
            poll: settings.operations.poll,
            limits: options::limits(&settings.server),
        };
        let admin = serve_admin(admin, vitals.clone())?;
        let public = serve_public(public, &settings.server, gates)?;
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
            drain: settings.server.drain,
            vitals,
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
        close(self.public).await;
        self.background.stop.cancel();
        let thread = self.background.thread;
        if let Ok(Err(_)) = tokio::task::spawn_blocking(move || thread.join()).await {
            tracing::error!("the background thread has panicked");
        }
        if let Err(error) = self.vitals.ledger.close().await {
            tracing::error!(%error, "the ledger was not closed cleanly");
        }
        close(self.admin).await;
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

impl Background {
    /// Runs the watcher and the keepers, each with its own connections, until
    /// stopped; ends early if one of them does.
    fn start(
        watcher: Watcher,
        vendors: Vendors,
        keepers: Vec<Keeper>,
        token_transport: Transport,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (key_keepers, mut new_keepers) = mpsc::unbounded_channel::<NewKeeper>();
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let thread = std::thread::Builder::new()
            .name("background".into())
            .spawn(move || {
                let _ended = guard;
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, async move {
                    let mut running = JoinSet::new();
                    for keeper in keepers {
                        running.spawn_local(keeper.run(token_transport.client()));
                    }
                    // These come and go with the configuration.
                    let key_keepers = async {
                        while let Some(NewKeeper { keeper, transport }) = new_keepers.recv().await {
                            tokio::task::spawn_local(keeper.run(transport.client()));
                        }
                        std::future::pending::<()>().await;
                    };
                    tokio::select! {
                        () = watcher.run(vendors.here()) => {}
                        () = key_keepers => {}
                        Some(_) = running.join_next() => {
                            tracing::error!("a keeper has ended before its time");
                        }
                    }
                });
            })?;
        Ok(Self {
            stop,
            ended,
            key_keepers,
            thread,
        })
    }

    /// Begins to keep these issuers' keys.
    fn keep_keys(&self, keepers: Vec<NewKeeper>) {
        for keeper in keepers {
            if self.key_keepers.send(keeper).is_err() {
                tracing::error!("the background thread has ended; an issuer's keys are not kept");
            }
        }
    }
}

// Our own signal handling drains first; actix's would not. Nothing in a handler
// blocks, so one thread for that is enough.

fn serve_public(
    listener: TcpListener,
    server: &settings::Server,
    gates: Gates,
) -> io::Result<ServerHandle> {
    let workers = server.workers.get();
    let patience = server.keep_alive + server.head_timeout;
    let running = HttpServer::new(move || http::app(web::Data::new(gates.here())))
        .disable_signals()
        .workers(workers)
        .worker_max_blocking_threads(1)
        .max_connections(server.max_connections.div_ceil(workers))
        .client_request_timeout(server.head_timeout)
        .client_disconnect_timeout(Duration::from_secs(1))
        .keep_alive(server.keep_alive)
        .on_connect(move |io, data| http::watch_connection(io, data, patience))
        .shutdown_timeout(CLOSE_SECONDS)
        .listen(listener)?
        .run();
    Ok(spawn(running))
}

fn serve_admin(listener: TcpListener, vitals: Vitals) -> io::Result<ServerHandle> {
    let vitals = web::Data::new(vitals);
    let app = move || App::new().app_data(vitals.clone()).configure(admin::routes);
    let running = HttpServer::new(app)
        .disable_signals()
        .workers(1)
        .worker_max_blocking_threads(1)
        .max_connections(256)
        .shutdown_timeout(CLOSE_SECONDS)
        .listen(listener)?
        .run();
    Ok(spawn(running))
}

fn spawn(running: Server) -> ServerHandle {
    let handle = running.handle();
    tokio::spawn(async move {
        if let Err(error) = running.await {
            tracing::error!(%error, "a listener has failed");
        }
    });
    handle
}

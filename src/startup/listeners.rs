//! The two listeners: bound first, served until they are closed, each with an acceptor and
//! workers of its own.
//!
//! Both are set up without actix's signal handling, because a shutdown drains before it
//! closes them. Handlers do not block, so one thread for blocking work is enough.

use std::convert::Infallible;
use std::fmt;
use std::future::{pending, poll_fn, ready};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::Duration;

use actix_server::ServerBuilder;
use actix_service::{Service, ServiceFactoryExt, apply_fn_factory, fn_service};
use actix_tls::accept::TlsError;
use actix_tls::accept::rustls_0_23::{Acceptor, AcceptorService, TlsStream};
use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use tokio::net::{TcpSocket, TcpStream};

use super::accepting::{bind_beside, until_closed};
use super::error::StartError;
use super::http_service::HttpSettings;
use super::tls::ListenerTls;
use super::worker::AppStateFactory;
use crate::admin::{self, AdminConnection, AdminConnections, HealthSources};
use crate::http::{self, CallerStream, ConnectionConfig, ConnectionTimeouts};
use crate::identity::PeerCertificate;
use crate::settings::ServerSettings;
use crate::telemetry::{Lifetime, LogLimit, Supervisor};

/// Length of the queue of connections that are not accepted yet: room for a burst.
const BACKLOG: u32 = 4096;
/// How long the listeners may take to close once no action is running.
const CLOSE_SECONDS: u64 = 1;
/// A client that does not read its answer is disconnected after this many intervals of
/// `server.events_beat_seconds`.
const WRITE_TIMEOUT_BEATS: u32 = 3;
/// Connections that the admin listener accepts: more than it keeps open, since those that
/// have to make room take a moment to close.
const ADMIN_CONNECTIONS: usize = 512;
/// Time limit for a head on the admin listener, for an idle connection there, and for one that
/// does not take its answer.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Failed TLS handshakes.
static HANDSHAKES: LazyLock<LogLimit> = LazyLock::new(|| LogLimit::new("TLS handshakes"));

/// Binds and listens.
///
/// # Errors
/// [`StartError::Bind`], which names the key that the address comes from.
pub fn bind(address: SocketAddr, key: &'static str) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Bind {
        address,
        key,
        source,
    };
    let listen = |socket: TcpSocket| socket.listen(BACKLOG)?.into_std();
    bind_beside(address).and_then(listen).map_err(failed)
}

/// Serves callers: HTTP/1.1, over TLS if it is configured. Returns once every worker serves.
///
/// # Errors
/// [`StartError`]
pub async fn serve_public(
    listener: TcpListener,
    server: &ServerSettings,
    max_connections: usize,
    tls: Option<&ListenerTls>,
    app_state: AppStateFactory,
    supervisor: &Supervisor,
) -> Result<ServerHandle, StartError> {
    let address = listener.local_addr()?;
    let workers = server.workers.get();
    let limit = max_connections.div_ceil(workers);
    let builder = builder(workers, limit);
    let watching = supervisor.clone();
    let http = HttpSettings {
        connections: Arc::new(ConnectionConfig {
            timeouts: ConnectionTimeouts {
                idle: server.keep_alive,
                head: server.head_timeout,
                write: server.events_beat * WRITE_TIMEOUT_BEATS,
            },
            public_url: Arc::clone(&app_state.reply.public_url),
            trusted_proxies: server.trusted_proxies.as_slice().into(),
        }),
        make_app: move || {
            watch_worker(&watching, "public worker");
            http::app(web::Data::new(app_state.build()))
        },
        closing: builder.graceful_shutdown_signal(),
    };
    let builder = match tls {
        Some(tls) => {
            // A lower limit on handshakes than on connections would let a few slow
            // clients keep all others out.
            actix_tls::accept::max_concurrent_tls_connect(limit);
            let mut acceptor = Acceptor::new(tls.server_config()?);
            acceptor.set_handshake_timeout(server.head_timeout);
            builder.listen("public", listener, move || {
                apply_fn_factory::<_, _, _, _, _, TcpStream, _, _>(acceptor.clone(), handshake)
                    .map_err(drop)
                    .and_then(http.service::<TlsStream<TcpStream>, _, _, _>())
            })?
        }
        None => builder.listen("public", listener, move || {
            http.service::<TcpStream, _, _, _>()
        })?,
    };
    spawn(builder.run(), "public listener", address, supervisor).await
}

/// A TLS handshake; a failed one is logged. Anyone can cause these, so their rate is bounded.
fn handshake(
    stream: TcpStream,
    acceptor: &AcceptorService,
) -> impl Future<Output = Result<TlsStream<TcpStream>, HandshakeError>> + use<> {
    let peer = stream.peer_addr().ok();
    let accepted = acceptor.call(stream);
    async move {
        accepted.await.inspect_err(|error| {
            if HANDSHAKES.admits() {
                tracing::info!(
                    peer = peer.map(tracing::field::display),
                    error = %TlsFailure(error),
                    "TLS handshake failed"
                );
            }
        })
    }
}

/// Why a handshake failed; the library's own text for a time-out says nothing.
struct TlsFailure<'a>(&'a HandshakeError);

type HandshakeError = TlsError<io::Error, Infallible>;

impl fmt::Display for TlsFailure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            TlsError::Timeout => f.write_str("it took longer than server.head_timeout_ms"),
            TlsError::Tls(error) => write!(f, "{error}"),
            TlsError::Service(never) => match *never {},
        }
    }
}

/// Serves the platform: health. Returns once the worker serves.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve_admin(
    listener: TcpListener,
    public_url: &str,
    health: HealthSources,
    supervisor: &Supervisor,
) -> Result<ServerHandle, StartError> {
    let address = listener.local_addr()?;
    let builder = builder(1, ADMIN_CONNECTIONS);
    let watching = supervisor.clone();
    let http = HttpSettings {
        connections: Arc::new(ConnectionConfig {
            timeouts: ConnectionTimeouts {
                idle: ADMIN_TIMEOUT,
                head: ADMIN_TIMEOUT,
                write: ADMIN_TIMEOUT,
            },
            public_url: public_url.into(),
            trusted_proxies: [].into(),
        }),
        make_app: move || {
            watch_worker(&watching, "admin worker");
            App::new()
                .app_data(web::Data::new(health.clone()))
                .configure(admin::routes)
                .wrap(from_fn(http::track))
        },
        closing: builder.graceful_shutdown_signal(),
    };
    let builder = builder.listen("admin", listener, move || {
        let open = AdminConnections::default();
        fn_service(move |stream: TcpStream| ready(Ok(open.open(stream))))
            .and_then(http.service::<AdminConnection<TcpStream>, _, _, _>())
    })?;
    spawn(builder.run(), "admin listener", address, supervisor).await
}

impl CallerStream for AdminConnection<TcpStream> {
    fn peer_addr(&self) -> Option<SocketAddr> {
        CallerStream::peer_addr(self.stream())
    }

    fn peer_certificate(&self) -> Option<PeerCertificate> {
        None
    }

    fn has_ended(&self) -> bool {
        self.stream().has_ended()
    }
}

fn builder(workers: usize, connections: usize) -> ServerBuilder {
    actix_server::Server::build()
        .disable_signals()
        .workers(workers)
        .worker_max_blocking_threads(1)
        .max_concurrent_connections(connections)
        .shutdown_timeout(CLOSE_SECONDS)
}

/// Supervises the calling worker thread: its end, and whether it gets on.
fn watch_worker(supervisor: &Supervisor, name: &'static str) {
    tokio::task::spawn_local(supervisor.watch(name, Lifetime::Process, pending::<()>()));
}

/// Runs a listener in the background, once all of its workers have started.
async fn spawn(
    running: Server,
    name: &'static str,
    address: SocketAddr,
    supervisor: &Supervisor,
) -> Result<ServerHandle, StartError> {
    let handle = running.handle();
    let mut running = Box::pin(running);
    // The first poll starts the workers and waits for them.
    let started = poll_fn(|context| Poll::Ready(running.as_mut().poll(context)));
    if let Poll::Ready(ended) = started.await {
        return Err(StartError::Listener {
            name,
            source: ended.err().unwrap_or(io::ErrorKind::Interrupted.into()),
        });
    }
    let running = async move {
        if let Err(error) = running.await {
            tracing::error!(listener = name, %error, "listener failed");
        }
    };
    tokio::spawn(supervisor.watch(name, Lifetime::Process, running));
    let accepting = until_closed(address);
    tokio::spawn(supervisor.watch(name, Lifetime::Process, accepting));
    Ok(handle)
}

/// Closes a listener and its connections. A worker that does not end in time is left
/// behind.
pub async fn close(server: ServerHandle) {
    server.stop(true).await;
}

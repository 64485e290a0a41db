//! The two listeners: bound first, served until they are closed, each with an acceptor and
//! workers of its own.
//!
//! Both are set up without actix's signal handling, because a shutdown drains before it
//! closes them. Handlers do not block, so one thread for blocking work is enough.

use std::future::{pending, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::task::Poll;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_server::GracefulShutdownSignal;
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::dev::{AppConfig, Server, ServerHandle};
use actix_web::{App, web};
use tokio::net::{TcpSocket, TcpStream};

use super::error::StartError;
use super::tls::ListenerTls;
use super::worker::AppStateFactory;
use crate::admin::{self, AdminConnection, AdminConnections, HealthSources};
use crate::http::{self, CallerStream, Connection, ConnectionTimeouts};
use crate::settings::ServerSettings;
use crate::telemetry::{Lifetime, Supervisor};

/// Length of the queue of connections that are not accepted yet: room for a burst.
const BACKLOG: u32 = 4096;
/// How long the listeners may take to close once no action is running.
const CLOSE_SECONDS: u64 = 2;
/// How long closing one connection may take.
const DISCONNECT: Duration = Duration::from_secs(1);
/// A client that does not read its answer is disconnected after this many intervals of
/// `server.events_beat_seconds`.
const WRITE_TIMEOUT_BEATS: u32 = 3;
/// Connections that the admin listener accepts: more than it keeps open, since those that
/// have to make room take a moment to close.
const ADMIN_CONNECTIONS: usize = 512;
/// Time limit for the first head on the admin listener, and for an idle connection there.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(5);

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
    let workers = server.workers.get();
    let connections = max_connections.div_ceil(workers);
    let builder = actix_server::Server::build()
        .disable_signals()
        .workers(workers)
        .worker_max_blocking_threads(1)
        .max_concurrent_connections(connections)
        .shutdown_timeout(CLOSE_SECONDS);
    let http = HttpSettings {
        timeouts: ConnectionTimeouts {
            idle: server.keep_alive,
            head: server.head_timeout,
            write: server.events_beat * WRITE_TIMEOUT_BEATS,
        },
        app_state,
        supervisor: supervisor.clone(),
        closing: builder.graceful_shutdown_signal(),
    };
    let builder = match tls {
        Some(tls) => {
            // A lower limit on handshakes than on connections would let a few slow
            // clients keep all others out.
            actix_tls::accept::max_concurrent_tls_connect(connections);
            let mut acceptor = Acceptor::new(tls.server_config()?);
            acceptor.set_handshake_timeout(server.head_timeout);
            builder.listen("public", listener, move || {
                let acceptor = acceptor.clone().map_err(drop);
                acceptor.and_then(http.service::<TlsStream<TcpStream>>())
            })?
        }
        None => builder.listen("public", listener, move || http.service::<TcpStream>())?,
    };
    spawn(builder.run(), "public listener", supervisor).await
}

/// What each worker's HTTP service is made from.
#[derive(Clone)]
struct HttpSettings {
    timeouts: ConnectionTimeouts,
    app_state: AppStateFactory,
    supervisor: Supervisor,
    closing: GracefulShutdownSignal,
}

impl HttpSettings {
    /// HTTP/1.1 on streams of this kind, for the calling worker thread.
    fn service<S: CallerStream>(
        &self,
    ) -> impl ServiceFactory<S, Config = (), Response = (), Error = (), InitError = ()> + use<S>
    {
        watch_worker(&self.supervisor, "public worker");
        let timeouts = self.timeouts;
        let closing = self.closing.clone();
        let app = http::app(web::Data::new(self.app_state.build()))
            .into_factory()
            .map_err(|error| error.error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let closing = closing.clone();
                async move { closing.notified().await }
            })
            // The connection ends itself when it is idle.
            .keep_alive(KeepAlive::Os)
            // A client that closes its half has gone; its waits end.
            .h1_allow_half_closed(false)
            .client_request_timeout(timeouts.head)
            .client_disconnect_timeout(DISCONNECT)
            .on_connect_ext(|connection: &Connection<S>, data| connection.attach(data))
            // No handler uses the scheme or the host that a configuration would name.
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(move |stream: S| async move {
            // actix-http answers 408 to a first head that is late; leave it time for that.
            let connection = Connection::new(stream, timeouts, timeouts.head + DISCONNECT);
            let peer = connection.peer_addr();
            Ok::<_, DispatchError>((connection, peer))
        })
        .and_then(http)
        .map_err(drop)
    }
}

/// Serves the platform: health. Returns once the worker serves.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve_admin(
    listener: TcpListener,
    health: HealthSources,
    supervisor: &Supervisor,
) -> Result<ServerHandle, StartError> {
    let watching = supervisor.clone();
    let builder = actix_server::Server::build()
        .disable_signals()
        .workers(1)
        .worker_max_blocking_threads(1)
        .max_concurrent_connections(ADMIN_CONNECTIONS)
        .shutdown_timeout(CLOSE_SECONDS);
    let builder = builder.listen("admin", listener, move || {
        watch_worker(&watching, "admin worker");
        let app = App::new()
            .app_data(web::Data::new(health.clone()))
            .configure(admin::routes)
            .into_factory()
            .map_err(|error| error.error_response());
        let http = HttpService::build()
            .keep_alive(ADMIN_TIMEOUT)
            .client_request_timeout(ADMIN_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT)
            .h1_allow_half_closed(false)
            .h1(map_config(app, |()| AppConfig::default()));
        let connections = AdminConnections::default();
        fn_service(move |stream: TcpStream| {
            let connection = connections.open(stream);
            async move {
                let peer = connection.stream().peer_addr().ok();
                Ok::<(AdminConnection<TcpStream>, _), DispatchError>((connection, peer))
            }
        })
        .and_then(http)
        .map_err(drop)
    })?;
    spawn(builder.run(), "admin listener", supervisor).await
}

/// Supervises the calling worker thread: its end, and whether it gets on.
fn watch_worker(supervisor: &Supervisor, name: &'static str) {
    let supervisor = supervisor.clone();
    tokio::task::spawn_local(async move {
        supervisor
            .watch(name, Lifetime::Process, pending::<()>())
            .await;
    });
}

/// Runs a listener in the background, once all of its workers have started.
async fn spawn(
    running: Server,
    name: &'static str,
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
    let supervisor = supervisor.clone();
    tokio::spawn(async move {
        let running = async move {
            if let Err(error) = running.await {
                tracing::error!(listener = name, %error, "listener failed");
            }
        };
        supervisor.watch(name, Lifetime::Process, running).await;
    });
    Ok(handle)
}

/// Closes a listener and its connections. A worker that does not end in time is left
/// behind.
pub async fn close(server: ServerHandle) {
    server.stop(true).await;
}

//! The two listeners: bound first, served until they are closed.
//!
//! Our own signal handling drains first; actix's would not. Nothing in a handler
//! blocks, so one thread for that is enough.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, web};
use tokio::net::TcpSocket;

use super::worker::AppStateFactory;
use super::{ListenerTls, StartError, secure};
use crate::admin::{self, HealthSources};
use crate::http;
use crate::settings;

/// Connections that may wait to be accepted: a burst of callers is not turned away.
const BACKLOG: u32 = 4096;
/// How long the listeners may take to close once nothing is under way any more.
pub const CLOSE_SECONDS: u64 = 2;
/// How long a connection that is being closed may take over it.
pub const DISCONNECT: Duration = Duration::from_secs(1);

/// Listens, so that whoever starts us knows at once that nobody else does.
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

/// Serves callers.
///
/// # Errors
/// [`StartError`]
pub fn serve_public(
    listener: TcpListener,
    server: &settings::Server,
    tls: Option<&ListenerTls>,
    states: AppStateFactory,
) -> Result<ServerHandle, StartError> {
    let running = match tls {
        Some(tls) => secure::serve(listener, server, tls, states)?,
        None => serve_plain(listener, server, states)?,
    };
    Ok(spawn(running))
}

fn serve_plain(
    listener: TcpListener,
    server: &settings::Server,
    states: AppStateFactory,
) -> io::Result<Server> {
    let workers = server.workers.get();
    let patience = server.keep_alive + server.head_timeout;
    let public = HttpServer::new(move || http::app(web::Data::new(states.here())))
        .disable_signals()
        .workers(workers)
        .worker_max_blocking_threads(1)
        .max_connections(server.max_connections.div_ceil(workers))
        .client_request_timeout(server.head_timeout)
        .client_disconnect_timeout(DISCONNECT)
        .keep_alive(server.keep_alive)
        // Whoever closes its half is gone; nobody waits on its behalf.
        .h1_allow_half_closed(false)
        .on_connect(move |io, data| http::watch_connection(io, data, patience))
        .shutdown_timeout(CLOSE_SECONDS)
        .listen(listener)?;
    Ok(public.run())
}

/// Serves the platform.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve_admin(listener: TcpListener, health: HealthSources) -> io::Result<ServerHandle> {
    let health = web::Data::new(health);
    let app = move || App::new().app_data(health.clone()).configure(admin::routes);
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

/// Closes a listener and its connections; a worker that is stuck is left behind.
pub async fn close(server: ServerHandle) {
    let patience = Duration::from_secs(CLOSE_SECONDS + 1);
    if tokio::time::timeout(patience, server.stop(true))
        .await
        .is_err()
    {
        tracing::error!("a listener did not close in time");
    }
}

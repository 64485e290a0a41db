//! The public listener over TLS.
//!
//! actix-web's own server would do, but for HTTP/2: what it cannot be told about that
//! is counted by [`Counted`], which has to stand between TLS and HTTP. So the parts are
//! put together here, as actix-web does it.

use std::net::{SocketAddr, TcpListener};

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, map_config};
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::dev::AppConfig;
use actix_web::web;
use tokio::net::TcpStream;

use super::StartError;
use super::listeners::{CLOSE_SECONDS, DISCONNECT};
use super::tls::{HTTP_2, ListenerTls};
use super::worker::AppStateFactory;
use crate::http::{self, Counted};
use crate::settings;

/// How much of one request's body an HTTP/2 client may send ahead: bodies are small.
const STREAM_BYTES: u32 = 65_535;
/// And of all bodies on one connection, which is memory that nobody has asked for.
const CONNECTION_BYTES: u32 = 1024 * 1024;
/// What a head may have over HTTP/2 besides the target and the headers that are counted
/// in plain: small things, and room for an answer to one that is too large.
const HEAD_EXTRA: usize = 4096;

/// Serves callers over TLS, with HTTP/2 and HTTP/1.1.
///
/// # Errors
/// [`StartError`]
pub fn serve(
    listener: TcpListener,
    server: &settings::Server,
    tls: &ListenerTls,
    states: AppStateFactory,
) -> Result<Server, StartError> {
    let workers = server.workers.get();
    let connections = server.max_connections.div_ceil(workers);
    // Handshakes are connections, too; a lower limit would be one more way to keep
    // everybody else out.
    actix_tls::accept::max_concurrent_tls_connect(connections);
    let mut acceptor = Acceptor::new(tls.server_config()?);
    acceptor.set_handshake_timeout(server.head_timeout);
    let max_head = server.max_uri_bytes + server.max_header_bytes + HEAD_EXTRA;
    let builder = Server::build()
        .disable_signals()
        .workers(workers)
        .worker_max_blocking_threads(1)
        .max_concurrent_connections(connections)
        .shutdown_timeout(CLOSE_SECONDS);
    let closing = builder.graceful_shutdown_signal();
    let settings = server.clone();
    let service = move || {
        let http = http_service(settings.clone(), states.clone(), closing.clone());
        acceptor
            .clone()
            .map_err(drop)
            .map(move |stream| accepted(stream, max_head))
            .and_then(http.map_err(drop))
    };
    Ok(builder.listen("public", listener, service)?.run())
}

type Connection = Counted<TlsStream<TcpStream>>;
/// What actix's HTTP service takes.
type Accepted = (Connection, Protocol, Option<SocketAddr>);

/// A connection, and what has been agreed on to be spoken there.
fn accepted(stream: TlsStream<TcpStream>, max_head: usize) -> Accepted {
    let (tcp, session) = stream.get_ref();
    let peer = tcp.peer_addr().ok();
    if session.alpn_protocol() == Some(HTTP_2) {
        let connection = Counted::multiplexed(stream, max_head);
        (connection, Protocol::Http2, peer)
    } else {
        (Counted::single(stream), Protocol::Http1, peer)
    }
}

/// HTTP for the calling worker thread.
fn http_service(
    server: settings::Server,
    states: AppStateFactory,
    closing: GracefulShutdownSignal,
) -> impl ServiceFactory<Accepted, Config = (), Response = (), Error = DispatchError, InitError = ()>
{
    let patience = server.keep_alive + server.head_timeout;
    let app = http::app(web::Data::new(states.here()))
        .into_factory()
        .map_err(|error| error.error_response());
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let closing = closing.clone();
            async move { closing.notified().await }
        })
        .keep_alive(server.keep_alive)
        .h1_allow_half_closed(false)
        .client_request_timeout(server.head_timeout)
        .client_disconnect_timeout(DISCONNECT)
        .h2_initial_window_size(STREAM_BYTES)
        .h2_initial_connection_window_size(CONNECTION_BYTES)
        .on_connect_ext(move |connection: &Connection, data| {
            http::watch_connection(connection, data, patience);
        })
        // Nothing of ours asks it for the scheme or the host.
        .finish(map_config(app, |()| AppConfig::default()))
}

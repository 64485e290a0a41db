//! HTTP/1.1 on callers' connections, for both listeners: the HTTP library over a stream with
//! limits of its own.

use std::fmt::Debug;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Request, Response};
use actix_server::GracefulShutdownSignal;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;

use crate::http::{CallerStream, Connection, ConnectionConfig};

/// How long closing one connection may take.
const DISCONNECT: Duration = Duration::from_secs(1);

/// What each worker's HTTP service is made from.
#[derive(Clone)]
pub struct HttpSettings<M> {
    /// Limits of connections.
    pub connections: Arc<ConnectionConfig>,
    /// Makes the application of the calling thread.
    pub make_app: M,
    /// When the listener is being closed.
    pub closing: GracefulShutdownSignal,
}

impl<M> HttpSettings<M> {
    /// HTTP/1.1 on streams of this kind, for the calling worker thread.
    pub fn service<S, I, A, B>(
        &self,
    ) -> impl ServiceFactory<S, Config = (), Response = (), Error = (), InitError = ()>
    + use<S, M, I, A, B>
    where
        S: CallerStream,
        M: Fn() -> I,
        I: IntoServiceFactory<A, Request>,
        A: ServiceFactory<Request, Config = AppConfig> + 'static,
        A::Error: Into<actix_web::Error> + 'static,
        A::InitError: Debug,
        A::Response: Into<Response<B>> + 'static,
        A::Service: 'static,
        <A::Service as Service<Request>>::Future: 'static,
        B: MessageBody + 'static,
    {
        let connections = Arc::clone(&self.connections);
        let closing = self.closing.clone();
        let app = (self.make_app)()
            .into_factory()
            .map_err(|error| error.into().error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let closing = closing.clone();
                async move { closing.notified().await }
            })
            // The connection ends itself when it is idle, or a head is late.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            // A client that closes its half has gone; its waits end.
            .h1_allow_half_closed(false)
            .client_disconnect_timeout(DISCONNECT)
            .on_connect_ext(|connection: &Connection<S>, data| connection.attach(data))
            // No handler uses the scheme or the host that a configuration would name.
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(move |stream: S| {
            let connection = Connection::new(stream, Arc::clone(&connections));
            let peer = connection.peer_addr();
            ready(Ok::<_, DispatchError>((connection, peer)))
        })
        .and_then(http)
        .map_err(drop)
    }
}

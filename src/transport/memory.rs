//! Answers from memory, read as a server's are: by awc, over the framing filter. For the checks
//! that feed it anything.

use std::cell::RefCell;
use std::future::{Ready, ready};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use actix_web::http::header::HeaderMap;
use actix_web::http::{StatusCode, Uri};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use super::body::{Body, read};
use super::config::client_over;
use super::error::{SendError, classify};
use super::framing::{Filter, Script};

/// Longer than any check.
const TIMEOUT: Duration = Duration::from_secs(600);

/// A server whose answers come from memory, and a client of it.
pub struct MemoryServer {
    client: awc::Client,
    next: NextConnection,
    tasks: LocalSet,
    runtime: Runtime,
}

/// An answer of a [`MemoryServer`].
pub struct MemoryAnswer {
    /// Never 1xx.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Body,
}

impl MemoryServer {
    /// Starts both, on the calling thread.
    ///
    /// # Errors
    /// When there is no runtime to be had.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let tasks = LocalSet::new();
        let next = NextConnection::default();
        let client = {
            let _runtime = runtime.enter();
            let _tasks = tasks.enter();
            client_over(next.clone(), TIMEOUT)
        };
        Ok(Self {
            client,
            next,
            tasks,
            runtime,
        })
    }

    /// Reads the answer that comes in these pieces, none of them empty, before the connection
    /// ends. `proves_end`: that end cannot be forged. `max` is the longest body, in bytes.
    ///
    /// # Errors
    /// [`SendError`]
    pub fn answer(
        &self,
        pieces: Vec<io::Result<Vec<u8>>>,
        proves_end: bool,
        max: usize,
    ) -> Result<MemoryAnswer, SendError> {
        let connection = Filter::from_memory(pieces, proves_end);
        self.next.0.replace(Some(connection));
        let exchange = async {
            let request = self.client.get("http://memory.test/").timeout(TIMEOUT);
            let mut head = request.send().await.map_err(classify)?;
            let body = read(&mut head, max).await;
            Ok(MemoryAnswer {
                status: head.status(),
                headers: head.headers().clone(),
                body,
            })
        };
        self.tasks.block_on(&self.runtime, exchange)
    }
}

/// Connects to the next answer.
#[derive(Clone, Default)]
struct NextConnection(Rc<RefCell<Option<Filter<Script>>>>);

impl Service<ConnectInfo<Uri>> for NextConnection {
    type Response = Connection<Uri, Filter<Script>>;
    type Error = ConnectError;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    actix_service::always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let connection = self.0.take();
        let connected = connection.map(|it| Connection::new(info.request().clone(), it));
        ready(connected.ok_or(ConnectError::Unresolved))
    }
}

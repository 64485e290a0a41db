//! Cancels that the vendor takes its time with, and the callers who wait for their ends.

use std::cell::{Cell, RefCell};
use std::io::{Error, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};

use super::{Generator, Id, PATIENCE, read_any};
use crate::configuration::KEY;
use crate::process::Server;
use crate::standin::StandIn;

/// How many are asked for at a time.
const CONNECTIONS: usize = 64;
/// Nobody tells the bench how far the gateway is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Connections on which operations are looked at, each with its operation.
pub struct Callers(Vec<(TcpStream, Id)>);

impl Generator {
    /// Asks for as many cancels, of offers whose ids begin so; all must be accepted.
    pub fn accepted(
        &self,
        gateway: &Server,
        offers: &'static str,
        count: usize,
    ) -> Result<Vec<Id>, Error> {
        let next = Rc::new(Cell::new(0));
        let ids = Rc::new(RefCell::new(Vec::with_capacity(count)));
        LocalSet::new().block_on(&self.runtime, async {
            let mut conversations = JoinSet::new();
            for _ in 0..CONNECTIONS.min(count) {
                let mut stream = TcpStream::connect(gateway.address()).await?;
                stream.set_nodelay(true)?;
                let (next, ids) = (Rc::clone(&next), Rc::clone(&ids));
                conversations.spawn_local(async move {
                    let mut buffer = vec![0; 8 * 1024];
                    while next.get() < count {
                        let number = next.get() + 1;
                        next.set(number);
                        let request = format!(
                            "POST /offers/{offers}{number:08}/cancel HTTP/1.1\r\n\
                             Content-Length: 0\r\nHost: gateway\r\nX-Api-Key: {KEY}\r\n\r\n"
                        );
                        stream.write_all(request.as_bytes()).await?;
                        let body = expect(202, read_any(&mut stream, &mut buffer).await?)?;
                        ids.borrow_mut().push(id(body)?);
                    }
                    Ok::<_, Error>(())
                });
            }
            all(conversations).await.map(drop)
        })?;
        Ok(ids.take())
    }

    /// Waits until the stand-in was looked at so often.
    pub fn looked(&self, vendor: &StandIn, at_least: usize) -> Result<(), Error> {
        let begun = Instant::now();
        while self.looks(vendor)? < at_least {
            if begun.elapsed() > PATIENCE * 3 {
                return Err(Error::other("the gateway does not look at its operations"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    pub fn looks(&self, vendor: &StandIn) -> Result<usize, Error> {
        self.runtime.block_on(vendor.looks())
    }

    pub fn end(&self, vendor: &StandIn, offers: &str) -> Result<(), Error> {
        self.runtime.block_on(vendor.end(offers))
    }

    /// Connects so many callers, who look at these operations, in turns.
    pub fn callers(&self, gateway: &Server, ids: &[Id], count: usize) -> Result<Callers, Error> {
        self.runtime.block_on(async {
            let mut callers = Vec::with_capacity(count);
            let mut buffer = vec![0; 8 * 1024];
            for id in ids.iter().cycle().take(count) {
                let mut stream = TcpStream::connect(gateway.address()).await?;
                stream.set_nodelay(true)?;
                ask(&mut stream, id, None).await?;
                expect(200, read_any(&mut stream, &mut buffer).await?)?;
                callers.push((stream, *id));
            }
            Ok(Callers(callers))
        })
    }

    /// Has each of them ask for the operation's end.
    pub fn wait(&self, callers: &mut Callers, longest: Duration) -> Result<(), Error> {
        self.runtime.block_on(async {
            for (stream, id) in &mut callers.0 {
                ask(stream, id, Some(longest)).await?;
            }
            // The last ones are to be waiting as well.
            sleep(Duration::from_millis(500)).await;
            Ok(())
        })
    }

    /// What each answer took from the moment that the operation changed, shortest first.
    pub fn told(&self, callers: Callers) -> Result<Vec<Duration>, Error> {
        let mut took = self.hear(callers, |body| {
            let now = Timestamp::now();
            let text = String::from_utf8_lossy(body);
            let ended = text.contains(r#""outcome":"canceled""#);
            let updated = text.split_once(r#""updatedAt":""#);
            let updated = updated.and_then(|(_, rest)| rest.split_once('"'));
            let (true, Some((updated, _))) = (ended, updated) else {
                return Err(Error::other(format!("not an end: {text}")));
            };
            let updated: Timestamp = updated.parse().map_err(Error::other)?;
            // Below zero, were the answer there before the change.
            Duration::try_from(now.duration_since(updated)).map_err(Error::other)
        })?;
        took.sort_unstable();
        Ok(took)
    }

    /// Waits until all of them are answered; says how long that took.
    pub fn dismissed(&self, callers: Callers) -> Result<Duration, Error> {
        let begun = Instant::now();
        self.hear(callers, |_| Ok(()))?;
        Ok(begun.elapsed())
    }

    fn hear<T: 'static>(
        &self,
        callers: Callers,
        read: fn(&[u8]) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        LocalSet::new().block_on(&self.runtime, async {
            let mut answers = JoinSet::new();
            for (mut stream, _) in callers.0 {
                answers.spawn_local(async move {
                    let mut buffer = vec![0; 2 * 1024];
                    read(expect(200, read_any(&mut stream, &mut buffer).await?)?)
                });
            }
            all(answers).await
        })
    }
}

async fn ask(stream: &mut TcpStream, id: &Id, wait: Option<Duration>) -> Result<(), Error> {
    let mut request = Vec::with_capacity(256);
    request.extend_from_slice(b"GET /operations/");
    request.extend_from_slice(id);
    write!(
        request,
        " HTTP/1.1\r\nHost: gateway\r\nX-Api-Key: {KEY}\r\n"
    )?;
    if let Some(wait) = wait {
        write!(request, "Prefer: wait={}\r\n", wait.as_secs())?;
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await
}

/// What all of them bring.
async fn all<T: 'static>(mut tasks: JoinSet<Result<T, Error>>) -> Result<Vec<T>, Error> {
    let mut brought = Vec::with_capacity(tasks.len());
    while let Some(ended) = timeout(PATIENCE, tasks.join_next()).await? {
        brought.push(ended.map_err(Error::other)??);
    }
    Ok(brought)
}

fn expect(wanted: u16, (status, body): (u16, &[u8])) -> Result<&[u8], Error> {
    if status == wanted {
        return Ok(body);
    }
    let text = String::from_utf8_lossy(body);
    Err(Error::other(format!(
        "{status} instead of {wanted}: {text}"
    )))
}

fn id(body: &[u8]) -> Result<Id, Error> {
    let id = body
        .strip_prefix(br#"{"id":""#)
        .and_then(<[u8]>::first_chunk);
    id.copied()
        .ok_or_else(|| Error::other("an operation without an id"))
}

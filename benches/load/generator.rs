//! The load: a closed loop on each of many kept-alive connections, cheap enough to
//! share a machine with what it measures. Anything but the expected answer ends it.

mod followed;
mod rush;

use std::cell::{Cell, RefCell};
use std::io::{Error, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};

use crate::process::Server;
pub use rush::Rush;

/// The longest that the answers still under way at the end may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The text of an operation's id.
type Id = [u8; 36];

/// What every request of a run asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A cancel of an offer that was never named before.
    Cancel,
    /// The same, with an `Idempotency-Key` of its own.
    CancelWithKey,
    /// The same, answered before it is over: which it is at the first look.
    Follow,
    /// The same, with an `Idempotency-Key` of its own.
    FollowWithKey,
    /// The same, of an operation that is to be shown later.
    CancelToShow,
    /// An operation that was canceled before: each once, then from the beginning.
    Show,
}

/// How the ids of offers begin whose cancel is over at its first look, once the stand-in
/// was told to end them.
pub const ENDED: &str = "bench-follow-ended-";

/// How every request of a run says who asks.
#[derive(Clone, Copy)]
pub enum Credential {
    Key,
    Token,
}

/// What both callers present.
pub struct Credentials {
    pub key: &'static str,
    pub token: String,
}

/// One kind of load on one server.
#[derive(Clone, Copy)]
pub struct Load<'s> {
    pub server: &'s Server,
    pub connections: usize,
    pub ask: Ask,
    pub credential: Credential,
}

/// What one run has measured.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Requests answered.
    pub count: usize,
    /// In this time.
    pub took: Duration,
    /// With this much CPU time of the server.
    pub cpu: Duration,
    /// Each request's time, shortest first at last.
    pub latencies: Vec<Duration>,
}

/// A request that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    pub begun: Instant,
    pub took: Duration,
}

/// Makes load, on the calling thread.
pub struct Generator {
    runtime: Runtime,
    shared: Rc<Shared>,
    warm_up: Duration,
    measured: Duration,
}

struct Shared {
    credentials: Credentials,
    /// Offers named so far.
    offers: Cell<u64>,
    /// Operations begun so far at the gateway that is asked to show them.
    operations: RefCell<Vec<Id>>,
    /// Operations shown so far.
    shown: Cell<usize>,
    recording: Cell<bool>,
    ending: Cell<bool>,
    answered: RefCell<Vec<Answered>>,
}

impl Generator {
    pub fn new(
        credentials: Credentials,
        warm_up: Duration,
        measured: Duration,
    ) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            runtime,
            shared: Rc::new(Shared::new(credentials)),
            warm_up,
            measured,
        })
    }

    /// One request, to see that it works.
    pub fn once(&self, load: Load<'_>) -> Result<(), Error> {
        let shared = Rc::clone(&self.shared);
        shared.ending.set(true);
        self.runtime.block_on(async {
            let Load {
                server,
                ask,
                credential,
                ..
            } = load;
            let conversation = shared.converse(server.address(), ask, credential);
            timeout(PATIENCE, conversation).await?
        })
    }

    /// Makes one load after the other, and then the same in the opposite order, each for
    /// half of the time: on a machine that gets faster or slower, all are equally lucky.
    pub fn there_and_back<const N: usize>(
        &self,
        loads: [Load<'_>; N],
    ) -> Result<[Sample; N], Error> {
        let mut samples = std::array::from_fn(|_| Sample::default());
        for i in (0..N).chain((0..N).rev()) {
            samples[i].add(self.run(loads[i], self.measured / 2)?.0);
        }
        for sample in &mut samples {
            sample.latencies.sort_unstable();
        }
        Ok(samples)
    }

    /// Loads the server; measures after the warm-up. Returns each request as well.
    pub fn run(
        &self,
        load: Load<'_>,
        measured: Duration,
    ) -> Result<(Sample, Vec<Answered>), Error> {
        let shared = &self.shared;
        let Load {
            server,
            connections,
            ask,
            credential,
        } = load;
        shared.ending.set(false);
        LocalSet::new().block_on(&self.runtime, async {
            let mut conversations = JoinSet::new();
            for _ in 0..connections {
                let conversation = Rc::clone(shared).converse(server.address(), ask, credential);
                conversations.spawn_local(conversation);
            }
            sleep(self.warm_up).await;
            let (begun, cpu) = (Instant::now(), server.cpu()?);
            shared.recording.set(true);
            sleep(measured).await;
            shared.recording.set(false);
            let (took, cpu) = (begun.elapsed(), server.cpu()?.saturating_sub(cpu));
            shared.ending.set(true);
            let answered = shared.answered.take();
            while let Some(ended) = timeout(PATIENCE, conversations.join_next()).await? {
                ended.map_err(Error::other)??;
            }
            let sample = Sample {
                count: answered.len(),
                took,
                cpu,
                latencies: answered.iter().map(|one| one.took).collect(),
            };
            Ok((sample, answered))
        })
    }
}

impl Sample {
    /// Two runs as one; the latencies are no longer in order.
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.took += other.took;
        self.cpu += other.cpu;
        self.latencies.extend(other.latencies);
    }
}

impl Shared {
    fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            offers: Cell::default(),
            operations: RefCell::default(),
            shown: Cell::default(),
            recording: Cell::default(),
            ending: Cell::default(),
            answered: RefCell::default(),
        }
    }

    /// Asks and listens on one connection until the end.
    async fn converse(
        self: Rc<Self>,
        address: SocketAddr,
        ask: Ask,
        credential: Credential,
    ) -> Result<(), Error> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut request = Vec::with_capacity(2048);
        let mut answer = vec![0; 8 * 1024];
        loop {
            request.clear();
            self.write_request(&mut request, ask, credential)?;
            let begun = Instant::now();
            stream.write_all(&request).await?;
            let expected = match ask {
                Ask::Follow | Ask::FollowWithKey => 202,
                _ => 200,
            };
            let body = read_answer(&mut stream, &mut answer, expected).await?;
            if self.recording.get() {
                let took = begun.elapsed();
                self.answered.borrow_mut().push(Answered { begun, took });
            }
            if ask == Ask::CancelToShow
                && let Some(id) = body
                    .strip_prefix(br#"{"id":""#)
                    .and_then(<[u8]>::first_chunk)
            {
                self.operations.borrow_mut().push(*id);
            }
            if self.ending.get() {
                return Ok(());
            }
        }
    }

    /// The same headers whoever is asked.
    fn write_request(
        &self,
        to: &mut Vec<u8>,
        ask: Ask,
        credential: Credential,
    ) -> Result<(), Error> {
        match ask {
            Ask::Show => {
                let operations = self.operations.borrow();
                let next = self.shown.get() % operations.len().max(1);
                self.shown.set(next + 1);
                let id = operations
                    .get(next)
                    .ok_or_else(|| Error::other("there is no operation to show"))?;
                to.extend_from_slice(b"GET /operations/");
                to.extend_from_slice(id);
                to.extend_from_slice(b" HTTP/1.1\r\n");
            }
            _ => {
                let offer = self.offers.get() + 1;
                self.offers.set(offer);
                let offers = match ask {
                    Ask::Follow | Ask::FollowWithKey => ENDED,
                    _ => "bench-",
                };
                write!(to, "POST /offers/{offers}{offer:08}/cancel")?;
                to.extend_from_slice(b" HTTP/1.1\r\nContent-Length: 0\r\n");
                if matches!(ask, Ask::CancelWithKey | Ask::FollowWithKey) {
                    // As long as a UUID in its quotes.
                    write!(to, "Idempotency-Key: \"{offer:036}\"\r\n")?;
                }
            }
        }
        let Credentials { key, token } = &self.credentials;
        match credential {
            Credential::Key => write!(to, "Host: gateway\r\nX-Api-Key: {key}\r\n\r\n"),
            Credential::Token => {
                write!(to, "Host: gateway\r\nAuthorization: Bearer {token}\r\n\r\n")
            }
        }
    }
}

/// The body of the next answer, which must have this status.
async fn read_answer<'b>(
    stream: &mut TcpStream,
    buffer: &'b mut [u8],
    expected: u16,
) -> Result<&'b [u8], Error> {
    match read_any(stream, buffer).await? {
        (status, body) if status == expected => Ok(body),
        (status, body) => {
            let text = String::from_utf8_lossy(body);
            Err(Error::other(format!(
                "an unexpected answer: {status} {text}"
            )))
        }
    }
}

/// Status and body of the next answer.
async fn read_any<'b>(
    stream: &mut TcpStream,
    buffer: &'b mut [u8],
) -> Result<(u16, &'b [u8]), Error> {
    let mut filled = 0;
    let (status, head, end) = loop {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Err(Error::other("the server closed the connection")),
            count => filled += count,
        }
        if let Some(extent) = extent(&buffer[..filled])?
            && filled >= extent.2
        {
            break extent;
        }
    };
    Ok((status, &buffer[head..end]))
}

/// The answer's status, where its head ends, and where its body does.
fn extent(bytes: &[u8]) -> Result<Option<(u16, usize, usize)>, Error> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let head = answer.parse(bytes).map_err(Error::other)?;
    let httparse::Status::Complete(head) = head else {
        return Ok(None);
    };
    let length: Option<usize> = answer
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    let length = length.ok_or_else(|| Error::other("an answer without Content-Length"))?;
    Ok(Some((answer.code.unwrap_or(0), head, head + length)))
}

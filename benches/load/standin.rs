//! A stand-in for the vendor, its token endpoint and an issuer of JWTs that costs next
//! to nothing: it looks only for the end of each request and answers a fixed text.
//! Only its tokens differ, and the offers that are followed: they live as long as it is told, the first may be held back,
//! and it says when it was asked for them.

mod follow;

use std::borrow::Cow;
use std::io::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

pub use follow::FOLLOWED;
use follow::{Call, Follow};

use crate::process::{Server, announce};
use crate::workplace::TOKEN_LENGTH;

const BACKLOG: u32 = 4096;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// How its tokens are.
#[derive(Clone, Copy)]
pub struct Tokens {
    /// In seconds.
    pub live: u32,
    /// Whether none is handed out before [`StandIn::release`].
    pub held: bool,
}

/// A stand-in that runs.
pub struct StandIn(pub Server);

impl StandIn {
    /// As an issuer, it publishes this key set.
    pub fn start(key_set: &str, tokens: Tokens) -> Result<Self, Error> {
        let Tokens { live, held } = tokens;
        let arguments = [key_set.to_owned(), live.to_string(), held.to_string()];
        Ok(Self(Server::of_this_program("standin", &arguments)?))
    }

    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// When it was asked for tokens, since 1970.
    pub async fn asked(&self) -> Result<Vec<Duration>, Error> {
        let mut stream = TcpStream::connect(self.address()).await?;
        stream.write_all(b"GET /asked HTTP/1.1\r\n\r\n").await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let times = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let micros = times.split_ascii_whitespace().map(str::parse);
        let times: Result<_, _> = micros.map(|at| at.map(Duration::from_micros)).collect();
        times.map_err(Error::other)
    }

    /// Hands out the tokens that it has held back, after `HELD`.
    pub async fn release(&self) -> Result<(), Error> {
        let mut stream = TcpStream::connect(self.address()).await?;
        stream.write_all(b"POST /release HTTP/1.1\r\n\r\n").await?;
        stream.shutdown().await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    }
}

/// How long a token that was held back takes from its release.
pub const HELD: Duration = Duration::from_secs(1);

struct Answers {
    cancel: Vec<u8>,
    keys: Vec<u8>,
    date: String,
    /// How long tokens live, in seconds.
    live: u32,
    asked: Mutex<Vec<Duration>>,
    held: watch::Sender<bool>,
    follow: Follow,
}

/// What to do about a request.
enum Reply<'a> {
    Text(&'a [u8]),
    Follow(Call<'a>),
    Token,
    Asked,
    Release,
}

/// Serves on one thread until its standard input ends.
pub fn run(arguments: &[String]) -> Result<(), Error> {
    let [key_set, live, held] = arguments else {
        return Err(Error::other(
            "wants a key set, a lifetime and whether to hold",
        ));
    };
    let live = live.parse().map_err(Error::other)?;
    let held = held.parse().map_err(Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // All that a gateway has in flight may come at once.
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let listener = socket.listen(BACKLOG)?;
        announce(listener.local_addr()?);
        let answers = Arc::new(Answers::new(key_set, live, held)?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A connection that breaks is its client's business.
            tokio::spawn(serve(stream, Arc::clone(&answers)));
        }
    })
}

impl Answers {
    fn new(key_set: &str, live: u32, held: bool) -> Result<Self, Error> {
        let date = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&jiff::Timestamp::now())
            .map_err(Error::other)?;
        let cancel = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: {date}\r\n\
             X-Ms-Correlation-Request-Id: 5f1ee3a0-0f34-4c5b-9a0e-6a3c1c5d0b11\r\n\r\n"
        );
        Ok(Self {
            cancel: cancel.into(),
            keys: document(&date, key_set),
            date,
            live,
            asked: Mutex::default(),
            held: watch::Sender::new(held),
            follow: Follow::default(),
        })
    }

    async fn answer<'a>(&self, reply: Reply<'a>) -> Result<Cow<'a, [u8]>, Error> {
        let text = match reply {
            Reply::Text(text) => return Ok(text.into()),
            Reply::Follow(call) => return Ok(self.follow.answer(call, &self.date).into()),
            Reply::Token => self.token().await?,
            Reply::Asked => {
                let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
                let times = asked.iter().map(|at| at.as_micros().to_string());
                times.collect::<Vec<_>>().join(" ")
            }
            Reply::Release => {
                self.held.send_replace(false);
                String::new()
            }
        };
        Ok(document(&self.date, &text).into())
    }

    /// Another one each time.
    async fn token(&self) -> Result<String, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let number = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.push(now.map_err(Error::other)?);
            asked.len()
        };
        let mut held = self.held.subscribe();
        if *held.borrow_and_update() {
            held.changed().await.map_err(Error::other)?;
            sleep(HELD).await;
        }
        Ok(format!(
            r#"{{"token_type":"Bearer","expires_in":{},"access_token":"{number:t>TOKEN_LENGTH$}"}}"#,
            self.live
        ))
    }
}

fn document(date: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Date: {date}\r\n\r\n{body}"
    )
    .into()
}

async fn serve(mut stream: TcpStream, answers: Arc<Answers>) -> Result<(), Error> {
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        while let Some((length, reply)) = next(&buffer[..filled], &answers)? {
            stream.write_all(&answers.answer(reply).await?).await?;
            buffer.copy_within(length..filled, 0);
            filled -= length;
        }
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Ok(()),
            count => filled += count,
        }
    }
}

/// The length of the first request, once all of it is there, and its answer.
fn next<'a>(bytes: &'a [u8], answers: &'a Answers) -> Result<Option<(usize, Reply<'a>)>, Error> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut headers);
    let head = request.parse(bytes).map_err(Error::other)?;
    let httparse::Status::Complete(head) = head else {
        return Ok(None);
    };
    debug_assert_eq!(&bytes[head - HEAD_END.len()..head], HEAD_END);
    let body = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
        .unwrap_or(0);
    let path = request.path.unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let followed = Call::of(request.method.unwrap_or_default(), path);
    let reply = match (request.method, path) {
        _ if let Some(call) = followed => Reply::Follow(call),
        (Some("POST"), path) if path.ends_with("/cancel") => Reply::Text(&answers.cancel),
        (Some("POST"), path) if path.ends_with("/oauth2/v2.0/token") => Reply::Token,
        (Some("GET"), "/keys") => Reply::Text(&answers.keys),
        (Some("GET"), "/asked") => Reply::Asked,
        (Some("POST"), "/release") => Reply::Release,
        (method, path) => return Err(Error::other(format!("{method:?} {path}"))),
    };
    Ok((bytes.len() >= head + body).then_some((head + body, reply)))
}

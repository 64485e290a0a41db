//! A stand-in for the vendor, its token endpoint and an issuer of JWTs that costs next
//! to nothing: it looks only for the end of each request and answers a fixed text.

use std::io::Error;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::process::announce;
use crate::workplace::TOKEN_LENGTH;

const HEAD_END: &[u8] = b"\r\n\r\n";

struct Answers {
    cancel: Vec<u8>,
    token: Vec<u8>,
    keys: Vec<u8>,
}

/// Serves on one thread until its standard input ends; as an issuer, the key set that
/// it is given.
pub fn run(arguments: &[String]) -> Result<(), Error> {
    let key_set = arguments.first().map_or("", String::as_str);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?);
        let answers = Arc::new(answers(key_set)?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A connection that breaks is its client's business.
            tokio::spawn(serve(stream, Arc::clone(&answers)));
        }
    })
}

fn answers(key_set: &str) -> Result<Answers, Error> {
    let date = jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&jiff::Timestamp::now())
        .map_err(Error::other)?;
    let cancel = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: {date}\r\n\
         X-Ms-Correlation-Request-Id: 5f1ee3a0-0f34-4c5b-9a0e-6a3c1c5d0b11\r\n\r\n"
    );
    let grant = format!(
        r#"{{"token_type":"Bearer","expires_in":3599,"access_token":"{}"}}"#,
        "t".repeat(TOKEN_LENGTH)
    );
    let document = |json: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Date: {date}\r\n\r\n{json}",
            json.len()
        )
    };
    Ok(Answers {
        cancel: cancel.into(),
        token: document(&grant).into(),
        keys: document(key_set).into(),
    })
}

async fn serve(mut stream: TcpStream, answers: Arc<Answers>) -> Result<(), Error> {
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        while let Some((length, answer)) = next(&buffer[..filled], &answers)? {
            stream.write_all(answer).await?;
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
fn next<'a>(bytes: &[u8], answers: &'a Answers) -> Result<Option<(usize, &'a [u8])>, Error> {
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
    let answer = match (request.method, path) {
        (Some("POST"), path) if path.ends_with("/cancel") => &answers.cancel,
        (Some("POST"), path) if path.ends_with("/oauth2/v2.0/token") => &answers.token,
        (Some("GET"), "/keys") => &answers.keys,
        (method, path) => return Err(Error::other(format!("{method:?} {path}"))),
    };
    Ok((bytes.len() >= head + body).then_some((head + body, answer.as_slice())))
}

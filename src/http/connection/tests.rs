//! Deadlines on a stream in memory, on a clock that only moves when all wait.

use actix_web::body::BoxBody;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{advance, sleep, timeout};

use super::*;

const TIMEOUTS: ConnectionTimeouts = ConnectionTimeouts {
    idle: Duration::from_secs(75),
    head: Duration::from_secs(5),
    write: Duration::from_secs(45),
};
/// What a stream in memory holds before writing to it has to wait.
const CAPACITY: usize = 16;
const MOMENT: Duration = Duration::from_millis(10);
const HEAD: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

impl CallerStream for DuplexStream {
    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }

    fn peer_certificate(&self) -> Option<PeerCertificate> {
        None
    }

    fn has_ended(&self) -> bool {
        false
    }
}

fn connect() -> (Connection<DuplexStream>, DuplexStream) {
    connect_with(CAPACITY)
}

fn connect_with(capacity: usize) -> (Connection<DuplexStream>, DuplexStream) {
    let (server, client) = duplex(capacity);
    let config = ConnectionConfig {
        timeouts: TIMEOUTS,
        public_url: "".into(),
        trusted_proxies: [].into(),
    };
    (Connection::new(server, config.into()), client)
}

impl<S> Connection<S> {
    fn begin(&self) -> InFlightRequest {
        InFlightRequest::on(&self.state, 0)
    }
}

impl<S: CallerStream> Connection<S> {
    /// What one read passes on.
    async fn passes(&mut self) -> String {
        let mut bytes = [0; 1024];
        let read = timeout(MOMENT, self.read(&mut bytes)).await;
        let count = read.map_or(0, |read| read.unwrap());
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }
}

/// How long it takes until the stream reports its end.
async fn until_end(connection: &mut Connection<DuplexStream>) -> Duration {
    let start = Instant::now();
    assert_eq!(connection.read(&mut [0; 8]).await.unwrap(), 0);
    start.elapsed()
}

#[track_caller]
fn assert_about(elapsed: Duration, expected: Duration) {
    let late = elapsed.checked_sub(expected);
    assert!(late.is_some_and(|late| late <= MOMENT), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_at_its_deadline() {
    let (mut connection, mut client) = connect();
    assert_about(until_end(&mut connection).await, TIMEOUTS.head);
    drop(connection);
    // Without an answer: nothing was asked.
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    let (mut connection, mut client) = connect();
    // The timer fires several times meanwhile, for deadlines that have moved.
    for _ in 0..10 {
        drop(connection.begin());
        let early = timeout(TIMEOUTS.idle - MOMENT, connection.read(&mut [0])).await;
        assert!(early.is_err(), "{early:?}");
    }
    drop(connection.begin());
    assert_about(until_end(&mut connection).await, TIMEOUTS.idle);
    drop(connection);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

/// Reads until the stream's end, and what the client has received then.
async fn end_of(connection: &mut Connection<DuplexStream>, client: &mut DuplexStream) -> String {
    let mut bytes = [0];
    let (ended, answer) = tokio::join!(connection.read(&mut bytes), async {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    });
    assert_eq!(ended.unwrap(), 0);
    answer
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_has_one_deadline_from_its_first_byte_and_is_answered() {
    for is_first in [true, false] {
        let (mut connection, mut client) = connect_with(4096);
        if !is_first {
            drop(connection.begin());
            sleep(TIMEOUTS.idle / 2).await;
        }
        let start = Instant::now();
        for _ in 0..4 {
            client.write_all(b"x").await.unwrap();
            assert_eq!(connection.passes().await, "x");
            sleep(Duration::from_secs(1)).await;
        }
        let answer = end_of(&mut connection, &mut client).await;
        assert!(
            answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
            "{answer}"
        );
        assert!(answer.contains("\"code\":\"request-timeout\""), "{answer}");
        let most = TIMEOUTS.head + LINGER + MOMENT;
        assert!(
            (TIMEOUTS.head..most).contains(&start.elapsed()),
            "{:?}",
            start.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_has_no_deadline() {
    let (mut connection, client) = connect();
    let request = connection.begin();
    let day = Duration::from_secs(24 * 60 * 60);
    let early = timeout(day, connection.read(&mut [0])).await;
    assert!(early.is_err(), "{early:?}");
    // The client's disconnect is noticed.
    drop(client);
    assert_eq!(until_end(&mut connection).await, Duration::ZERO);
    drop(request);
}

#[tokio::test(start_paused = true)]
async fn data_after_a_closing_answer_is_read_briefly() {
    let (mut connection, mut client) = connect();
    let body = connection.begin().answer(BoxBody::new(()), true);
    drop(body);
    client.write_all(b"x").await.unwrap();
    assert_eq!(connection.read(&mut [0]).await.unwrap(), 1);
    assert_about(until_end(&mut connection).await, LINGER);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_stuck_fails() {
    let (mut connection, mut client) = connect();
    let _request = connection.begin();
    let mut taken = [0; CAPACITY];
    connection.write_all(&taken).await.unwrap();
    // Late, but in time; then not at all.
    let taking = async {
        sleep(TIMEOUTS.write - MOMENT).await;
        client.read_exact(&mut taken).await.unwrap();
    };
    let (written, ()) = tokio::join!(connection.write_all(&[1; CAPACITY]), taking);
    written.unwrap();
    let start = Instant::now();
    let error = connection.write_all(b"x").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_about(start.elapsed(), TIMEOUTS.write);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_stops_sending_is_stopped() {
    let (mut connection, mut client) = connect_with(4096);
    client.write_all(&[0; CAPACITY]).await.unwrap();
    assert_eq!(connection.read(&mut [0]).await.unwrap(), 1);
    advance(TIMEOUTS.head + MOMENT).await;
    let answer = end_of(&mut connection, &mut client).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // The rest of a body that was not wanted was answered before.
    let (mut connection, mut client) = connect_with(4096);
    drop(InFlightRequest::on(&connection.state, 100));
    client.write_all(&[0; CAPACITY]).await.unwrap();
    assert_eq!(connection.read(&mut [0]).await.unwrap(), 1);
    advance(TIMEOUTS.head + MOMENT).await;
    assert_eq!(connection.read(&mut [0]).await.unwrap(), 0);
    drop(connection);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn requests_are_passed_on_one_at_a_time() {
    let (mut connection, mut client) = connect_with(1024);
    let (first, second) = ("GET /1 HTTP/1.1\r\n\r\n", "POST /2 HTTP/1.1\r\n\r\n");
    let body = "0123456789";
    client
        .write_all(format!("{first}{second}{body}{first}").as_bytes())
        .await
        .unwrap();
    assert_eq!(connection.passes().await, first);
    let request = connection.begin();
    assert_eq!(connection.passes().await, "");
    drop(request);
    assert_eq!(connection.passes().await, second);
    let request = InFlightRequest::on(&connection.state, body.len() as u64);
    assert_eq!(connection.passes().await, body);
    assert_eq!(connection.passes().await, "");
    drop(request);
    assert_eq!(connection.passes().await, first);
}

#[tokio::test(start_paused = true)]
async fn a_body_in_the_same_bytes_is_passed_on_with_its_head() {
    let (mut connection, mut client) = connect_with(1024);
    let first = "POST /1 HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
    client
        .write_all(format!("{first}{first}").as_bytes())
        .await
        .unwrap();
    assert_eq!(connection.passes().await, first);
    let request = InFlightRequest::on(&connection.state, 4);
    assert!(connection.state.is_serving());
    assert_eq!(connection.passes().await, "");
    drop(request);
    assert_eq!(connection.passes().await, first);
}

#[tokio::test(start_paused = true)]
async fn the_end_is_noticed_behind_requests_that_wait() {
    let (mut connection, mut client) = connect_with(1024);
    client.write_all(&HEAD.repeat(3)).await.unwrap();
    assert_eq!(connection.passes().await.as_bytes(), HEAD);
    let _request = connection.begin();
    assert_eq!(connection.passes().await, "");
    drop(client);
    assert_eq!(until_end(&mut connection).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_a_little_is_read_ahead() {
    let (mut connection, mut client) = connect_with(1024 * 1024);
    client.write_all(&HEAD.repeat(5000)).await.unwrap();
    let mut bytes = [0; 1024];
    assert_eq!(connection.read(&mut bytes).await.unwrap(), HEAD.len());
    let request = connection.begin();
    assert_eq!(connection.passes().await, "");
    assert!(
        connection.ahead.len() <= READ_AHEAD,
        "{}",
        connection.ahead.len()
    );
    drop(request);
    for _ in 1..5000 {
        let mut head = connection.passes().await;
        if head.len() < HEAD.len() {
            head += &connection.passes().await;
        }
        assert_eq!(head.as_bytes(), HEAD);
        drop(connection.begin());
    }
    assert_eq!(connection.passes().await, "");
}

#[tokio::test(start_paused = true)]
async fn blank_lines_between_requests_begin_none() {
    let (mut connection, mut client) = connect();
    drop(connection.begin());
    client.write_all(b"\r\n\n").await.unwrap();
    assert_eq!(connection.read(&mut [0; 8]).await.unwrap(), 3);
    assert_about(until_end(&mut connection).await, TIMEOUTS.idle);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_idle_after_the_rest_of_an_unwanted_body() {
    let (mut connection, mut client) = connect();
    drop(InFlightRequest::on(&connection.state, 3));
    client.write_all(b"ab").await.unwrap();
    assert_eq!(connection.passes().await, "ab");
    client.write_all(b"c").await.unwrap();
    assert_eq!(connection.passes().await, "c");
    assert_about(until_end(&mut connection).await, TIMEOUTS.idle);
    // The rest itself has a time limit.
    let (mut connection, _client) = connect();
    drop(InFlightRequest::on(&connection.state, 3));
    assert_about(until_end(&mut connection).await, TIMEOUTS.head);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_no_answers_gets_no_further_ones() {
    let (mut connection, mut client) = connect();
    let request = connection.begin();
    connection.write_all(&[0; CAPACITY]).await.unwrap();
    let stuck = timeout(MOMENT, connection.write_all(b"x")).await;
    assert!(stuck.is_err());
    drop(request);
    client.write_all(b"GET").await.unwrap();
    assert_eq!(connection.passes().await, "");
    client.read_exact(&mut [0; CAPACITY]).await.unwrap();
    connection.write_all(b"x").await.unwrap();
    assert_eq!(connection.passes().await, "GET");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_library_is_replaced_and_read() {
    let (mut connection, mut client) = connect_with(4096);
    client.write_all(b"nonsense\r\n\r\n").await.unwrap();
    assert_eq!(connection.passes().await, "nonsense\r\n\r\n");
    let bare = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let start = Instant::now();
    let (written, answer) = tokio::join!(connection.write(bare), async {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        drop(client);
        answer
    });
    assert_eq!(written.unwrap(), bare.len());
    assert!(start.elapsed() < LINGER);
    assert!(answer.contains("\"code\":\"invalid-header\""), "{answer}");
    // A handler's own 400 is not touched.
    let (mut connection, mut client) = connect_with(4096);
    let _body = connection.begin().answer(BoxBody::new(()), false);
    connection.write_all(bare).await.unwrap();
    let mut answer = [0; 4096];
    let count = client.read(&mut answer).await.unwrap();
    assert_eq!(&answer[..count], bare);
}

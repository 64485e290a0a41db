//! Deadlines on a stream in memory, on a clock that only moves when all wait.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{advance, sleep, timeout};

use super::*;

const TIMEOUTS: ConnectionTimeouts = ConnectionTimeouts {
    idle: Duration::from_secs(75),
    head: Duration::from_secs(5),
    write: Duration::from_secs(45),
};
const FIRST_HEAD: Duration = Duration::from_secs(6);
/// What a stream in memory holds before writing to it has to wait.
const CAPACITY: usize = 16;
const MOMENT: Duration = Duration::from_millis(10);

fn connect() -> (Connection<DuplexStream>, DuplexStream) {
    let (server, client) = duplex(CAPACITY);
    (Connection::new(server, TIMEOUTS, FIRST_HEAD), client)
}

impl<S> Connection<S> {
    fn begin(&self) -> InFlightRequest {
        self.state.phase.set(ConnectionPhase::InFlight);
        InFlightRequest {
            connection: Some(Rc::clone(&self.state)),
            closes: false,
        }
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
    let (mut connection, _client) = connect();
    assert_about(until_end(&mut connection).await, FIRST_HEAD);
    let (mut connection, _client) = connect();
    // The timer fires several times meanwhile, for deadlines that have moved.
    for _ in 0..10 {
        drop(connection.begin());
        let early = timeout(TIMEOUTS.idle - MOMENT, connection.read(&mut [0])).await;
        assert!(early.is_err(), "{early:?}");
    }
    drop(connection.begin());
    assert_about(until_end(&mut connection).await, TIMEOUTS.idle);
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_has_one_deadline_from_its_first_byte() {
    let (mut connection, mut client) = connect();
    drop(connection.begin());
    sleep(TIMEOUTS.idle / 2).await;
    let start = Instant::now();
    let mut drops = 0;
    loop {
        client.write_all(b"x").await.unwrap();
        match timeout(Duration::from_secs(1), connection.read(&mut [0])).await {
            Ok(Ok(1)) => drops += 1,
            Ok(_end) => break,
            Err(_waiting) => {}
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert!((5..=6).contains(&drops), "{drops}");
    assert!(start.elapsed() <= TIMEOUTS.head + Duration::from_secs(2));
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
    let (mut connection, mut client) = connect();
    client.write_all(&[0; CAPACITY]).await.unwrap();
    assert_eq!(connection.read(&mut [0]).await.unwrap(), 1);
    advance(FIRST_HEAD + MOMENT).await;
    let error = connection.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn flushes_of_a_long_lived_answer_without_reading_are_limited() {
    let (mut connection, _client) = connect();
    let state = Rc::clone(&connection.state);
    state.long_lived.set(true);
    let answer = LongLivedResponse(Some(state));
    for _ in 0..3 {
        for _ in 0..MAX_FLUSHES_WITHOUT_READ {
            connection.flush().await.unwrap();
        }
        let read = poll_fn(|context| {
            let mut bytes = [0];
            let mut buffer = ReadBuf::new(&mut bytes);
            Poll::Ready(Pin::new(&mut connection).poll_read(context, &mut buffer))
        });
        assert!(read.await.is_pending());
    }
    for _ in 0..MAX_FLUSHES_WITHOUT_READ {
        connection.flush().await.unwrap();
    }
    assert!(connection.flush().await.is_err());
    drop(answer);
    connection.flush().await.unwrap();
}

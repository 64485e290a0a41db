//! Connecting to a host of several addresses (RFC 8305, "Happy Eyeballs"): an address that
//! does not answer delays the others by a moment only.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

/// How long an attempt is alone before the next address is tried as well (section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The addresses with the families in turn, beginning with that of the first (section 4):
/// one family that does not work must not delay by more than one attempt.
pub(super) fn interleave(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let Some(first) = addresses.first() else {
        return Vec::new();
    };
    let (mut preferred, mut others): (Vec<IpAddr>, Vec<IpAddr>) = addresses
        .iter()
        .copied()
        .partition(|address| address.is_ipv4() == first.is_ipv4());
    preferred.reverse();
    others.reverse();
    let mut ordered = Vec::with_capacity(addresses.len());
    while ordered.len() < addresses.len() {
        ordered.extend(preferred.pop());
        ordered.extend(others.pop());
    }
    ordered
}

/// Connects to the first address that accepts. The next one is tried after [`ATTEMPT_DELAY`],
/// or as soon as an attempt has failed; attempts that come too late are dropped, which closes
/// them.
///
/// # Errors
/// The last attempt's, if all failed.
pub(super) async fn race<T, F>(
    addresses: Vec<IpAddr>,
    connect: impl Fn(IpAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.into_iter().peekable();
    let mut running = FuturesUnordered::new();
    let mut last_error = io::ErrorKind::AddrNotAvailable.into();
    loop {
        running.extend(waiting.next().map(&connect));
        let has_more = waiting.peek().is_some();
        let moment = sleep(ATTEMPT_DELAY);
        tokio::pin!(moment);
        loop {
            tokio::select! {
                finished = running.next() => match finished {
                    Some(Ok(connected)) => return Ok(connected),
                    Some(Err(error)) => {
                        last_error = error;
                        if has_more {
                            break;
                        }
                    }
                    None => return Err(last_error),
                },
                () = &mut moment, if has_more => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    fn addresses(text: &str) -> Vec<IpAddr> {
        text.split_whitespace()
            .map(|a| a.parse().unwrap())
            .collect()
    }

    #[test]
    fn families_take_turns() {
        for (given, expected) in [
            ("", ""),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2"),
            ("::1 ::2 10.0.0.1", "::1 10.0.0.1 ::2"),
            (
                "::1 ::2 ::3 10.0.0.1 10.0.0.2",
                "::1 10.0.0.1 ::2 10.0.0.2 ::3",
            ),
            ("10.0.0.1 ::1 ::2 ::3", "10.0.0.1 ::1 ::2 ::3"),
            ("10.0.0.1 10.0.0.2 ::1", "10.0.0.1 ::1 10.0.0.2"),
        ] {
            assert_eq!(
                interleave(&addresses(given)),
                addresses(expected),
                "{given}"
            );
        }
    }

    /// Races these addresses: 10.0.0.* never answer, ::* refuse at once, the others accept
    /// after as many milliseconds as their last byte says. Returns the winner, how long it
    /// took, and how many were tried.
    async fn race_of(text: &str) -> (Option<IpAddr>, u128, usize) {
        let tried = RefCell::new(0);
        let begun = Instant::now();
        let winner = race(addresses(text), |address| {
            *tried.borrow_mut() += 1;
            async move {
                match address {
                    IpAddr::V4(v4) if v4.octets()[0] == 10 => pending().await,
                    IpAddr::V4(v4) => {
                        sleep(Duration::from_millis(v4.octets()[3].into())).await;
                        Ok(address)
                    }
                    IpAddr::V6(_) => Err(io::ErrorKind::ConnectionRefused.into()),
                }
            }
        });
        let winner = winner.await.ok();
        let tried = *tried.borrow();
        (winner, begun.elapsed().as_millis(), tried)
    }

    #[tokio::test(start_paused = true)]
    async fn a_black_hole_delays_by_a_quarter_of_a_second() {
        for (given, winner, millis, tried) in [
            ("192.0.2.7", Some("192.0.2.7"), 7, 1),
            ("10.0.0.1 192.0.2.1", Some("192.0.2.1"), 251, 2),
            ("10.0.0.1 10.0.0.2 192.0.2.1", Some("192.0.2.1"), 501, 3),
            // The second is tried, but the first accepts in time.
            ("192.0.2.200 192.0.2.1", Some("192.0.2.200"), 200, 1),
            ("::1 192.0.2.1", Some("192.0.2.1"), 1, 2),
            ("::1 ::2", None, 0, 2),
            // One that fails brings the next forward, also beside one that hangs.
            ("10.0.0.1 ::1 192.0.2.1", Some("192.0.2.1"), 251, 3),
            ("", None, 0, 0),
        ] {
            let expected = (winner.map(|w| w.parse().unwrap()), millis, tried);
            assert_eq!(race_of(given).await, expected, "{given}");
        }
    }
}

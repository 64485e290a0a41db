//! Notices that a listener accepts no connections any more. The HTTP library reports neither
//! the end of its accepting thread, which closes the listener, nor a listening socket that was
//! shut down.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::time::{MissedTickBehavior, interval};

const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Completes when nothing listens at `address` any more, where something does now.
pub async fn until_closed(address: SocketAddr) {
    let mut checks = interval(CHECK_EVERY);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Not every operating system refuses it; where it does not, success proves nothing.
    let mut was_refused = false;
    loop {
        checks.tick().await;
        match bind_beside(address) {
            Ok(_) if was_refused => return,
            Ok(_) => {}
            Err(error) => was_refused |= error.kind() == io::ErrorKind::AddrInUse,
        }
    }
}

/// Binds a socket to the address, which the operating system refuses while another one listens
/// there; connections that were accepted there do not matter.
///
/// # Errors
/// Usually [`io::ErrorKind::AddrInUse`]. Any other, as where descriptors have run out, proves
/// nothing either.
pub fn bind_beside(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_listener_counts_as_closed_once_it_is_whatever_it_has_accepted() {
        let mut addresses = vec!["127.0.0.1:0", "0.0.0.0:0"];
        // A machine may have no IPv6.
        addresses.extend(TcpListener::bind("[::1]:0").ok().map(|_| "[::1]:0"));
        for address in addresses {
            let listener = bind_beside(address.parse().unwrap()).unwrap();
            let listener = listener.listen(16).unwrap();
            let address = listener.local_addr().unwrap();
            let client = TcpStream::connect(address).await.unwrap();
            let accepted = listener.accept().await.unwrap();
            let closed = until_closed(address);
            tokio::pin!(closed);
            let early = timeout(3 * CHECK_EVERY, &mut closed).await;
            assert!(early.is_err(), "{address} still listens");
            drop(listener);
            let began = Instant::now();
            closed.await;
            assert!(began.elapsed() < 5 * CHECK_EVERY, "{address}");
            drop((client, accepted));
        }
    }
}

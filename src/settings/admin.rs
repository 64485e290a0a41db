//! `[admin]`: the listener for health.

use std::net::SocketAddr;

use super::context::Context;
use super::reader::Table;
use super::server::socket_address;

/// The listener for operators. It authenticates no one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// Where it listens; never the socket of the public listener.
    pub listen: SocketAddr,
}

pub fn read(t: &mut Table<'_, '_>, context: &Context) -> Option<AdminSettings> {
    let listen = listen(t)?;
    if let Some((public_at, public)) = &context.public_listen
        && overlap(*public, listen)
    {
        let message = "server.listen and admin.listen must differ: they would be one socket";
        let at = t.at("listen");
        t.reading.conflict(&at, public_at, message);
    }
    Some(AdminSettings { listen })
}

/// Where it listens.
pub fn listen(t: &mut Table<'_, '_>) -> Option<SocketAddr> {
    t.required("listen", socket_address)
}

/// Whether two listeners would need the same socket.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let includes = |address: SocketAddr, other: SocketAddr| {
        // [::] covers IPv4 on most systems, 0.0.0.0 never covers IPv6.
        address.ip().is_unspecified() && (address.is_ipv6() || other.is_ipv4())
    };
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || includes(a, b) || includes(b, a))
}

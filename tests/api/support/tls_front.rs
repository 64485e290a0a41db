//! TLS in front of a server that speaks plain HTTP, with any certificate.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::certs::Issued;

/// A running front.
pub struct TlsFront {
    pub port: u16,
    received: Arc<AtomicUsize>,
}

impl TlsFront {
    /// In front of `backend`, on a port of 127.0.0.1.
    pub async fn start(certificate: &Issued, backend: SocketAddr) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), certificate, backend).await
    }

    pub async fn start_at(address: IpAddr, certificate: &Issued, backend: SocketAddr) -> Self {
        let (chain, key) = (certificate.pem.as_bytes(), certificate.key_pem.as_bytes());
        let config = offergate_sandbox::tls::server_config(chain, key).unwrap();
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = TlsAcceptor::from(Arc::clone(&config));
                tokio::spawn(relay(acceptor, stream, backend, Arc::clone(&counter)));
            }
        });
        Self { port, received }
    }

    /// How many bytes it has received inside of TLS.
    pub fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }
}

async fn relay(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    backend: SocketAddr,
    received: Arc<AtomicUsize>,
) {
    let Ok(encrypted) = acceptor.accept(stream).await else {
        return;
    };
    let (mut from_client, mut to_client) = split(encrypted);
    let mut backend = TcpStream::connect(backend).await.unwrap();
    let (mut from_backend, mut to_backend) = backend.split();
    let up = async {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            received.fetch_add(count, Ordering::Relaxed);
            if to_backend.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
        let _gone = to_backend.shutdown().await;
    };
    let down = async {
        let _gone = copy(&mut from_backend, &mut to_client).await;
        let _gone = to_client.shutdown().await;
    };
    tokio::join!(up, down);
}

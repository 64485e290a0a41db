//! A company's proxy: opens tunnels, or does anything else instead.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// What it does with a request.
#[derive(Clone, Copy)]
pub enum Conduct {
    /// Sends this head, and opens a tunnel to the port on 127.0.0.1, whatever the host.
    Tunnel(&'static str),
    /// Sends this, and closes.
    Answer(&'static str),
    /// Sends this again and again.
    Flood(&'static str),
    /// Nothing.
    Silence,
}

/// The head of an accepted request.
pub const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// A running proxy.
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    conduct: Conduct,
    heads: Vec<String>,
    /// What clients have sent into tunnels.
    inside: Vec<u8>,
}

impl Proxy {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            conduct: Conduct::Tunnel(ESTABLISHED),
            heads: Vec::new(),
            inside: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    pub fn conduct(&self, conduct: Conduct) {
        self.state.lock().unwrap().conduct = conduct;
    }

    /// The heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.state.lock().unwrap().heads.clone()
    }

    /// Whether this text went through a tunnel as it is.
    pub fn has_seen(&self, text: &str) -> bool {
        let state = self.state.lock().unwrap();
        let mut windows = state.inside.windows(text.len());
        windows.any(|window| window == text.as_bytes())
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let conduct = {
        let mut state = state.lock().unwrap();
        state.heads.push(head.clone());
        state.conduct
    };
    match conduct {
        Conduct::Tunnel(answer) => {
            let target = head.split(' ').nth(1).unwrap();
            let port: u16 = target.rsplit(':').next().unwrap().parse().unwrap();
            let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            tunnel(stream, server.unwrap(), &state).await;
        }
        Conduct::Answer(answer) => {
            let _gone = stream.write_all(answer.as_bytes()).await;
            let _gone = stream.shutdown().await;
        }
        Conduct::Flood(text) => while stream.write_all(text.as_bytes()).await.is_ok() {},
        Conduct::Silence => {
            let _gone = stream.read_u8().await;
        }
    }
}

async fn tunnel(mut stream: TcpStream, mut server: TcpStream, state: &Mutex<State>) {
    // What matters is sent first; the rest is only passed on.
    for _ in 0..8 {
        let mut buffer = [0; 4096];
        tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(count @ 1..) => {
                    state.lock().unwrap().inside.extend_from_slice(&buffer[..count]);
                    if server.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            ready = server.readable() => {
                ready.unwrap();
                let count = match server.try_read(&mut buffer) {
                    Ok(0) => return,
                    Ok(count) => count,
                    Err(_) => continue,
                };
                if stream.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
    let _gone = copy_bidirectional(&mut stream, &mut server).await;
}

//! A connection that breaks when the answer comes.

use std::net::SocketAddr;

use tokio::io::{copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Passes connections on to a gateway. The first is closed as soon as its answer begins: the
/// gateway has done its work, and the caller does not learn it.
pub async fn drops_the_first_answer(gateway: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(gateway).await.unwrap();
        {
            let (mut requests, _) = client.split();
            let (answers, mut forward) = server.split();
            tokio::select! {
                ended = copy(&mut requests, &mut forward) => panic!("no answer: {ended:?}"),
                ready = answers.readable() => ready.unwrap(),
            }
        }
        drop(client);
        drop(server);
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(gateway).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    address
}

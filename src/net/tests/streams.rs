//! Streams: bytes there and back, ends, errors.

use super::support::{SERVER, pair};
use crate::net::{TcpListener, TcpStream, copy, spawn};

pub(super) async fn echo() {
    let listener = TcpListener::bind(SERVER).await.expect("a free port");
    while let Ok((mut stream, _)) = listener.accept().await {
        spawn(async move {
            let (mut read, mut write) = stream.split();
            copy(&mut read, &mut write).await
        });
    }
}

#[test]
fn what_is_written_comes_back_from_an_echo() {
    let mut pair = pair(echo, async || {
        let mut stream = TcpStream::connect(SERVER).await.expect("a server");
        let sent: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        let (mut read, mut write) = stream.split();
        let expected = sent.clone();
        let mut received = Vec::new();
        write.write_all(&sent[..1000]).await.expect("room");
        received.resize(1000, 0);
        read.read_exact(&mut received).await.expect("an echo");
        assert_eq!(received, expected[..1000]);
    });
    pair.run();
}

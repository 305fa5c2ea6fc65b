//! A reverse proxy: clients on linerate, the server behind it on kernel sockets.
//!
//! `linerate-examples proxy veth0 10.99.0.11/24 80 127.0.0.1:8080`
//!
//! A worker must not block, and its rings are not a place to poll kernel sockets, so those belong
//! to tokio on a thread of its own. The two sides of a connection exchange pieces of bytes through
//! bounded channels: a side that does not keep up fills its channel, the other side stops reading,
//! and its window closes. Any thread may wake a task of linerate.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use linerate::net::{ReadHalf, TcpStream, WriteHalf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream as KernelStream;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::launch::{Arguments, Outcome, run, serve};

/// Largest piece, bytes.
const PIECE: usize = 64 * 1024;

/// Pieces under way in each direction of a connection: one to write while the next is read, and
/// some for the time that a thread takes to wake up. More only hold memory.
const PIECES: usize = 4;

/// Connections that may wait for the thread of the kernel's sockets.
const LINKS: usize = 1024;

/// A part of one direction of a connection. A channel that closes without `End` has failed.
#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
}

/// The kernel's side of a connection: what the client sends, and the way back.
#[derive(Debug)]
struct Link {
    from_client: Receiver<Piece>,
    to_client: Sender<Piece>,
}

/// Passes connections to port 80 on to 127.0.0.1:8080, or to the address given after the port.
pub(crate) fn main(arguments: &Arguments) -> Outcome {
    let port = arguments.port.unwrap_or(80);
    let upstream = arguments.rest.first().map_or("127.0.0.1:8080", String::as_str).parse()?;
    let (links, requested) = channel(LINKS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    // Ends with the last sender, after the stack.
    let kernel = std::thread::spawn(move || runtime.block_on(open_links(upstream, requested)));
    run(arguments, move || {
        let links = links.clone();
        serve(port, move |stream| pass_on(stream, links.clone()))
    })?;
    kernel.join().map_err(|_| "the thread of the kernel's sockets panicked")?;
    Ok(())
}

/// Moves the bytes of a client's connection between the stack and the other thread.
async fn pass_on(mut stream: TcpStream, links: Sender<Link>) -> Outcome {
    let (to_server, from_client) = channel(PIECES);
    let (to_client, from_server) = channel(PIECES);
    links.send(Link { from_client, to_client }).await?;
    let (read, write) = stream.split();
    let moved = tokio::try_join!(upload(read, to_server), download(from_server, write));
    if moved.is_err() {
        // The client must not take half an answer for a whole one.
        stream.abort();
    }
    moved?;
    Ok(())
}

async fn upload(mut client: ReadHalf<'_>, to_server: Sender<Piece>) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(PIECE);
    loop {
        let (read, filled) = client.read_buf(buffer).await;
        let piece = match read? {
            0 => Piece::End,
            _ => Piece::Bytes(Bytes::copy_from_slice(&filled)),
        };
        let is_end = matches!(piece, Piece::End);
        // A server that has closed reads no more; its answer may still be under way.
        if to_server.send(piece).await.is_err() || is_end {
            return Ok(());
        }
        buffer = filled;
        buffer.clear();
    }
}

async fn download(mut from_server: Receiver<Piece>, mut client: WriteHalf<'_>) -> io::Result<()> {
    loop {
        match from_server.recv().await {
            Some(Piece::Bytes(bytes)) => client.write_all(&bytes).await?,
            Some(Piece::End) => return client.shutdown(),
            None => return Err(io::Error::other("the connection to the server failed")),
        }
    }
}

/// Connects to the server for each link. Runs on the thread of the kernel's sockets.
async fn open_links(upstream: SocketAddr, mut requested: Receiver<Link>) {
    while let Some(link) = requested.recv().await {
        tokio::spawn(async move {
            if let Err(error) = relay(upstream, link).await {
                eprintln!("{upstream}: {error}");
            }
        });
    }
}

/// Moves the bytes of a connection between the server and the channels.
async fn relay(upstream: SocketAddr, link: Link) -> io::Result<()> {
    let mut server = KernelStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    let (mut read, mut write) = server.split();
    let Link { mut from_client, to_client } = link;
    let up = async {
        while let Some(piece) = from_client.recv().await {
            match piece {
                Piece::Bytes(bytes) => write.write_all(&bytes).await?,
                Piece::End => return write.shutdown().await,
            }
        }
        Err(io::ErrorKind::ConnectionReset.into())
    };
    let down = async {
        loop {
            let mut buffer = BytesMut::with_capacity(PIECE);
            let n = read.read_buf(&mut buffer).await?;
            let piece = if n == 0 { Piece::End } else { Piece::Bytes(buffer.freeze()) };
            if to_client.send(piece).await.is_err() || n == 0 {
                return Ok(());
            }
        }
    };
    tokio::try_join!(up, down).map(|_| ())
}

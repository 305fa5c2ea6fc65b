//! Opens a connection from the stack, sends an HTTP request for `/`, and prints the response:
//!
//! `cargo run --release --example fetch -- veth0 10.99.0.12/24 10.99.0.11:80` (root)

use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};

use linerate::runtime::{Shutdown, Stack, StackConfig};
use linerate::shard::{CloseReason, ConnId, ConnectOptions, Io, Service};
use linerate::time::Duration;

/// One request. Sends the pieces of the response, then the reason of the close, to the waiting
/// thread.
struct Fetch {
    target: SocketAddr,
    pieces: Sender<Piece>,
}

enum Piece {
    Bytes(Vec<u8>),
    End(String),
}

impl Service for Fetch {
    fn on_start(&mut self, io: &mut dyn Io) {
        let open = ConnectOptions { remote: self.target, local: None, user: 0 };
        if let Err(error) = io.connect(&open) {
            // A failed send means that the receiver is gone.
            let _ = self.pieces.send(Piece::End(error.to_string()));
        }
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, took: Duration) {
        eprintln!("fetch: connected after {} µs", took.as_micros());
        let request =
            format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.target);
        io.write(conn, request.as_bytes());
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut bytes = vec![0; io.readable(conn)];
        let n = io.read(conn, &mut bytes);
        bytes.truncate(n);
        let _ = self.pieces.send(Piece::Bytes(bytes));
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        io.close(conn);
    }

    fn on_closed(&mut self, _: &mut dyn Io, _: ConnId, _: u64, reason: CloseReason) {
        let _ = self.pieces.send(Piece::End(format!("{reason:?}")));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [interface, cidr, target] = arguments.as_slice() else {
        return Err("usage: fetch INTERFACE ADDRESS/PREFIX SERVER:PORT".into());
    };
    let (address, prefix) =
        cidr.split_once('/').ok_or("an address with its prefix: 10.0.0.3/24")?;
    let mut config = StackConfig::new(interface, vec![(address.parse()?, prefix.parse()?)]);
    config.opens = true;

    let target = target.parse()?;
    let (sender, receiver) = channel();
    let stack =
        Stack::start(&config, move |_worker| Box::new(Fetch { target, pieces: sender.clone() }))?;
    let mut out = std::io::stdout().lock();
    let limit = std::time::Duration::from_secs(30);
    let reason = loop {
        match receiver.recv_timeout(limit)? {
            Piece::Bytes(bytes) => out.write_all(&bytes)?,
            Piece::End(reason) => break reason,
        }
    };
    eprintln!("fetch: {reason}");
    stack.stop(Shutdown::Close { grace: Duration::from_secs(1) });
    Ok(())
}

//! An echo server on one queue of an interface:
//!
//! `cargo run --release --example echo -- veth0 10.99.0.11/24`
//!
//! Needs root; `scripts/veth up` creates `veth0`.
//!
//! A [`Service`] runs on the worker's own thread. This one buffers nothing: data that does not fit
//! into the send buffer stays in the receive buffer. The receive window therefore closes on a peer
//! that does not read, and memory stays bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use linerate::{ConnId, Duration, Io, ListenerConfig, Service, Shutdown, Stack, StackConfig};

/// User data of a connection whose peer has closed.
const PEER_CLOSED: u64 = 1;

struct Echo;

impl Echo {
    /// Echoes available data. Closes once the peer has closed and all data is written.
    fn pump(io: &mut dyn Io, conn: ConnId) {
        let mut buffer = [0; 4096];
        loop {
            // Take only what the send buffer accepts: what is left closes the window.
            let waiting = io.peek(conn)[0];
            let n = waiting.len().min(buffer.len());
            buffer[..n].copy_from_slice(&waiting[..n]);
            let n = io.write(conn, &buffer[..n]);
            if n == 0 {
                break;
            }
            io.consume(conn, n);
        }
        if io.user_data(conn) == PEER_CLOSED && io.readable(conn) == 0 {
            io.close(conn);
        }
    }
}

impl Service for Echo {
    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        Self::pump(io, conn);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        Self::pump(io, conn);
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        io.set_user_data(conn, PEER_CLOSED);
        Self::pump(io, conn);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [interface, cidr] = arguments.as_slice() else {
        return Err("usage: echo INTERFACE ADDRESS/PREFIX".into());
    };
    let (address, prefix) =
        cidr.split_once('/').ok_or("an address with its prefix: 10.0.0.2/24")?;
    let mut config = StackConfig::new(interface, vec![(address.parse()?, prefix.parse()?)]);
    config.listeners = vec![ListenerConfig::on_port(7)];

    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let stack = Stack::start(&config, |_worker| Box::new(Echo))?;
    for note in stack.notes() {
        eprintln!("echo: {note}");
    }
    eprintln!("echo: serving port 7 of {address}; Ctrl-C ends it");
    let events = stack.events();
    while !stop.load(Ordering::Relaxed) && stack.is_running() {
        if let Some(event) = events.recv_timeout(std::time::Duration::from_millis(50)) {
            eprintln!("echo: {event}");
        }
    }
    let report = stack.stop(Shutdown::Close { grace: Duration::from_secs(1) });
    for (name, count) in report.counters().entries().filter(|(_, count)| *count > 0) {
        eprintln!("echo: {name} {count}");
    }
    Ok(())
}

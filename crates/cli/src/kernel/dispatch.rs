//! From epoll's events to the service's callbacks.
//!
//! Owns their order: connected, readable, writable, peer closed, closed; and that no callback is made
//! from within another.

use linerate::shard::{ConnId, Service};
use mio::event::Event;

use super::errors;
use super::listener::Listener;
use super::socket::Socket;
use super::worker::{Notice, Worker};

/// Connections accepted from one listener in one turn before the others have theirs.
const ACCEPTS_A_TURN: usize = 64;

/// How long to leave a listener alone for which the process had no descriptor left.
const ACCEPT_PAUSE_MS: u64 = 10;

/// An edge of one connection.
pub fn on_event(worker: &mut Worker, service: &mut dyn Service, conn: ConnId, event: &Event) {
    worker.tick();
    let Some(socket) = worker.socket_mut(conn) else { return };
    if event.is_error() {
        // RFC 9293 §3.10.7.4: a reset flushes all queues; what was unread is lost with it.
        if let Ok(Some(error)) = socket.stream.take_error() {
            worker.remove(conn, errors::ending(&error));
            return settle(worker, service);
        }
    }
    let Some(socket) = worker.socket_mut(conn) else { return };
    if socket.connecting {
        if !event.is_writable() {
            return;
        }
        socket.connecting = false;
        let opened_at = socket.opened_at;
        let took = worker.now.since(opened_at);
        service.on_connected(worker, conn, took);
        settle(worker, service);
    }
    if event.is_writable() {
        on_room(worker, service, conn);
    }
    if event.is_readable() {
        on_arrival(worker, service, conn, event.is_read_closed());
    }
}

/// Data, a FIN, or both have arrived.
fn on_arrival(worker: &mut Worker, service: &mut dyn Service, conn: ConnId, fin: bool) {
    let Some(socket) = worker.socket_mut(conn) else { return };
    socket.readable = true;
    socket.fin_arrived |= fin;
    offer(worker, service, conn);
    settle(worker, service);
}

/// Lets the service read, and tells it of the FIN behind what it has read or left.
fn offer(worker: &mut Worker, service: &mut dyn Service, conn: ConnId) {
    service.on_readable(worker, conn);
    let Some(socket) = worker.socket_mut(conn) else { return };
    if socket.readable && socket.share_is_spent() {
        worker.defer(conn);
    } else if socket.fin_arrived && !socket.peer_closed {
        socket.peer_closed = true;
        worker.notices.push_back(Notice::PeerClosed(conn));
    }
}

/// The socket has room again.
fn on_room(worker: &mut Worker, service: &mut dyn Service, conn: ConnId) {
    let Some(socket) = worker.socket_mut(conn) else { return };
    if !socket.is_staging() {
        return;
    }
    if let Err(error) = socket.unstage() {
        worker.remove(conn, errors::ending(&error));
        return settle(worker, service);
    }
    tell_room(worker, service, conn);
    worker.try_fin(conn);
    settle(worker, service);
}

/// Tells a service that waits for room that there is some; in the next turn, where the connection has had its
/// share of this one: no further edge will come.
fn tell_room(worker: &mut Worker, service: &mut dyn Service, conn: ConnId) {
    let Some(socket) = worker.socket_mut(conn).filter(|socket| socket.room_wanted) else { return };
    if socket.room() > 0 {
        socket.room_wanted = false;
        service.on_writable(worker, conn);
    } else if !socket.is_staging() && socket.share_is_spent() {
        worker.defer(conn);
    }
}

/// Goes on with the connections that had used up their share of the last turn.
pub fn resume_deferred(worker: &mut Worker, service: &mut dyn Service) {
    for conn in std::mem::take(&mut worker.deferred) {
        let Some(socket) = worker.socket_mut(conn) else { continue };
        socket.deferred = false;
        let is_readable = socket.readable;
        tell_room(worker, service, conn);
        if is_readable {
            offer(worker, service, conn);
        }
        settle(worker, service);
    }
}

/// Takes waiting connections from a listener.
pub fn accept(worker: &mut Worker, service: &mut dyn Service, listener: &mut Listener) {
    for _ in 0..ACCEPTS_A_TURN {
        match listener.socket.accept() {
            Ok((stream, _)) => {
                worker.tick();
                let Ok(conn) = worker.insert(Socket::accepted(stream)) else { continue };
                service.on_accept(worker, conn, listener.id);
                settle(worker, service);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                listener.waiting = false;
                return;
            }
            // The peer gave up while it waited.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                eprintln!(
                    "linerate: cannot accept a connection: {error}\n  to do: raise `ulimit -n`"
                );
                std::thread::sleep(std::time::Duration::from_millis(ACCEPT_PAUSE_MS));
                return;
            }
        }
    }
}

/// Tells the service what its last call brought about, until nothing more follows.
pub fn settle(worker: &mut Worker, service: &mut dyn Service) {
    while let Some(notice) = worker.notices.pop_front() {
        match notice {
            Notice::Closed(conn, user, ending) => service.on_closed(worker, conn, user, ending),
            Notice::PeerClosed(conn) => {
                if worker.socket(conn).is_none() {
                    continue;
                }
                service.on_peer_closed(worker, conn);
                if worker.socket(conn).is_some_and(|socket| socket.fin_sent) {
                    worker.finish(conn);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use clap::Parser;
    use linerate::shard::Io;

    use super::*;
    use crate::options::StackOptions;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: StackOptions,
    }

    /// Writes as much as there is room for, once it is told of room.
    struct Writer {
        told: usize,
    }

    impl Service for Writer {
        fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
            self.told += 1;
            io.write(conn, &vec![0; 4 << 20]);
        }
    }

    #[test]
    fn room_that_comes_after_the_share_of_a_turn_is_told_in_the_next() {
        let options = Line::parse_from(["linerate", "--stack", "kernel"]).options;
        let mut worker = Worker::new(0, &options).expect("an epoll instance");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let near = std::net::TcpStream::connect(listener.local_addr().expect("bound"));
        let near = near.expect("it listens");
        near.set_nonblocking(true).expect("a socket");
        let (mut far, _) = listener.accept().expect("it has connected");
        let socket = Socket::accepted(mio::net::TcpStream::from_std(near));
        let conn = worker.insert(socket).expect("a place");
        let (mut service, mut sent) = (Writer { told: 0 }, 0);
        // Turn after turn, until bytes find no room in the socket; they are the last of the turn's share.
        while !worker.socket(conn).is_some_and(Socket::is_staging) {
            worker.turn += 1;
            sent += worker.write(conn, &[0; 128 << 10]);
        }
        assert_eq!(worker.write(conn, &[0]), 0);
        worker.socket_mut(conn).expect("it is open").spend_share();
        far.read_exact(&mut vec![0; sent / 2]).expect("that much was sent");
        let told = service.told;
        // The edge comes in the same turn.
        while worker.socket(conn).is_some_and(Socket::is_staging) {
            on_room(&mut worker, &mut service, conn);
        }
        assert_eq!(service.told, told);
        worker.turn += 1;
        resume_deferred(&mut worker, &mut service);
        assert_eq!(service.told, told + 1);
    }
}

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

fn tell_room(worker: &mut Worker, service: &mut dyn Service, conn: ConnId) {
    let Some(socket) = worker.socket_mut(conn) else { return };
    if socket.room_wanted && socket.room() > 0 {
        socket.room_wanted = false;
        service.on_writable(worker, conn);
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

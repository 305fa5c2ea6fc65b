//! Turns epoll events into callbacks of the service.
//!
//! Owns the order of callbacks: connected, writable, readable, peer closed, closed. Never calls the
//! service from within a callback.

use linerate::shard::{ConnId, Service};
use mio::event::Event;

use super::errors;
use super::listener::Listener;
use super::socket::Socket;
use super::worker::{Notice, Worker};

/// Connections accepted from one listener per turn, so that one listener cannot starve the others.
const ACCEPTS_PER_TURN: usize = 64;

/// Pause after `accept` fails, usually because the process has no descriptors left.
const ACCEPT_PAUSE_MS: u64 = 10;

/// Handles an epoll event of one connection.
pub(super) fn on_event(
    worker: &mut Worker,
    service: &mut dyn Service,
    conn: ConnId,
    event: &Event,
) {
    worker.tick();
    let Some(socket) = worker.socket_mut(conn) else { return };
    if event.is_error() {
        // RFC 9293 §3.10.7.4: a reset flushes all queues, so unread data is lost.
        if let Ok(Some(error)) = socket.stream.take_error() {
            worker.remove(conn, errors::close_reason(&error));
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
        on_writable(worker, service, conn);
    }
    if event.is_readable() {
        on_readable(worker, service, conn, event.is_read_closed());
    }
}

/// Handles the arrival of data, a FIN, or both.
fn on_readable(worker: &mut Worker, service: &mut dyn Service, conn: ConnId, fin: bool) {
    let Some(socket) = worker.socket_mut(conn) else { return };
    socket.readable = true;
    socket.fin_arrived |= fin;
    notify_readable(worker, service, conn);
    settle(worker, service);
}

/// Lets the service read, then queues the notice of a FIN that has arrived behind the data.
fn notify_readable(worker: &mut Worker, service: &mut dyn Service, conn: ConnId) {
    service.on_readable(worker, conn);
    let Some(socket) = worker.socket_mut(conn) else { return };
    if socket.readable && socket.budget_is_spent() {
        worker.defer(conn);
    } else if socket.fin_arrived && !socket.peer_closed {
        socket.peer_closed = true;
        worker.notices.push_back(Notice::PeerClosed(conn));
    }
}

/// Handles new room in the socket's send buffer.
fn on_writable(worker: &mut Worker, service: &mut dyn Service, conn: ConnId) {
    let Some(socket) = worker.socket_mut(conn) else { return };
    if !socket.is_staging() {
        return;
    }
    if let Err(error) = socket.unstage() {
        worker.remove(conn, errors::close_reason(&error));
        return settle(worker, service);
    }
    notify_writable(worker, service, conn);
    worker.try_fin(conn);
    settle(worker, service);
}

/// Notifies a service that waits for room. If the connection has spent its budget, does so in the
/// next turn, since epoll reports no further edge.
fn notify_writable(worker: &mut Worker, service: &mut dyn Service, conn: ConnId) {
    let Some(socket) = worker.socket_mut(conn).filter(|socket| socket.awaits_room) else { return };
    if socket.room() > 0 {
        socket.awaits_room = false;
        service.on_writable(worker, conn);
    } else if !socket.is_staging() && socket.budget_is_spent() {
        worker.defer(conn);
    }
}

/// Resumes the connections that spent their budget in the last turn.
pub(super) fn resume_deferred(worker: &mut Worker, service: &mut dyn Service) {
    for conn in std::mem::take(&mut worker.deferred) {
        let Some(socket) = worker.socket_mut(conn) else { continue };
        socket.deferred = false;
        let is_readable = socket.readable;
        notify_writable(worker, service, conn);
        if is_readable {
            notify_readable(worker, service, conn);
        }
        settle(worker, service);
    }
}

/// Accepts waiting connections from a listener.
pub(super) fn accept(worker: &mut Worker, service: &mut dyn Service, listener: &mut Listener) {
    for _ in 0..ACCEPTS_PER_TURN {
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
            // The peer reset the connection while it waited in the queue.
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

/// Delivers all queued notices, including those that the callbacks queue.
pub(super) fn settle(worker: &mut Worker, service: &mut dyn Service) {
    while let Some(notice) = worker.notices.pop_front() {
        match notice {
            Notice::Closed(conn, user, reason) => service.on_closed(worker, conn, user, reason),
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

    /// Fills the send buffer on each `on_writable`, and counts the calls.
    struct Writer {
        notified: usize,
    }

    impl Service for Writer {
        fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
            self.notified += 1;
            io.write(conn, &vec![0; 4 << 20]);
        }
    }

    #[test]
    fn room_that_appears_after_the_budget_is_spent_is_notified_in_the_next_turn() {
        let options = Line::parse_from(["linerate", "--stack", "kernel"]).options;
        let mut worker = Worker::new(0, &options).expect("an epoll instance");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is up");
        let near = std::net::TcpStream::connect(listener.local_addr().expect("bound"));
        let near = near.expect("it listens");
        near.set_nonblocking(true).expect("a socket");
        let (mut far, _) = listener.accept().expect("it has connected");
        let socket = Socket::accepted(mio::net::TcpStream::from_std(near));
        let conn = worker.insert(socket).expect("a free slot");
        let (mut service, mut sent) = (Writer { notified: 0 }, 0);
        // Write in every turn until the socket is full and bytes are staged.
        while !worker.socket(conn).is_some_and(Socket::is_staging) {
            worker.turn += 1;
            sent += worker.write(conn, &[0; 128 << 10]);
        }
        assert_eq!(worker.write(conn, &[0]), 0);
        worker.socket_mut(conn).expect("it is open").spend_budget();
        far.read_exact(&mut vec![0; sent / 2]).expect("that much was sent");
        let notified = service.notified;
        // The edge arrives in the same turn.
        while worker.socket(conn).is_some_and(Socket::is_staging) {
            on_writable(&mut worker, &mut service, conn);
        }
        assert_eq!(service.notified, notified);
        worker.turn += 1;
        resume_deferred(&mut worker, &mut service);
        assert_eq!(service.notified, notified + 1);
    }
}

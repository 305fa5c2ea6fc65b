//! The worker's side of a seat: a task that takes entries, and one for each connection that moves
//! bytes between its stream and its rings.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Weak;

use super::connection::{Connection, carry};
use super::outbox::{Flushed, Outbox};
use super::protocol::{NO_STREAM, address_of, code_of, flag, notice, op, with_address};
use super::seat::{STREAMS, Seat, WorkerEnd};
use crate::net::executor::current::current;
use crate::net::ring::{Corrupt, Entry, SeatRings, Sleep, StreamRings, Wait};
use crate::net::task::spawn;
use crate::net::tcp::{TcpListener, TcpStream};
use crate::shard::ListenerConfig;

/// Batches of entries that the task takes before other tasks run.
const BATCHES_MAX: usize = 16;

/// The worker's side of a seat.
pub(super) struct Server {
    rings: RefCell<SeatRings>,
    memory: StreamRings,
    seat: Weak<Seat>,
    connections: RefCell<Vec<Option<Rc<Connection>>>>,
    outbox: RefCell<Outbox>,
    /// Streams for accepted connections, with their generations.
    credits: RefCell<VecDeque<(u32, u32)>>,
    acceptor: Cell<Option<Waker>>,
    /// Wakes the task that takes entries.
    waker: RefCell<Option<Waker>>,
    is_listening: Cell<bool>,
    /// The client has gone, and its last entries were taken.
    is_left: Cell<bool>,
    /// Entries were taken since the client's doorbell was last rung: it may wait for room.
    has_taken: Cell<bool>,
}

/// Serves a seat until its client has gone.
pub(super) async fn serve(end: WorkerEnd, seat: Weak<Seat>) {
    let WorkerEnd { rings, memory } = end;
    let server = Rc::new(Server {
        rings: RefCell::new(rings),
        memory,
        seat,
        connections: RefCell::new((0..STREAMS).map(|_| None).collect()),
        outbox: RefCell::new(Outbox::new(STREAMS)),
        credits: RefCell::default(),
        acceptor: Cell::new(None),
        waker: RefCell::default(),
        is_listening: Cell::new(false),
        is_left: Cell::new(false),
        has_taken: Cell::new(false),
    });
    let _end = End(Rc::clone(&server));
    poll_fn(|cx| server.poll(cx)).await;
}

/// Ends all that the seat has on the worker when the task ends, however it ends.
struct End(Rc<Server>);

impl Drop for End {
    fn drop(&mut self) {
        let server = &self.0;
        server.is_listening.set(false);
        for connection in server.connections.borrow().iter().flatten() {
            if server.is_left.get() {
                // What the client has written is still sent.
                connection.on_flags(flag::DROPPED);
            } else {
                connection.abandon();
            }
        }
        server.acceptor.take().into_iter().for_each(Waker::wake);
        if let Some(seat) = server.seat.upgrade() {
            seat.on_worker_gone();
        }
    }
}

impl Server {
    fn poll(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        if let Some(core) = current() {
            core.add_wake_listener(cx.waker());
        }
        for _ in 0..BATCHES_MAX {
            // Read before the ring: a client that has gone has sent all before.
            let is_gone = self.seat.strong_count() == 0;
            match self.take_batch() {
                Ok(0) if is_gone => {
                    self.is_left.set(true);
                    return Poll::Ready(());
                }
                Ok(0) => {}
                Ok(_) => continue,
                // The client lies: it loses its seat.
                Err(_) => return Poll::Ready(()),
            }
            match self.rest() {
                Ok(Sleep::Now) => return Poll::Pending,
                Ok(Sleep::Not) => {}
                Err(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn take_batch(self: &Rc<Self>) -> Result<usize, Corrupt> {
        let mut entries = [Entry::default(); 32];
        let count = self.rings.borrow_mut().pop_batch(&mut entries)?;
        self.has_taken.set(self.has_taken.get() || count > 0);
        entries[..count].iter().for_each(|entry| self.on_entry(entry));
        Ok(count)
    }

    /// Sends what is to be sent, and announces that the task sleeps.
    fn rest(&self) -> Result<Sleep, Corrupt> {
        let mut outbox = self.outbox.borrow_mut();
        let mut rings = self.rings.borrow_mut();
        let connections = self.connections.borrow();
        let entry = |stream: u32, flags: u8| {
            let connection = connections[stream as usize].as_ref();
            let generation = connection.map_or(0, |connection| connection.generation);
            Entry { op: op::STREAM, flags, stream, generation, ..Entry::default() }
        };
        let flushed = outbox.flush(&mut rings, entry)?;
        let wait = if outbox.is_empty() { Wait::Entries } else { Wait::EntriesOrRoom };
        let has_taken = self.has_taken.take();
        if (flushed == Flushed::Sent || has_taken)
            && let Some(seat) = self.seat.upgrade()
        {
            rings.ring(|| seat.on_bell());
        }
        Ok(rings.announce_sleep(wait))
    }

    fn on_entry(self: &Rc<Self>, entry: &Entry) {
        match entry.op {
            op::CONNECT => self.connect(entry),
            op::LISTEN => self.listen(address_of(entry)),
            op::CREDIT => {
                self.credits.borrow_mut().push_back((entry.stream, entry.generation));
                self.acceptor.take().into_iter().for_each(Waker::wake);
            }
            op::STREAM => {
                let connection = self.connection(entry.stream);
                if let Some(connection) =
                    connection.filter(|known| known.generation == entry.generation)
                {
                    connection.on_flags(entry.flags);
                }
            }
            op::UNLISTEN => {
                self.is_listening.set(false);
                self.acceptor.take().into_iter().for_each(Waker::wake);
            }
            // An operation that this version does not know.
            _ => {}
        }
    }

    fn connection(&self, stream: u32) -> Option<Rc<Connection>> {
        self.connections.borrow().get(stream as usize)?.clone()
    }

    fn connect(self: &Rc<Self>, entry: &Entry) {
        let Some(connection) = self.begin(entry.stream, entry.generation) else { return };
        let (server, target) = (Rc::clone(self), address_of(entry));
        spawn(async move {
            let connected = TcpStream::connect(target);
            match connection.unless_dropped(connected).await {
                Some(Ok(stream)) => {
                    server.announce(&connection, notice::OPENED, stream.local_addr());
                    server.carry(&connection, stream).await;
                }
                Some(Err(error)) => server.end(&connection, code_of(&error)),
                None => server.end(&connection, 0),
            }
        });
    }

    fn listen(self: &Rc<Self>, address: SocketAddr) {
        let specified = Some(address.ip()).filter(|ip| !ip.is_unspecified());
        let config =
            ListenerConfig { address: specified, ..ListenerConfig::on_port(address.port()) };
        let opened = TcpListener::with_config(&config);
        let code = opened.as_ref().map_or_else(code_of, |_| 0);
        self.send(Entry { flags: notice::LISTENING, code, stream: NO_STREAM, ..Entry::default() });
        if let Ok(listener) = opened {
            self.is_listening.set(true);
            let server = Rc::clone(self);
            spawn(async move { server.accept_all(listener).await });
        }
    }

    /// Accepts connections for the client, as many as it has given streams for.
    async fn accept_all(self: &Rc<Self>, mut listener: TcpListener) {
        while let Some((stream, generation)) = self.credit().await {
            let Some(accepted) = self.accept(&mut listener).await else { return };
            let (connection, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    let (flags, code) = (notice::LISTENING, code_of(&error));
                    return self.send(Entry { flags, code, stream: NO_STREAM, ..Entry::default() });
                }
            };
            let Some(known) = self.begin(stream, generation) else { continue };
            self.announce(&known, notice::OPENED, connection.local_addr());
            self.announce(&known, notice::ACCEPTED, Ok(peer));
            let server = Rc::clone(self);
            spawn(async move { server.carry(&known, connection).await });
        }
    }

    /// Waits for a stream of the client; `None` once it does not listen any more.
    async fn credit(&self) -> Option<(u32, u32)> {
        poll_fn(|cx| {
            if !self.is_listening.get() {
                return Poll::Ready(None);
            }
            if let Some(credit) = self.credits.borrow_mut().pop_front() {
                return Poll::Ready(Some(credit));
            }
            self.acceptor.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }

    async fn accept(
        &self,
        listener: &mut TcpListener,
    ) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        poll_fn(|cx| {
            if !self.is_listening.get() {
                return Poll::Ready(None);
            }
            self.acceptor.set(Some(cx.waker().clone()));
            listener.poll_accept(cx).map(Some)
        })
        .await
    }

    /// Takes a stream that the client has prepared; `None` for one that does not exist.
    fn begin(&self, stream: u32, generation: u32) -> Option<Rc<Connection>> {
        let rings = self.memory.worker(stream).ok()?;
        let connection = Rc::new(Connection::new(stream, generation, rings));
        let mut connections = self.connections.borrow_mut();
        let former = connections.get_mut(stream as usize)?.replace(Rc::clone(&connection));
        // Only a client that lies uses a number again before its end.
        former.into_iter().for_each(|former| former.abandon());
        Some(connection)
    }

    /// Moves bytes until the connection is over, then lets go of the stream.
    async fn carry(&self, connection: &Rc<Connection>, stream: TcpStream) {
        let code = carry(connection, stream, |flags| self.notify(connection.stream, flags)).await;
        self.end(connection, code);
    }

    fn end(&self, connection: &Rc<Connection>, code: u16) {
        let (stream, generation) = (connection.stream, connection.generation);
        let place = &mut self.connections.borrow_mut()[stream as usize];
        if place.as_ref().is_none_or(|known| !Rc::ptr_eq(known, connection)) {
            return;
        }
        *place = None;
        connection.let_go();
        self.outbox.borrow_mut().clear(stream);
        let flags = notice::CLOSED;
        self.send(Entry { op: op::STREAM, flags, code, stream, generation, ..Entry::default() });
    }

    /// Sends a notice with an address.
    fn announce(&self, connection: &Connection, flags: u8, address: io::Result<SocketAddr>) {
        let (stream, generation) = (connection.stream, connection.generation);
        let entry = Entry { op: op::STREAM, flags, stream, generation, ..Entry::default() };
        let address = address.unwrap_or(super::protocol::NO_ADDRESS);
        self.send(with_address(entry, address));
    }

    fn send(&self, entry: Entry) {
        self.outbox.borrow_mut().add_entry(entry);
        self.wake();
    }

    fn notify(&self, stream: u32, flags: u8) {
        self.outbox.borrow_mut().add(stream, flags);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

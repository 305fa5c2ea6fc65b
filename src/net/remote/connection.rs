//! One connection of a seat on the worker: what moves between its stream and its rings.

use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::io;

use super::protocol::{code_of, flag, notice};
use crate::net::ring::{Corrupt, Reader, Writer};
use crate::net::tcp::TcpStream;
use crate::net::time::{Sleep, sleep};
use crate::time::Duration;

/// Bytes moved at once from the ring to the stream, in a buffer on the stack.
const CHUNK: usize = 16 * 1024;

/// Chunks moved before other tasks run.
const CHUNKS_MAX: usize = 8;

/// Time in which the peer must take what a dropped stream has left in its ring. A peer that takes
/// nothing would hold the connection for ever; with less, one on a slow path loses the end.
const SENT_WITHIN: Duration = Duration::from_secs(60);

/// A connection of a seat.
pub(super) struct Connection {
    pub(super) stream: u32,
    pub(super) generation: u32,
    /// To the client, and from it.
    rings: RefCell<Option<(Writer, Reader)>>,
    /// Flags of the client that have not been worked off.
    flags: Cell<u8>,
    waker: Cell<Option<Waker>>,
}

impl Connection {
    pub(super) fn new(stream: u32, generation: u32, rings: (Writer, Reader)) -> Self {
        Self {
            stream,
            generation,
            rings: RefCell::new(Some(rings)),
            flags: Cell::new(0),
            waker: Cell::new(None),
        }
    }

    /// Takes flags of the client.
    pub(super) fn on_flags(&self, flags: u8) {
        self.flags.set(self.flags.get() | flags);
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    /// Resets the connection: its client has gone.
    pub(super) fn abandon(&self) {
        self.on_flags(flag::ABORT | flag::DROPPED);
    }

    /// Drops the worker's ends of the rings.
    pub(super) fn let_go(&self) {
        *self.rings.borrow_mut() = None;
    }

    fn has(&self, flags: u8) -> bool {
        self.flags.get() & flags != 0
    }

    fn take(&self, flags: u8) -> bool {
        let had = self.has(flags);
        self.flags.set(self.flags.get() & !flags);
        had
    }

    fn wait(&self, cx: &Context<'_>) {
        self.waker.set(Some(cx.waker().clone()));
    }

    /// Waits for `future`; `None` if the client drops the stream first.
    pub(super) async fn unless_dropped<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if self.has(flag::DROPPED) {
                return Poll::Ready(None);
            }
            self.wait(cx);
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

/// The directions that are over.
#[derive(Default)]
struct Done {
    /// FIN was sent.
    tx: bool,
    /// FIN was received, and the client knows.
    rx: bool,
}

/// The outcome of one direction's turn.
enum Progress {
    Waiting,
    /// The direction has more to do.
    More,
    /// The connection is over, for this cause.
    Over(u16),
}

/// Moves bytes until the connection is over or its client has dropped it. Returns the code of the
/// cause. `notify` sends flags to the client.
pub(super) async fn carry(connection: &Connection, stream: TcpStream, notify: impl Fn(u8)) -> u16 {
    let mut done = Done::default();
    let mut linger: Option<Sleep> = None;
    let code = poll_fn(|cx| {
        connection.wait(cx);
        if connection.has(flag::DROPPED) {
            let linger = linger.get_or_insert_with(|| sleep(SENT_WITHIN));
            if Pin::new(linger).poll(cx).is_ready() {
                connection.on_flags(flag::ABORT);
            }
        }
        if connection.has(flag::ABORT) {
            return Poll::Ready(0);
        }
        set_options(connection, &stream);
        let sent = transmit(connection, &stream, &mut done, cx, &notify);
        let received = receive(connection, &stream, &mut done, cx, &notify);
        match (sent, received) {
            (Progress::Over(code), _) | (_, Progress::Over(code)) => Poll::Ready(code),
            (Progress::More, _) | (_, Progress::More) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            (Progress::Waiting, Progress::Waiting) => Poll::Pending,
        }
    });
    let code = code.await;
    if connection.has(flag::ABORT) {
        stream.abort();
    }
    code
}

fn set_options(connection: &Connection, stream: &TcpStream) {
    if connection.take(flag::NODELAY) {
        let _ = stream.set_nodelay(true);
    }
    if connection.take(flag::DELAY) {
        let _ = stream.set_nodelay(false);
    }
}

/// Moves bytes from the ring to the stream, then closes as the client wants it.
fn transmit(
    connection: &Connection,
    stream: &TcpStream,
    done: &mut Done,
    cx: &mut Context<'_>,
    notify: &impl Fn(u8),
) -> Progress {
    let mut rings = connection.rings.borrow_mut();
    let Some((_, reader)) = &mut *rings else { return Progress::Over(0) };
    let mut chunk = [0; CHUNK];
    for _ in 0..CHUNKS_MAX {
        let room = stream.with_io(|io, conn| io.write_room(conn)).unwrap_or(0);
        // Without room a byte is enough to wait for some.
        let read = match reader.peek(&mut chunk[..room.clamp(1, CHUNK)]) {
            Ok(read) => read,
            Err(corrupt) => return Progress::Over(lie(corrupt)),
        };
        // The ring has room unless it is as full as it can be.
        if read == 0 {
            if connection.take(flag::WANTS_ROOM) {
                notify(notice::WRITABLE);
            }
            return finish(connection, stream, done);
        }
        match stream.poll_write(cx, &chunk[..read]) {
            Poll::Pending => return Progress::Waiting,
            Poll::Ready(Err(error)) => return Progress::Over(code_of(&error)),
            Poll::Ready(Ok(written)) => {
                let consumed = reader.consume(written);
                if consumed.is_err() {
                    return Progress::Over(lie_code());
                }
                if connection.take(flag::WANTS_ROOM) {
                    notify(notice::WRITABLE);
                }
            }
        }
    }
    Progress::More
}

/// Closes the sending direction once everything is written.
fn finish(connection: &Connection, stream: &TcpStream, done: &mut Done) -> Progress {
    if connection.has(flag::DROPPED) {
        // Dropping the stream closes it.
        return Progress::Over(0);
    }
    if connection.has(flag::SHUT) && !done.tx {
        done.tx = true;
        if let Err(error) = stream.close_write() {
            return Progress::Over(code_of(&error));
        }
    }
    Progress::Waiting
}

/// Moves bytes from the stream to the ring.
fn receive(
    connection: &Connection,
    stream: &TcpStream,
    done: &mut Done,
    cx: &mut Context<'_>,
    notify: &impl Fn(u8),
) -> Progress {
    if done.rx {
        // Both directions are closed: the stack has nothing more to do with the connection.
        return if done.tx { Progress::Over(0) } else { Progress::Waiting };
    }
    let mut rings = connection.rings.borrow_mut();
    let Some((writer, _)) = &mut *rings else { return Progress::Over(0) };
    loop {
        match writer.room() {
            Ok(0) => {
                notify(notice::WANTS_ROOM);
                return Progress::Waiting;
            }
            Ok(_) => {}
            Err(corrupt) => return Progress::Over(lie(corrupt)),
        }
        let moved = stream.poll_received(cx, |[first, second]| match fill(writer, first, second) {
            Ok(n) => (n, Ok(n)),
            Err(corrupt) => (0, Err(corrupt)),
        });
        match moved {
            Poll::Pending => return Progress::Waiting,
            Poll::Ready(Ok(Some(Ok(_)))) => notify(notice::READABLE),
            Poll::Ready(Ok(Some(Err(corrupt)))) => return Progress::Over(lie(corrupt)),
            Poll::Ready(Ok(None)) => {
                done.rx = true;
                notify(notice::PEER_CLOSED);
                return if done.tx { Progress::Over(0) } else { Progress::Waiting };
            }
            Poll::Ready(Err(error)) => return Progress::Over(code_of(&error)),
        }
    }
}

fn fill(writer: &mut Writer, first: &[u8], second: &[u8]) -> Result<usize, Corrupt> {
    let n = writer.write(first)?;
    if n < first.len() { Ok(n) } else { Ok(n + writer.write(second)?) }
}

fn lie(_: Corrupt) -> u16 {
    lie_code()
}

/// The code of a client that breaks the protocol of its rings.
fn lie_code() -> u16 {
    code_of(&io::ErrorKind::Other.into())
}

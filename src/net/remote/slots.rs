//! The streams of a seat as its client sees them.

use core::mem::take;
use core::task::Waker;
use std::io;
use std::net::SocketAddr;

use super::protocol::{NO_ADDRESS, address_of, cause_of, flag, notice};
use crate::net::ring::{Corrupt, Entry, Reader, RegionError, StreamRings, Writer};

/// One stream of a seat.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) generation: u32,
    rings: Option<(Writer, Reader)>,
    state: State,
    /// The worker waits for room for received bytes.
    worker_wants_room: bool,
    is_write_shut: bool,
    /// The program has dropped the stream, and the worker has not let go of it yet.
    pub(super) is_dropped: bool,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

/// The life of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not in use.
    Free,
    /// The handshake is in progress, or no connection has been accepted yet.
    Opening,
    Open,
    PeerClosed,
    /// The worker has let go of it, for this cause.
    Ended(u16),
}

/// The outcome of a poll of a stream.
#[derive(Debug)]
pub(super) enum Found {
    /// Bytes moved, with flags for the worker.
    Moved(usize, u8),
    /// Nothing can move now; flags for the worker.
    Nothing(u8),
    /// The stream is at its end.
    End,
    Failed(io::Error),
}

impl Slot {
    pub(super) const fn free() -> Self {
        Self {
            generation: 0,
            rings: None,
            state: State::Free,
            worker_wants_room: false,
            is_write_shut: false,
            is_dropped: false,
            local: NO_ADDRESS,
            peer: NO_ADDRESS,
            reader: None,
            writer: None,
        }
    }

    /// Begins to use the slot. The number is `stream`.
    pub(super) fn begin(
        &mut self,
        rings: &StreamRings,
        stream: u32,
        peer: SocketAddr,
    ) -> Result<(), RegionError> {
        let rings = rings.client(stream)?;
        let generation = self.generation.wrapping_add(1);
        *self =
            Self { generation, rings: Some(rings), state: State::Opening, peer, ..Self::free() };
        Ok(())
    }

    /// Stops using the slot. Returns its wakers, which the caller drops.
    pub(super) fn end(&mut self) -> [Option<Waker>; 2] {
        self.rings = None;
        self.state = State::Free;
        [self.reader.take(), self.writer.take()]
    }

    /// Returns true if the worker has let go of the stream.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    pub(super) const fn is_free(&self) -> bool {
        matches!(self.state, State::Free)
    }

    /// Applies a completion. Appends those to wake.
    pub(super) fn on_notice(&mut self, entry: &Entry, woken: &mut Vec<Waker>) {
        let flags = entry.flags;
        if flags & notice::OPENED != 0 {
            self.local = address_of(entry);
            self.state = State::Open;
        }
        if flags & notice::ACCEPTED != 0 {
            self.peer = address_of(entry);
            self.state = State::Open;
        }
        if flags & notice::PEER_CLOSED != 0 && self.state == State::Open {
            self.state = State::PeerClosed;
        }
        if flags & notice::CLOSED != 0 {
            self.state = State::Ended(entry.code);
        }
        self.worker_wants_room |= flags & notice::WANTS_ROOM != 0;
        if flags & !notice::WRITABLE != 0 {
            woken.extend(take(&mut self.reader));
        }
        if flags & (notice::WRITABLE | notice::OPENED | notice::CLOSED) != 0 {
            woken.extend(take(&mut self.writer));
        }
    }

    /// Ends the stream because the worker has gone.
    pub(super) fn on_worker_gone(&mut self, code: u16, woken: &mut Vec<Waker>) {
        if !self.is_free() && !self.is_over() {
            self.state = State::Ended(code);
        }
        woken.extend(take(&mut self.reader).into_iter().chain(take(&mut self.writer)));
    }

    /// Returns the outcome of the open: `None` while it is in progress.
    pub(super) fn opened(&self) -> Option<io::Result<()>> {
        match self.state {
            State::Opening => None,
            State::Open | State::PeerClosed => Some(Ok(())),
            State::Ended(code) => Some(cause_of(code).map_or(Ok(()), Err)),
            State::Free => Some(Err(super::protocol::ended())),
        }
    }

    /// Copies received bytes into `buffer`.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Found {
        let Some((_, reader)) = &mut self.rings else { return Found::End };
        let read = match reader.read(buffer) {
            Ok(read) => read,
            Err(corrupt) => return Found::Failed(lie(corrupt)),
        };
        // The worker waits until it is woken: by this read, or because the ring is empty already.
        let kick = if take(&mut self.worker_wants_room) { flag::MOVED } else { 0 };
        if read > 0 {
            return Found::Moved(read, kick);
        }
        match self.state {
            State::Ended(code) => cause_of(code).map_or(Found::End, Found::Failed),
            State::PeerClosed => Found::End,
            State::Opening | State::Open | State::Free => Found::Nothing(kick),
        }
    }

    /// Queues `bytes` for sending.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Found {
        if self.is_write_shut {
            return Found::Failed(io::ErrorKind::BrokenPipe.into());
        }
        if let State::Ended(code) = self.state {
            return Found::Failed(cause_of(code).unwrap_or(io::ErrorKind::BrokenPipe.into()));
        }
        let Some((writer, _)) = &mut self.rings else { return Found::End };
        match writer.write(bytes) {
            Ok(0) => Found::Nothing(flag::WANTS_ROOM),
            Ok(written) => Found::Moved(written, flag::MOVED),
            Err(corrupt) => Found::Failed(lie(corrupt)),
        }
    }

    /// Returns true if received bytes have not been read.
    pub(super) fn has_unread(&mut self) -> bool {
        self.rings.as_mut().is_some_and(|(_, reader)| reader.readable().is_ok_and(|n| n > 0))
    }

    /// Closes the sending direction. Returns flags for the worker.
    pub(super) fn shut_write(&mut self) -> u8 {
        self.is_write_shut = true;
        flag::SHUT
    }
}

fn lie(corrupt: Corrupt) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, corrupt)
}

//! The send buffer: data that the program writes, its size limit, and its memory.
//!
//! The limit follows the congestion window. After a short write, [`Events::WRITABLE`] reports room.

use crate::tcp::buffer::Promise;
use crate::tcp::state::Marks;
use crate::tcp::{BufferPool, Connection, Env, Events, Settings};

impl Connection {
    /// Implements [`Connection::write`].
    pub(in crate::tcp) fn queue(&mut self, env: &mut Env<'_>, bytes: &[u8]) -> usize {
        if !self.phase.may_write() || self.marks.has(Marks::CLOSE_PENDING) {
            return 0;
        }
        self.note_app_limited();
        let wanted = bytes.len().min(self.room(env.settings) as usize);
        self.reserve_to_send(env.pool, self.outgoing.len() + wanted as u32);
        let taken = self.outgoing.push(&bytes[..wanted]);
        self.snd.end += taken as u32;
        self.note_written();
        if taken < bytes.len() {
            self.marks.insert(Marks::WANTS_ROOM);
        }
        self.settle(env);
        taken
    }

    /// Returns the send buffer limit: twice cwnd, one window in flight and one ready for the next
    /// ACKs. A larger buffer only adds delay. SACKed bytes come on top: they are no longer in
    /// flight but stay in the buffer until the hole before them is filled (RFC 2018 §8). Without
    /// them, a round trip or two of recovery would leave nothing to send.
    pub(in crate::tcp) fn send_buffer(&self, settings: &Settings) -> u32 {
        let selected = self.recovery.flight.as_deref().map_or(0, |flight| flight.board.selected());
        let wanted = self.recovery.controller.cwnd().saturating_mul(2).saturating_add(selected);
        let size = settings.send_buffer_initial.max(wanted).min(settings.send_buffer);
        if self.marks.has(Marks::BOUNDED) { size.min(self.bounds().send_buffer) } else { size }
    }

    /// Returns the free bytes in the send buffer.
    pub(in crate::tcp) fn room(&self, settings: &Settings) -> u32 {
        if self.marks.has(Marks::BOUNDED) {
            return self.bounded_room(settings);
        }
        self.send_buffer(settings).saturating_sub(self.outgoing.len())
    }

    /// Drops `acked` bytes from the buffer and notifies a program that waits for room.
    pub(in crate::tcp) fn drop_acked(&mut self, env: &mut Env<'_>, acked: u32) {
        self.outgoing.consume(acked);
        self.prune_urgent();
        if self.outgoing.is_empty() {
            self.release_send_buffer(env.pool);
        }
        self.notify_writable(env.settings);
    }

    /// Sets `WRITABLE` for a program that waits for room, made by a cumulative ACK or by SACK.
    #[inline]
    pub(in crate::tcp) fn notify_writable(&mut self, settings: &Settings) {
        if self.marks.has(Marks::WANTS_ROOM) && self.has_room(settings) {
            self.marks.remove(Marks::WANTS_ROOM);
            self.events.insert(Events::WRITABLE);
        }
    }

    /// Returns true if there is enough room to wake the program: a quarter of the buffer. A smaller
    /// threshold would wake it for every segment.
    #[inline]
    fn has_room(&self, settings: &Settings) -> bool {
        if self.marks.has(Marks::BOUNDED) {
            return self.has_bounded_room(settings);
        }
        self.room(settings) >= self.send_buffer(settings) / 4
    }

    /// Allocates send memory for `bytes`, or as much as available. On failure, a write still uses
    /// the memory already held.
    pub(in crate::tcp) fn reserve_to_send(&mut self, pool: &mut BufferPool, bytes: u32) {
        let held = self.outgoing.capacity();
        if bytes <= held {
            return;
        }
        let wanted = Promise::credit(bytes).bytes();
        let mut size = wanted;
        while size > held {
            if pool.accounts.allocate(size - held).is_ok() {
                if self.outgoing.ensure(pool, size) {
                    return;
                }
                pool.accounts.give_back(size - held);
            }
            if size == wanted {
                pool.accounts.note_refused();
            }
            size /= 2;
        }
    }

    /// Frees the memory of the empty send ring.
    pub(in crate::tcp) fn release_send_buffer(&mut self, pool: &mut BufferPool) {
        if self.outgoing.capacity() > 0 {
            pool.accounts.give_back(self.outgoing.capacity());
            self.outgoing.release(pool);
        }
    }
}

//! Bytes that the program writes: the send buffer, its size, and its memory.
//!
//! The size follows the congestion window. [`Events::WRITABLE`] follows a short write once there is room.

use crate::tcp::buffer::Promise;
use crate::tcp::state::Marks;
use crate::tcp::{BufferPool, Connection, Env, Events, Settings};

impl Connection {
    /// See [`Connection::write`].
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

    /// What the send buffer may hold: what is in flight, and as much again that waits for the next ACKs.
    /// More would only be old by the time it leaves. What is selected is in flight no more and yet keeps its
    /// place until the hole before it is filled (RFC 2018 §8), so it comes on top: else a round trip or two
    /// of repair would leave nothing to send.
    pub(in crate::tcp) fn send_buffer(&self, settings: &Settings) -> u32 {
        let selected = self.recovery.flight.as_deref().map_or(0, |flight| flight.board.selected());
        let wanted = self.recovery.controller.cwnd().saturating_mul(2).saturating_add(selected);
        settings.send_buffer_initial.max(wanted).min(settings.send_buffer)
    }

    /// Bytes that the send buffer has room for.
    pub(in crate::tcp) fn room(&self, settings: &Settings) -> u32 {
        self.send_buffer(settings).saturating_sub(self.outgoing.len())
    }

    /// Drops `acked` bytes that the peer has, and tells a program that found no room.
    pub(in crate::tcp) fn drop_acked(&mut self, env: &mut Env<'_>, acked: u32) {
        self.outgoing.consume(acked);
        self.prune_urgent();
        if self.outgoing.is_empty() {
            self.release_send_buffer(env.pool);
        }
        self.notify_writable(env.settings);
    }

    /// A program that found no room is told of it, whether an ACK gave it back or, by selecting, added some.
    #[inline]
    pub(in crate::tcp) fn notify_writable(&mut self, settings: &Settings) {
        // A quarter of the buffer: less, and a program would be woken for every segment.
        if self.marks.has(Marks::WANTS_ROOM)
            && self.room(settings) >= self.send_buffer(settings) / 4
        {
            self.marks.remove(Marks::WANTS_ROOM);
            self.events.insert(Events::WRITABLE);
        }
    }

    /// Memory for `bytes` in the send ring, or as much of it as there is: what is already held still takes
    /// its part of a write.
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

    /// Nothing is stored in the send ring: its memory goes back.
    pub(in crate::tcp) fn release_send_buffer(&mut self, pool: &mut BufferPool) {
        if self.outgoing.capacity() > 0 {
            pool.accounts.give_back(self.outgoing.capacity());
            self.outgoing.release(pool);
        }
    }
}

//! The text and the FIN of a segment: in order, past a hole, and delivery to the program (RFC 9293
//! §3.10.7.4, seventh and eighth).
//!
//! Text in order is in `Connection::incoming`. Text past a hole is in the same ring, and
//! `Connection::holes` records the ranges. Invariant: text past a hole is kept (RFC 2525 §2.5).

use core::mem::MaybeUninit;

use crate::tcp::state::Marks;
use crate::tcp::{Assembler, Connection, Disposition, Env, Events, Phase, SeqNum};

impl Connection {
    /// Processes the segment text `payload` that begins at `seq`, RFC 9293 §3.10.7.4, seventh.
    pub(in crate::tcp) fn receive_text(
        &mut self,
        env: &mut Env<'_>,
        seq: SeqNum,
        payload: &[u8],
    ) -> Result<(), Disposition> {
        let known = if seq.before(self.rcv.nxt) { self.rcv.nxt.distance_from(seq) } else { 0 };
        if known > 0 {
            self.record_duplicate(seq, self.rcv.nxt.earliest(seq + payload.len() as u32));
        }
        let Some(fresh) = payload.get(known as usize..).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        let offset = (seq + known).distance_from(self.rcv.nxt);
        let room = self.rcv.wnd().saturating_sub(offset) as usize;
        if room == 0 {
            // RFC 9293 §3.8.6.1: answer a zero-window probe with the current window.
            self.marks.insert(Marks::ACK);
            return Err(Disposition::OutOfWindow);
        }
        let fresh = &fresh[..fresh.len().min(room)];
        if !self.reserve(env, self.incoming.len() + offset + fresh.len() as u32) {
            self.notify_rest_readable();
            return Err(Disposition::NoBuffer);
        }
        if offset == 0 && self.holes.is_empty() {
            self.incoming.push(fresh);
            self.rcv.advance(fresh.len() as u32);
            self.on_in_order_text(env);
        } else {
            self.receive_past_hole(env, offset, fresh);
        }
        Ok(())
    }

    /// Stores text past or next to a hole, and advances over text that is now contiguous.
    fn receive_past_hole(&mut self, env: &Env<'_>, offset: u32, fresh: &[u8]) {
        let end = offset + fresh.len() as u32;
        if let Some((from, to)) = self.holes.overlap(offset, end) {
            self.record_duplicate(self.rcv.nxt + from, self.rcv.nxt + to);
        }
        if self.holes.add(offset, end).is_err() {
            self.rcv.duplicates = self.rcv.duplicates.saturating_add(1);
            return;
        }
        self.incoming.write_at(self.incoming.len() + offset, fresh);
        let contiguous = self.holes.take_front();
        if contiguous == 0 {
            // RFC 5681 §4.2:
            //   > A TCP receiver SHOULD send an immediate duplicate ACK when an out-of-order
            //   > segment arrives.
            self.rcv.duplicates = self.rcv.duplicates.saturating_add(1);
            return;
        }
        self.incoming.advance_len(contiguous);
        self.rcv.advance(contiguous);
        self.notify_readable(env);
        //   > In addition, a TCP receiver SHOULD send an immediate ACK when the incoming segment
        //   > fills in all or part of a gap in the sequence space.
        self.marks.insert(Marks::ACK);
    }

    /// Processes a FIN at `seq`, RFC 9293 §3.10.7.4, eighth.
    pub(in crate::tcp) fn receive_fin(&mut self, env: &mut Env<'_>, seq: SeqNum) {
        // A FIN right at the edge is accepted too: it needs no buffer, and a peer with nothing more
        // to send would otherwise depend on a timer to get it through a full window.
        if seq.after(self.rcv.edge) || seq.before(self.rcv.nxt) {
            return;
        }
        if seq != self.rcv.nxt {
            self.rcv.fin = seq;
            self.marks.insert(Marks::FIN_AHEAD.with(Marks::ACK));
            return;
        }
        //   > If the FIN bit is set, signal the user "connection closing" [...], advance RCV.NXT
        //   > over the FIN, and send an acknowledgment for the FIN.
        self.rcv.advance(1);
        // Discard anything claimed to follow a FIN.
        self.holes = Assembler::default();
        self.marks.remove(Marks::FIN_AHEAD);
        self.marks.insert(Marks::ACK);
        self.events.insert(Events::PEER_CLOSED);
        self.notify_rest_readable();
        match self.phase {
            Phase::Established => self.enter(Phase::CloseWait),
            // If our FIN had been acknowledged, perhaps by this segment, the state would be
            // FIN-WAIT-2.
            Phase::FinWait1 => self.enter(Phase::Closing),
            Phase::FinWait2 => self.enter_time_wait(env),
            _ => {}
        }
        if self.incoming.is_empty() {
            self.return_receive_memory(env.pool, env.settings);
        }
    }

    /// See [`Connection::read`].
    pub(in crate::tcp) fn take(&mut self, env: &mut Env<'_>, bytes: &mut [u8]) -> usize {
        let wanted = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(self.incoming.len());
        if wanted == 0 {
            return 0;
        }
        let (first, second) = self.incoming.slices(0, wanted);
        bytes[..first.len()].copy_from_slice(first);
        bytes[first.len()..first.len() + second.len()].copy_from_slice(second);
        self.consume_text(env, wanted);
        wanted as usize
    }

    /// Copies received bytes into memory that need not be initialized. Returns the number of bytes
    /// copied.
    pub(in crate::tcp) fn take_into(
        &mut self,
        env: &mut Env<'_>,
        bytes: &mut [MaybeUninit<u8>],
    ) -> usize {
        let wanted = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(self.incoming.len());
        let (first, second) = self.incoming.slices(0, wanted);
        let (front, back) = bytes.split_at_mut(first.len());
        fill(front, first);
        fill(back, second);
        self.consume_text(env, wanted);
        wanted as usize
    }

    /// Drops up to `bytes` received bytes, which the program has read.
    #[inline]
    pub(in crate::tcp) fn consume_text(&mut self, env: &mut Env<'_>, bytes: u32) {
        let bytes = bytes.min(self.incoming.len());
        if bytes == 0 {
            return;
        }
        self.incoming.consume(bytes);
        self.prune_urgent();
        if self.rcv.promise.is_tuned() {
            self.tune(env);
        }
        if self.incoming.is_empty() && self.holes.is_empty() {
            self.return_receive_memory(env.pool, env.settings);
        }
        self.update_window_after_read(env);
        self.notify_closed_when_drained();
    }
}

/// Copies `from` to the front of `to`.
fn fill(to: &mut [MaybeUninit<u8>], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        to.write(*from);
    }
}

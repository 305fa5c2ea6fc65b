//! The urgent mechanism (RFC 9293 §3.8.5): a mark in the stream, up to which the program should
//! hurry.
//!
//! Owns SND.UP and RCV.UP, and the events about them. Urgent data stays in line (RFC 6093 §6), so a
//! program that ignores the mark loses nothing. Invariant: without [`Marks::URGENT`] both pointers
//! are meaningless, so that neither outlives half the sequence space.

use crate::tcp::state::{Marks, Urgent};
use crate::tcp::{Connection, Env, Events, Segment, SeqNum};

impl Connection {
    /// Sixth, check the URG bit:
    ///   > If the URG bit is set, RCV.UP <- max(RCV.UP,SEG.UP), and signal the user that the remote
    ///   > side has urgent data if the urgent pointer (RCV.UP) is in advance of the data consumed.
    ///
    /// MUST-32: notify the program again "whenever the urgent pointer advances in the data stream".
    pub(super) fn on_urgent(&mut self, segment: &Segment<'_>) {
        //   > The urgent pointer MUST point to the sequence number of the octet following the
        //   > urgent data (MUST-62).
        let pointer = segment.seq + u32::from(segment.urgent);
        if self.phase.may_receive() && pointer.after(self.rcv_up()) {
            self.urgent_mut().rcv_up = pointer;
            self.events.insert(Events::URGENT);
        }
    }

    /// Returns the bytes of urgent data not yet read, whether or not they have arrived.
    ///
    /// RFC 9293 §3.8.5:
    ///   > The TCP implementation MUST (MUST-33) provide a way for the application to learn how
    ///   > much urgent data remains to be read from the connection
    pub fn urgent(&self) -> u32 {
        self.rcv_up().distance_from(self.next_read())
    }

    /// Queues bytes like [`Self::write`] and marks the last accepted byte as the end of urgent
    /// data. RFC 9293 §3.10.2: "If the URGENT flag is set, then SND.UP <- SND.NXT", of the data
    /// queued.
    pub fn write_urgent(&mut self, env: &mut Env<'_>, bytes: &[u8]) -> usize {
        let taken = self.queue(env, bytes);
        if taken > 0 {
            self.urgent_mut().snd_up = self.snd.end;
        }
        taken
    }

    /// Returns SEG.UP for a segment at `seq` while the peer has not acknowledged all urgent data. A
    /// mark too far away for the field is announced with the maximum (MUST-31: of any length).
    #[inline]
    pub(super) fn urgent_pointer(&self, seq: SeqNum) -> Option<u16> {
        let up = self.urgent_pointers()?.snd_up;
        let ahead = up.after(seq) && up.after(self.snd.una);
        ahead.then(|| u16::try_from(up.distance_from(seq)).unwrap_or(u16::MAX))
    }

    /// Clears marks behind the data that was read or acknowledged.
    #[inline]
    pub(super) fn prune_urgent(&mut self) {
        if self.marks.has(Marks::URGENT) {
            self.prune_passed();
        }
    }

    fn prune_passed(&mut self) {
        let passed = Urgent { snd_up: self.snd.una, rcv_up: self.next_read() };
        let rcv_up = self.rcv_up();
        let urgent = self.urgent_mut();
        *urgent = Urgent { snd_up: urgent.snd_up.latest(passed.snd_up), rcv_up };
        if *urgent == passed {
            self.marks.remove(Marks::URGENT);
        }
    }

    /// Returns the pointers, if one of them is meaningful.
    #[inline]
    fn urgent_pointers(&self) -> Option<Urgent> {
        let boxed = if self.marks.has(Marks::URGENT) { self.choices.as_ref() } else { None };
        boxed.map(|choices| choices.urgent)
    }

    /// Returns the pointers for an update.
    fn urgent_mut(&mut self) -> &mut Urgent {
        let known = self.urgent_pointers();
        let fresh = Urgent { snd_up: self.snd.una, rcv_up: self.next_read() };
        self.marks.insert(Marks::URGENT);
        let urgent = &mut self.choices_mut().urgent;
        *urgent = known.unwrap_or(fresh);
        urgent
    }

    /// Returns RCV.UP, or the next byte to read if that is later.
    fn rcv_up(&self) -> SeqNum {
        let at = self.next_read();
        self.urgent_pointers().map_or(at, |urgent| urgent.rcv_up.latest(at))
    }

    /// Returns the sequence number of the next byte to read; one too high once the peer's FIN was
    /// received.
    fn next_read(&self) -> SeqNum {
        self.rcv.nxt - self.incoming.len()
    }
}

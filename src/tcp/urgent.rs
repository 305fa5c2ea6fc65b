//! The urgent mechanism (RFC 9293 §3.8.5): a mark in the stream, up to which the program should hurry.
//!
//! Owns SND.UP and RCV.UP, and what the program learns of them. The data itself stays in line (RFC 6093
//! §6), so that nothing is lost to a program that does not ask. Invariant: without [`Marks::URGENT`] both
//! pointers mean nothing, so that none outlives half the sequence space.

use crate::tcp::state::{Marks, Urgent};
use crate::tcp::{Connection, Env, Events, Segment, SeqNum};

impl Connection {
    /// Sixth, check the URG bit:
    ///   > If the URG bit is set, RCV.UP <- max(RCV.UP,SEG.UP), and signal the user that the remote side
    ///   > has urgent data if the urgent pointer (RCV.UP) is in advance of the data consumed.
    ///
    /// MUST-32 wants the program told again "whenever the urgent pointer advances in the data stream".
    pub(super) fn note_urgent(&mut self, segment: &Segment<'_>) {
        //   > The urgent pointer MUST point to the sequence number of the octet following the urgent
        //   > data (MUST-62).
        let pointer = segment.seq + u32::from(segment.urgent);
        if self.phase.may_receive() && pointer.after(self.rcv_up()) {
            self.urgent_mut().rcv_up = pointer;
            self.events.insert(Events::URGENT);
        }
    }

    /// Bytes of urgent data that are still to be read, arrived or not.
    ///
    /// RFC 9293 §3.8.5:
    ///   > The TCP implementation MUST (MUST-33) provide a way for the application to learn how much
    ///   > urgent data remains to be read from the connection
    pub fn urgent(&self) -> u32 {
        self.rcv_up().distance_from(self.read_at())
    }

    /// Queues bytes as [`Self::write`], the last one taken being the last that is urgent. RFC 9293
    /// §3.10.2: "If the URGENT flag is set, then SND.UP <- SND.NXT", of the data queued.
    pub fn write_urgent(&mut self, env: &mut Env<'_>, bytes: &[u8]) -> usize {
        let taken = self.queue(env, bytes);
        if taken > 0 {
            self.urgent_mut().snd_up = self.snd.end;
        }
        taken
    }

    /// SEG.UP of a segment at `seq`, while there is urgent data that the peer has not acknowledged. A
    /// mark that is too far away for the field is told of nonetheless (MUST-31: of any length).
    #[inline]
    pub(super) fn urgent_pointer(&self, seq: SeqNum) -> Option<u16> {
        let up = self.urgent_marks()?.snd_up;
        let ahead = up.after(seq) && up.after(self.snd.una);
        ahead.then(|| u16::try_from(up.distance_from(seq)).unwrap_or(u16::MAX))
    }

    /// Something was read, or acknowledged: marks behind it are forgotten.
    #[inline]
    pub(super) fn pass_urgent(&mut self) {
        if self.marks.has(Marks::URGENT) {
            self.forget_passed();
        }
    }

    fn forget_passed(&mut self) {
        let passed = Urgent { snd_up: self.snd.una, rcv_up: self.read_at() };
        let rcv_up = self.rcv_up();
        let urgent = self.urgent_mut();
        *urgent = Urgent { snd_up: urgent.snd_up.latest(passed.snd_up), rcv_up };
        if *urgent == passed {
            self.marks.remove(Marks::URGENT);
        }
    }

    /// The pointers, while one of them means something.
    #[inline]
    fn urgent_marks(&self) -> Option<Urgent> {
        let boxed = if self.marks.has(Marks::URGENT) { self.choices.as_ref() } else { None };
        boxed.map(|choices| choices.urgent)
    }

    /// The pointers, to be moved.
    fn urgent_mut(&mut self) -> &mut Urgent {
        let known = self.urgent_marks();
        let fresh = Urgent { snd_up: self.snd.una, rcv_up: self.read_at() };
        self.marks.insert(Marks::URGENT);
        let urgent = &mut self.choices_mut().urgent;
        *urgent = known.unwrap_or(fresh);
        urgent
    }

    /// RCV.UP, or what the program will read next where that is later.
    fn rcv_up(&self) -> SeqNum {
        let at = self.read_at();
        self.urgent_marks().map_or(at, |urgent| urgent.rcv_up.latest(at))
    }

    /// Where the program will read next; one too far once the peer's FIN is taken.
    fn read_at(&self) -> SeqNum {
        self.rcv.nxt - self.incoming.len()
    }
}

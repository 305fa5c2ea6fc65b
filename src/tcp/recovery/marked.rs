//! The answer to an echo of congestion (RFC 3168 §6.1.2): the flight comes down within a round trip to the window
//! that is left, in proportion to what arrives, as in fast recovery (RFC 9937), with nothing to be repaired. So the clock of
//! ACKs goes on, where a window cut at once is silent for as long as it takes to drain.
//!
//! Owns when that begins and ends. Refuses to know how far: congestion control says. Without a scoreboard, and
//! for algorithms that answer marks in their own way, the window is cut at once.

use super::Recovery;
use crate::tcp::connection::Connection;
use crate::time::Instant;

impl Connection {
    /// ECN says congestion, for the first time in this window of data; before SND.UNA advances.
    pub(in crate::tcp) fn answer_congestion_echo(&mut self, now: Instant) {
        let (outstanding, nxt) = (self.snd.outstanding(), self.snd.nxt);
        let controller = &mut self.recovery.controller;
        controller.on_congestion_echo(outstanding, now);
        if !controller.shrinks_by_prr() {
            return;
        }
        if let Some(flight) = self.recovery.flight.as_deref_mut() {
            flight.prr.begin(outstanding - flight.board.selected());
            // May be less than ssthresh: RFC 3168 §6.1.2 lets echoes go on down to one segment.
            flight.reducing = Some((nxt, controller.cwnd()));
        }
    }

    /// SND.UNA advanced: what was in flight when the echo came has arrived.
    pub(super) fn leave_reduction(&mut self) {
        let until = self.recovery.flight.as_deref().and_then(|flight| flight.reducing);
        if until.is_some_and(|(until, _)| self.snd.una.at_or_after(until)) {
            self.recovery.end_reduction();
        }
    }
}

impl Recovery {
    /// Whether the flight is coming down for an echo of congestion.
    pub(super) fn is_reducing(&self) -> bool {
        self.flight.as_deref().is_some_and(|flight| flight.reducing.is_some())
    }

    /// RFC 9937 §6.2: "cwnd = ssthresh" at the end; and before the answer to a loss takes its place.
    pub(super) fn end_reduction(&mut self) {
        let reducing = self.flight.as_deref_mut().and_then(|flight| flight.reducing.take());
        if let Some((_, target)) = reducing {
            self.controller.shrink_to(target);
        }
    }
}

//! Transmission with a scoreboard: what may be sent, what is in flight, and the bookkeeping of a
//! sent segment.

use crate::tcp::congestion::Sent;
use crate::tcp::flight::Alarm;
use crate::tcp::rate::{RateStamp, micros};
use crate::tcp::scoreboard::Piece;
use crate::tcp::state::{Marks, Stage};
use crate::tcp::{Connection, Env, SeqNum};
use crate::time::Instant;

impl Connection {
    /// Returns the lost segment to retransmit now. RFC 6675 §5 (C): "If cwnd - pipe >= 1 SMSS"; the
    /// first one of an episode ignores cwnd (RFC 6675 §5 (4.3), RFC 6298 (5.4)).
    #[inline]
    pub(in crate::tcp) fn lost_piece(&self) -> Option<Piece> {
        let flight = self.recovery.flight.as_deref()?;
        if flight.tail.due && flight.board.waiting() == 0 && !self.probes_with_new() {
            return if flight.tail.is_first { flight.board.first() } else { flight.board.last() };
        }
        let piece = flight.board.next_lost().filter(|_| !flight.forward.holds_back())?;
        let pipe = flight.board.pipe();
        let len = piece.end.distance_from(piece.seq).min(u32::from(self.snd.mss));
        let fits = pipe == 0 || pipe.saturating_add(len) <= self.recovery.controller.cwnd();
        (flight.forced || fits).then_some(piece)
    }

    /// Returns true if the probe carries new data. RFC 8985 §7.3: "a previously unsent data
    /// segment, if one exists and the receive window allows".
    fn probes_with_new(&self) -> bool {
        let takes = self.snd.unsent() > 0 && self.snd.window_from(self.snd.nxt) > 0;
        takes && !self.recovery.flight.as_deref().is_some_and(|flight| flight.tail.is_first)
    }

    /// Returns the bytes of new data that may be sent; 0 while a lost segment waits for
    /// retransmission. SACKed bytes make room, so each of the first duplicate ACKs releases a
    /// segment (RFC 3042 §2).
    #[inline]
    pub(in crate::tcp) fn new_allowance(&self) -> u32 {
        let Some(flight) = self.recovery.flight.as_deref() else {
            let allowance = self.recovery.allowance(self.snd.mss);
            return allowance.saturating_sub(self.snd.in_flight());
        };
        if !flight.board.has_room() {
            return 0;
        }
        if flight.tail.due || flight.forward.allows_new() {
            return u32::from(self.snd.mss);
        }
        if flight.board.waiting() > 0 {
            return 0;
        }
        self.recovery.controller.cwnd().saturating_sub(flight.board.pipe())
    }

    /// Returns true if the next segment is a tail loss probe, which Nagle's algorithm must not
    /// delay.
    pub(in crate::tcp) fn is_probing_tail(&self) -> bool {
        self.recovery.flight.as_deref().is_some_and(|flight| flight.tail.due)
    }

    /// Records data or a FIN in `seq..end`, sent to a peer that permits SACK. `len` is its data
    /// length.
    pub(in crate::tcp) fn note_in_flight(
        &mut self,
        env: &mut Env<'_>,
        seq: SeqNum,
        end: SeqNum,
        len: u32,
    ) {
        let (una, nxt) = (self.snd.una, self.snd.nxt);
        let again = seq.before(nxt);
        let tsval = if again { self.stamp(env.now).map(|stamp| stamp.value) } else { None };
        let recovery = &mut self.recovery;
        let flight = recovery.flight.get_or_insert_with(|| env.pool.flights.acquire(una, env.now));
        let pipe = flight.board.pipe();
        let rated = recovery.controller.measures_rate();
        let stamp =
            if rated { flight.rate.on_sent(env.now, len, pipe) } else { RateStamp::default() };
        let now_us = micros(env.now);
        if again {
            flight.board.on_retransmitted(seq, end, now_us, stamp);
            flight.undo.on_retransmitted(seq, end, tsval);
            flight.forced = false;
            // RFC 6675 §6: "a more careful variant that re-arms the RTO timer on each
            // retransmission that is sent during recovery MAY be used". If a round trip takes half
            // the RTO, no retransmission would be acknowledged in time otherwise.
            if recovery.stage == Stage::Selective {
                flight.timer_since = env.now;
            }
        } else {
            flight.is_alone = una == nxt;
            if flight.is_alone {
                flight.timer_since = env.now;
                flight.delivery.begin(env.now, end);
            }
            let mss = u32::from(self.snd.mss);
            let mut part = seq + mss;
            while part.before(end) && len > mss {
                flight.board.on_sent(part, now_us, stamp);
                part += mss;
            }
            flight.board.on_sent(end, now_us, stamp);
            flight.forward.on_sent_new();
        }
        if flight.tail.due {
            flight.tail.on_sent(nxt.latest(end), end, again);
        }
        if recovery.stage == Stage::Selective || flight.reducing.is_some() {
            flight.prr.on_sent(len);
        }
        let in_flight = flight.board.pipe();
        if in_flight.saturating_add(u32::from(self.snd.mss)) > recovery.controller.cwnd() {
            flight.full_until = Some(nxt.latest(end));
        }
        if in_flight > flight.peak || una.at_or_after(flight.peak_until) {
            (flight.peak, flight.peak_until) = (in_flight, nxt.latest(end));
        }
        let app_limited = rated && flight.rate.is_app_limited();
        let sent = Sent { now: env.now, bytes: len, in_flight, app_limited };
        recovery.controller.on_sent(&sent);
        if !again && len > u32::from(self.snd.mss) {
            self.on_path_probe_sent(seq, end);
        }
    }

    /// Arms the timers after a segment of a flight was sent.
    pub(in crate::tcp) fn arm_after_sent(&mut self, env: &Env<'_>, again: bool) {
        let probed = self.recovery.flight.as_deref().is_some_and(|flight| !flight.tail.may_probe());
        if again || probed {
            let rearms = again && self.recovery.alarm() == Alarm::Timeout;
            if rearms || self.timers.retransmit_at == Instant::FAR {
                self.arm_alarm(env, Alarm::Timeout);
            }
        } else {
            self.arm_probe(env);
        }
    }

    /// Marks the connection as application-limited before a write, if data could have been sent
    /// before it.
    pub(in crate::tcp) fn note_app_limited(&mut self) {
        if !self.recovery.controller.measures_rate() || !self.marks.has(Marks::SACK) {
            return;
        }
        let idle = self.snd.unsent() == 0;
        let cwnd = self.recovery.controller.cwnd();
        if let Some(flight) = self.recovery.flight.as_deref_mut()
            && idle
            && flight.board.waiting() == 0
            && flight.board.pipe() < cwnd
        {
            flight.rate.on_app_limited(flight.board.pipe());
        }
    }
}

//! RACK: what was sent before something that has arrived is lost once it is late enough (RFC 8985 §6).
//!
//! Owns the time of the most recent arrival and the reordering window. Refuses to know the segments: the
//! scoreboard gives the one sent longest ago. Times in microseconds modulo 2^32.

use crate::tcp::SeqNum;
use crate::tcp::flight::{Delivered, Piece};
use crate::time::{Duration, Instant};

/// DupThresh (RFC 5681): so many segments selected tell of a loss where no reordering was seen.
const DUP_THRESH: u32 = 3;

/// RFC 8985 §6.2 step 4: recoveries without D-SACK after which the window is small again.
const PERSIST: u8 = 16;

/// How long a smallest round trip counts, in units of 2^16 ms: five and a half minutes, since paths change.
/// Shorter, and a queue of our own making is taken for the path; longer, and a path that became longer is
/// taken for one that changes the order.
const MIN_RTT_WINDOW: u8 = 5;

/// What is known of the flight.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct Rack {
    /// RACK.xmit_ts.
    sent_us: u32,
    /// RACK.end_seq; none until something has arrived.
    end: Option<SeqNum>,
    /// RACK.rtt.
    rtt_us: u32,
    /// RACK.fack.
    fack: Option<SeqNum>,
    /// RACK.dsack_round.
    dsack_round: Option<SeqNum>,
}

/// What is kept while nothing is in flight.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Reordering {
    /// RACK.min_RTT; 0 is none yet.
    min_rtt_us: u32,
    /// When it was measured, in units of 2^16 ms, modulo 2^8.
    min_rtt_at: u8,
    /// RACK.reo_wnd_mult.
    mult: u8,
    /// RACK.reo_wnd_persist.
    persist: u8,
    /// RACK.reordering_seen.
    pub(in crate::tcp) seen: bool,
    /// How far out of order, in segments, for information.
    pub(in crate::tcp) degree: u16,
    /// How often, for information.
    pub(in crate::tcp) times: u8,
}

impl Default for Reordering {
    fn default() -> Self {
        Self {
            min_rtt_us: 0,
            min_rtt_at: 0,
            mult: 1,
            persist: PERSIST,
            seen: false,
            degree: 0,
            times: 0,
        }
    }
}

impl Reordering {
    /// Step 1: a round trip was measured.
    pub(super) fn on_rtt(&mut self, rtt_us: u32, now: Instant) {
        let at = (now.as_millis() >> 16) as u8;
        let stale = at.wrapping_sub(self.min_rtt_at) > MIN_RTT_WINDOW;
        if self.min_rtt_us == 0 || rtt_us <= self.min_rtt_us || stale {
            (self.min_rtt_us, self.min_rtt_at) = (rtt_us.max(1), at);
        }
    }

    /// The shortest round trip, once there is one.
    pub(in crate::tcp) fn min_rtt(&self) -> Option<Duration> {
        (self.min_rtt_us > 0).then(|| Duration::from_micros(u64::from(self.min_rtt_us)))
    }

    /// An ACK told of segments that arrived `bytes` too late.
    pub(super) fn note(&mut self, bytes: u32, mss: u16) {
        let segments = bytes.div_ceil(u32::from(mss.max(1)));
        self.degree = self.degree.max(u16::try_from(segments).unwrap_or(u16::MAX));
        self.times = self.times.saturating_add(1);
    }

    /// Whether the next flight can use it.
    pub(in crate::tcp) const fn remembers(&self) -> bool {
        self.seen || self.mult > 1
    }

    /// Step 4, second half: fast or RTO recovery ends.
    pub(super) fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.mult = 1;
        }
    }

    /// RACK.reo_wnd:
    ///   > min(RACK.reo_wnd_mult * RACK.min_RTT / 4, SRTT)
    ///
    /// and none where no reordering was seen and a loss is certain enough.
    pub(super) fn window_us(&self, recovering: bool, selected: u32, srtt: Option<Duration>) -> u32 {
        if !self.seen && (recovering || selected >= DUP_THRESH) {
            return 0;
        }
        let most = srtt.map_or(u64::MAX, Duration::as_micros);
        let window = u64::from(self.mult) * u64::from(self.min_rtt_us) / 4;
        u32::try_from(window.min(most)).unwrap_or(u32::MAX / 4)
    }
}

/// When the next segment is to be taken for lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Overdue {
    /// The segment is lost.
    Now,
    /// It will be, after so many microseconds.
    In(u32),
    /// Nothing tells that it is.
    Never,
}

impl Rack {
    /// Steps 2 and 3 for one segment that arrived; how many bytes too late, if it did so. `echoed` tells whether the ACK echoes a copy that was
    /// sent before the last one.
    pub(super) fn on_delivered(
        &mut self,
        segment: &Delivered,
        now_us: u32,
        echoes_earlier: bool,
        kept: &mut Reordering,
    ) -> Option<u32> {
        if !segment.whole {
            return None;
        }
        let late = self.detect_reordering(segment, kept);
        let rtt_us = now_us.wrapping_sub(segment.sent_us);
        // "To avoid spurious inferences, ignore a segment as invalid if any of its sequence range has been
        // retransmitted before and if either of two conditions is true": the timestamp tells of an
        // earlier copy, or the ACK came sooner than any can.
        if segment.resent && (echoes_earlier || rtt_us < kept.min_rtt_us) {
            return late;
        }
        let newer = |end| sent_after(segment.sent_us, segment.end, self.sent_us, end);
        // "RACK.rtt is the RTT of the most recently delivered segment", sent last or not.
        self.rtt_us = rtt_us;
        if self.end.is_none_or(newer) {
            (self.sent_us, self.end) = (segment.sent_us, Some(segment.end));
        }
        late
    }

    /// Step 3: a segment that was sent once arrives after one of a higher number. How far, in bytes.
    fn detect_reordering(&mut self, segment: &Delivered, kept: &mut Reordering) -> Option<u32> {
        match self.fack {
            Some(fack) if segment.end.before(fack) => {
                kept.seen |= !segment.resent;
                (!segment.resent).then(|| fack.distance_from(segment.end - segment.len))
            }
            _ => {
                self.fack = Some(segment.end);
                None
            }
        }
    }

    /// Step 4, first half: the ACK, which leaves SND.UNA at `una`, tells of a duplicate. The window grows
    /// once a round trip.
    pub(super) fn on_dsack(&mut self, una: SeqNum, nxt: SeqNum, kept: &mut Reordering) {
        if self.dsack_round.is_none_or(|round| una.at_or_after(round)) {
            self.dsack_round = Some(nxt);
            kept.mult = kept.mult.saturating_add(1);
            kept.persist = PERSIST;
        }
    }

    /// Step 5 for the segment sent longest ago.
    pub(super) fn overdue(&self, segment: &Piece, window_us: u32, now_us: u32) -> Overdue {
        let before = |end| sent_after(self.sent_us, end, segment.sent_us, segment.end);
        if !self.end.is_some_and(before) {
            return Overdue::Never;
        }
        self.late(segment, window_us, now_us)
    }

    /// The same after a timeout (§6.3), for which nothing needs to have arrived since.
    pub(super) fn late(&self, segment: &Piece, window_us: u32, now_us: u32) -> Overdue {
        let limit = segment.sent_us.wrapping_add(self.rtt_us).wrapping_add(window_us);
        let remaining = limit.wrapping_sub(now_us) as i32;
        if remaining <= 0 { Overdue::Now } else { Overdue::In(remaining.unsigned_abs()) }
    }
}

/// RACK_sent_after: by time, and of those sent at once by number.
fn sent_after(us1: u32, end1: SeqNum, us2: u32, end2: SeqNum) -> bool {
    us1.wrapping_sub(us2) as i32 > 0 || us1 == us2 && end1.after(end2)
}

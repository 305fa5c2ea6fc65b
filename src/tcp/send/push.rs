//! PSH: unpushed writes, and bursts that end with PSH (RFC 9293 §3.9.1.2).
//!
//! After a write that announces more data, nothing is pushed, and small segments wait until the
//! peer answers or the override timeout expires. With bursts enabled, a retransmission carries PSH
//! if the original segment did.
//!
//! A burst is the data that a host with segmentation offload hands to its NIC at once. A receiver
//! with GRO holds back the last segment of a burst to wait for more; PSH says that no more follows.
//! RFC 9293 §3.9.1.2 requires PSH on the last segment of the queued data (MUST-61) and leaves the
//! rest to the sender. Off by default.

use crate::tcp::rate::micros;
use crate::tcp::state::{Marks, Pushing};
use crate::tcp::{Connection, Env, SeqNum, Settings};

/// Maximum bytes handed to a NIC at once.
const BURST_BYTES_MAX: u64 = 65_000;

/// Duration of a burst at the rate of the connection, as a power of two: 2^-10 s.
const SPAN_SHIFT: u32 = 10;

impl Connection {
    /// Announces that more data follows the next writes (no PSH), or ends that. RFC 9293 §3.9.1.2:
    ///   > A TCP implementation MAY provide PUSH flags on SEND calls (MAY-15).
    pub fn set_more_follows(&mut self, on: bool) {
        if on || self.choices.is_some() {
            self.choices_mut().more_follows = on;
        }
    }

    /// Updates the push state after a write.
    #[inline]
    pub(in crate::tcp) fn note_written(&mut self) {
        if let Some(choices) = &mut self.choices {
            choices.pushing = if choices.more_follows { Pushing::Held } else { Pushing::Now };
        }
    }

    /// Releases data that waits for more: the peer has answered, or the program disabled the delay.
    #[inline]
    pub(in crate::tcp) fn release_unpushed(&mut self) {
        if let Some(choices) = self.choices.as_mut().filter(|c| c.pushing == Pushing::Held) {
            choices.pushing = Pushing::Later;
        }
    }

    fn is_pushed(&self) -> bool {
        self.choices.as_ref().is_none_or(|choices| choices.pushing == Pushing::Now)
    }

    /// Returns true if the data in `seq..end`, about to be sent, ends a push. Without explicit PUSH
    /// flags, that is the last of the queued data (MUST-61), also when the override timeout forces
    /// it out.
    #[inline]
    pub(in crate::tcp) fn ends_push(&self, env: &Env<'_>, seq: SeqNum, end: SeqNum) -> bool {
        if end == self.snd.end {
            return self.is_pushed() || self.marks.has(Marks::OVERRIDE);
        }
        let bursts = env.settings.push_bursts.is_some();
        let flight = self.recovery.flight.as_deref().filter(|_| bursts);
        flight.is_some_and(|flight| flight.board.is_pushed(seq, end, micros(env.now)))
    }

    /// Records that the new segment ending at `end` was sent with PSH, for a push or for a burst.
    #[inline]
    pub(in crate::tcp) fn note_pushed(&mut self, env: &Env<'_>, end: SeqNum, is_push: bool) {
        if env.settings.push_bursts.is_some()
            && let Some(flight) = &mut self.recovery.flight
        {
            flight.board.on_pushed(end, is_push);
        }
    }
}

/// Bursts.
impl Connection {
    /// Counts a new segment; returns true if it is the last of a burst of several segments.
    #[inline]
    pub(in crate::tcp) fn ends_burst(&mut self, settings: &Settings) -> bool {
        let Some(least) = settings.push_bursts else { return false };
        let first = self.burst == 0;
        if first {
            self.burst = self.burst_segments(least);
        }
        self.burst -= 1;
        let last = self.burst == 0 || !self.has_pending_data();
        if last {
            self.burst = 0;
        }
        last && !first
    }

    /// Returns the segments per burst: a millisecond's worth at the current rate, limited to half
    /// of cwnd.
    fn burst_segments(&self, least: u8) -> u8 {
        let mss = u64::from(self.snd.mss.max(1));
        let cwnd = u64::from(self.recovery.controller.cwnd());
        let srtt_us = self.recovery.rtt.srtt().map_or(0, |srtt| srtt.as_micros());
        // In slow start cwnd doubles each round trip, so twice cwnd is sent in one.
        let rate = (2 * cwnd * 1_000_000).checked_div(srtt_us).unwrap_or(u64::MAX);
        let bytes = (rate >> SPAN_SHIFT).min(BURST_BYTES_MAX);
        let most = (cwnd / 2 / mss).clamp(1, 255);
        (bytes / mss).max(u64::from(least)).min(most) as u8
    }
}

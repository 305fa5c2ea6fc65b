//! PSH: data that a program does not push yet, and bursts that end with PSH (RFC 9293 §3.9.1.2).
//!
//! After a write that announces more, nothing is pushed, and small segments wait until the peer answers or the
//! override timeout expires. Where a host sends in bursts, a retransmission has PSH if the segment had it.
//!
//! A burst is what a host with segmentation offload hands to its NIC at once. A receiver that coalesces segments
//! (GRO) holds the last of a burst back to wait for more; PSH says that no more follows. RFC 9293 §3.9.1.2 asks
//! for PSH on the last segment of what is queued (MUST-61) and leaves the rest to the sender. Off by default.

use crate::tcp::rate::micros;
use crate::tcp::state::{Marks, Pushing};
use crate::tcp::{Connection, Env, SeqNum, Settings};

/// The bytes that go to a card at once, at most.
const BURST_BYTES_MAX: u64 = 65_000;

/// A burst is about this part of a second at the rate of the connection, as a power of two: 2^-10 s.
const SPAN_SHIFT: u32 = 10;

impl Connection {
    /// What is written from now on is not pushed, or is again. RFC 9293 §3.9.1.2:
    ///   > A TCP implementation MAY provide PUSH flags on SEND calls (MAY-15).
    pub fn set_more_follows(&mut self, on: bool) {
        if on || self.choices.is_some() {
            self.choices_mut().more_follows = on;
        }
    }

    /// Something was written.
    #[inline]
    pub(in crate::tcp) fn note_written(&mut self) {
        if let Some(choices) = &mut self.choices {
            choices.pushing = if choices.more_follows { Pushing::Held } else { Pushing::Now };
        }
    }

    /// What waits for more need not wait any longer: the peer has answered, or the program wants no delay.
    #[inline]
    pub(in crate::tcp) fn release_unpushed(&mut self) {
        if let Some(choices) = self.choices.as_mut().filter(|c| c.pushing == Pushing::Held) {
            choices.pushing = Pushing::Later;
        }
    }

    fn is_pushed(&self) -> bool {
        self.choices.as_ref().is_none_or(|choices| choices.pushing == Pushing::Now)
    }

    /// Whether the data from `seq` to `end`, about to be sent, is the last of what is pushed. A program that
    /// sets no PUSH flags has it on the last of what is queued (MUST-61); so has what the override timeout
    /// forces out.
    #[inline]
    pub(in crate::tcp) fn ends_push(&self, env: &Env<'_>, seq: SeqNum, end: SeqNum) -> bool {
        if end == self.snd.end {
            return self.is_pushed() || self.marks.has(Marks::OVERRIDE);
        }
        let bursts = env.settings.push_bursts.is_some();
        let flight = self.recovery.flight.as_deref().filter(|_| bursts);
        flight.is_some_and(|flight| flight.board.is_pushed(seq, end, micros(env.now)))
    }

    /// The new segment that ends at `end` was sent with PSH, as the last of what is pushed or of a burst.
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
    /// New data was just sent; whether it is the last of a burst of more than one segment.
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

    /// Segments of a burst: what the rate gives in a millisecond, within half of the congestion window.
    fn burst_segments(&self, least: u8) -> u8 {
        let mss = u64::from(self.snd.mss.max(1));
        let cwnd = u64::from(self.recovery.controller.cwnd());
        let srtt_us = self.recovery.rtt.srtt().map_or(0, |srtt| srtt.as_micros());
        // In slow start the window doubles each round trip, so that twice of it is sent in one.
        let rate = (2 * cwnd * 1_000_000).checked_div(srtt_us).unwrap_or(u64::MAX);
        let bytes = (rate >> SPAN_SHIFT).min(BURST_BYTES_MAX);
        let most = (cwnd / 2 / mss).clamp(1, 255);
        (bytes / mss).max(u64::from(least)).min(most) as u8
    }
}

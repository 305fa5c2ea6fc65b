//! Bursts that end with PSH: what a host with segmentation offload hands to its card at once.
//!
//! A receiver that gathers segments before it passes them on (GRO) holds the last of a burst back in the
//! hope of more; PSH tells it that there is none. RFC 9293 §3.9.1.2 asks for PSH on the last of what is
//! queued (MUST-61) and leaves the rest to the sender. Off unless the host wants it.

use super::Settings;
use super::connection::Connection;

/// The bytes that go to a card at once, at most.
const BURST_BYTES_MAX: u64 = 65_000;

/// A burst is about this part of a second at the rate of the connection, as a power of two: 2^-10 s.
const SPAN_SHIFT: u32 = 10;

impl Connection {
    /// New data was just sent; whether it is the last of a burst of more than one segment.
    #[inline]
    pub(super) fn ends_burst(&mut self, settings: &Settings) -> bool {
        let Some(least) = settings.push_bursts else { return false };
        let first = self.burst == 0;
        if first {
            self.burst = self.burst_segments(least);
        }
        self.burst -= 1;
        let last = self.burst == 0 || !self.owes_data();
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

//! What one ACK delivered: the facts for the detectors.

use crate::tcp::SeqNum;
use crate::tcp::scoreboard::Delivered;

/// What one ACK tells, all of it together.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct AckSummary {
    /// Newly acknowledged, cumulatively or selectively.
    pub(in crate::tcp) delivered: u32,
    /// The shortest round trip of the segments that were sent once.
    pub(in crate::tcp) rtt_us: Option<u32>,
    /// Something arrived that was sent once, and before the end of the episode.
    pub(in crate::tcp) original: bool,
    /// The highest number that it tells of.
    pub(in crate::tcp) highest: SeqNum,
    /// SND.UNA before it.
    pub(in crate::tcp) una: SeqNum,
    /// Nothing was selectively acknowledged before it.
    pub(in crate::tcp) blank: bool,
    /// Bytes that it acknowledges cumulatively.
    pub(in crate::tcp) bytes: u32,
}

impl AckSummary {
    pub(in crate::tcp) fn add(&mut self, segment: &Delivered, now_us: u32, recover: SeqNum) {
        self.delivered += segment.len;
        self.highest = self.highest.latest(segment.end);
        if segment.resent {
            return;
        }
        self.original |= segment.end.at_or_before(recover);
        let rtt_us = now_us.wrapping_sub(segment.sent_us);
        self.rtt_us = Some(self.rtt_us.map_or(rtt_us, |least| least.min(rtt_us)));
    }
}

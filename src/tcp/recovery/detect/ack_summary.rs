//! Summary of one ACK: the facts for the detectors.

use crate::tcp::SeqNum;
use crate::tcp::scoreboard::Delivered;

/// Facts that one ACK reports, over all its SACK blocks.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct AckSummary {
    /// Bytes newly acknowledged, cumulatively or selectively.
    pub(in crate::tcp) delivered: u32,
    /// Shortest RTT in microseconds of the delivered segments that were sent once.
    pub(in crate::tcp) rtt_us: Option<u32>,
    /// True if it delivers a segment that was sent once, before RecoveryPoint.
    pub(in crate::tcp) original: bool,
    /// Highest sequence number that the ACK covers, cumulatively or selectively.
    pub(in crate::tcp) highest: SeqNum,
    /// SND.UNA before the ACK.
    pub(in crate::tcp) una: SeqNum,
    /// True if no byte was SACKed before the ACK.
    pub(in crate::tcp) blank: bool,
    /// Bytes acknowledged cumulatively.
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

//! Classic feedback (RFC 3168 §6.1): the receiver sets ECE until the sender says CWR.

use super::codepoint::Codepoint;
use super::echo::Echo;
use crate::tcp::{Flags, Segment};

/// Both directions of a connection's feedback.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct Classic {
    /// A mark came and the peer has not said that it responded.
    echoes: bool,
    /// We reduced the window, and the peer is to hear of it with the next new data.
    cwr_pending: bool,
    /// ssthresh when it was last looked at: whatever lowers it was a reduction.
    ssthresh: u32,
    /// Our packets may bear ECT.
    is_capable: bool,
}

impl Classic {
    pub(in crate::tcp) const fn new(is_capable: bool) -> Self {
        Self { echoes: false, cwr_pending: false, ssthresh: u32::MAX, is_capable }
    }

    /// Whether our packets may bear ECT.
    pub(in crate::tcp) const fn is_capable(&self) -> bool {
        self.is_capable
    }

    /// An acceptable segment came.
    ///
    /// RFC 3168 §6.1.3:
    ///   > the TCP receiver [...] continues to set the ECN-Echo flag in subsequent ACK packets [...] until it
    ///   > receives a CWR packet
    ///
    /// A packet that says CWR and is marked itself begins anew.
    pub(in crate::tcp) fn on_packet(&mut self, segment: &Segment<'_>) {
        if segment.flags.contains(Flags::CWR) {
            self.echoes = false;
        }
        if segment.ecn == Codepoint::Ce && !segment.payload.is_empty() {
            self.echoes = true;
        }
    }

    /// An acceptable ACK came that acknowledges `acked` new bytes.
    pub(in crate::tcp) fn on_ack(&self, segment: &Segment<'_>, acked: u32) -> Echo {
        let congestion = segment.flags.contains(Flags::ECE);
        Echo { congestion, bytes: if congestion { acked } else { 0 } }
    }

    /// We respond to a mark.
    pub(in crate::tcp) const fn on_response(&mut self) {
        self.cwr_pending = true;
    }

    /// The flags of a segment; `fresh` when it carries data that was never sent.
    ///
    /// RFC 3168 §6.1.2:
    ///   > When an ECN-Capable TCP sender reduces its congestion window for any reason (because of a
    ///   > retransmit timeout, a Fast Retransmit, or in response to an ECN Notification), the TCP sender
    ///   > sets the CWR flag in the TCP header of the first new data packet
    pub(in crate::tcp) fn flags(&mut self, fresh: bool, ssthresh: u32) -> Flags {
        self.cwr_pending |= ssthresh < self.ssthresh;
        self.ssthresh = ssthresh;
        let echo = if self.echoes { Flags::ECE } else { Flags::default() };
        if fresh && core::mem::take(&mut self.cwr_pending) { echo.with(Flags::CWR) } else { echo }
    }
}

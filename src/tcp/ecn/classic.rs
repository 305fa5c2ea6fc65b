//! Classic feedback (RFC 3168 §6.1): the receiver sets ECE until the sender says CWR.

use super::codepoint::Codepoint;
use super::echo::Echo;
use crate::tcp::{Flags, Segment};

/// Feedback of a connection in both directions.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct Classic {
    /// A CE mark arrived and the peer has not signalled CWR yet.
    echoes: bool,
    /// We reduced the window; the next new data signals CWR.
    cwr_pending: bool,
    /// ssthresh at the last check: a lower value since then means a reduction.
    ssthresh: u32,
    /// Our packets may carry ECT.
    is_capable: bool,
}

impl Classic {
    pub(in crate::tcp) const fn new(is_capable: bool) -> Self {
        Self { echoes: false, cwr_pending: false, ssthresh: u32::MAX, is_capable }
    }

    /// Returns true if our packets may carry ECT.
    pub(in crate::tcp) const fn is_capable(&self) -> bool {
        self.is_capable
    }

    /// Processes an acceptable segment.
    ///
    /// RFC 3168 §6.1.3:
    ///   > the TCP receiver [...] continues to set the ECN-Echo flag in subsequent ACK packets
    ///   > [...] until it receives a CWR packet
    ///
    /// A packet with both CWR and CE starts a new echo.
    pub(in crate::tcp) fn on_packet(&mut self, segment: &Segment<'_>) {
        if segment.flags.contains(Flags::CWR) {
            self.echoes = false;
        }
        if segment.ecn == Codepoint::Ce && !segment.payload.is_empty() {
            self.echoes = true;
        }
    }

    /// Processes an acceptable ACK of `acked` new bytes.
    pub(in crate::tcp) fn on_ack(&self, segment: &Segment<'_>, acked: u32) -> Echo {
        let congestion = segment.flags.contains(Flags::ECE);
        Echo { congestion, bytes: if congestion { acked } else { 0 } }
    }

    /// Records our response to a mark: CWR is pending.
    pub(in crate::tcp) const fn on_response(&mut self) {
        self.cwr_pending = true;
    }

    /// Returns the ECN flags of a segment; `fresh` if it carries new data.
    ///
    /// RFC 3168 §6.1.2:
    ///   > When an ECN-Capable TCP sender reduces its congestion window for any reason (because of
    ///   > a retransmit timeout, a Fast Retransmit, or in response to an ECN Notification), the TCP
    ///   > sender sets the CWR flag in the TCP header of the first new data packet
    pub(in crate::tcp) fn flags(&mut self, fresh: bool, ssthresh: u32) -> Flags {
        self.cwr_pending |= ssthresh < self.ssthresh;
        self.ssthresh = ssthresh;
        let echo = if self.echoes { Flags::ECE } else { Flags::default() };
        if fresh && core::mem::take(&mut self.cwr_pending) { echo.with(Flags::CWR) } else { echo }
    }
}

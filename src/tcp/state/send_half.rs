//! The send half: the send sequence variables and the operations that need nothing else (RFC 9293
//! §3.3.1, RFC 7323 §2.4).

use crate::tcp::mss::MSS_DEFAULT;
use crate::tcp::{SeqNum, WindowShift};

/// The send sequence variables, under the RFC's names.
#[derive(Debug)]
#[repr(C)]
pub(in crate::tcp) struct SendHalf {
    /// SND.UNA: the oldest unacknowledged.
    pub(in crate::tcp) una: SeqNum,
    /// SND.NXT: the next that was never sent.
    pub(in crate::tcp) nxt: SeqNum,
    /// After the last byte written: the sequence number of our FIN.
    pub(in crate::tcp) end: SeqNum,
    /// SND.WND in bytes.
    pub(in crate::tcp) wnd: u32,
    /// SND.WL1.
    pub(in crate::tcp) wl1: SeqNum,
    /// SND.WL2.
    pub(in crate::tcp) wl2: SeqNum,
    /// Start of the data considered lost and to be retransmitted …
    pub(in crate::tcp) resend: SeqNum,
    /// … and its end. Equal if nothing is to be retransmitted.
    pub(in crate::tcp) resend_end: SeqNum,
    /// Max(SND.WND), for RFC 9293 §3.8.6.2.1 and RFC 5961 §5.2.
    pub(in crate::tcp) wnd_max: u32,
    /// ISS.
    pub(in crate::tcp) iss: SeqNum,
    /// Eff.snd.MSS: bytes of data that one segment carries, options already subtracted.
    pub(in crate::tcp) mss: u16,
    /// The peer's window shift.
    pub(in crate::tcp) shift: WindowShift,
    /// Number of times that SND.UNA wrapped around to ISS.
    wraps: u8,
}

impl SendHalf {
    /// Creates the send half before our SYN is sent.
    pub(in crate::tcp) fn new(iss: SeqNum) -> Self {
        Self {
            una: iss,
            nxt: iss,
            end: iss + 1,
            wnd: 0,
            wl1: SeqNum(0),
            wl2: SeqNum(0),
            resend: iss,
            resend_end: iss,
            wnd_max: 0,
            iss,
            mss: MSS_DEFAULT[0],
            shift: WindowShift::ZERO,
            wraps: 0,
        }
    }

    /// Returns the sequence numbers sent and not acknowledged, lost ones included.
    #[inline]
    pub(in crate::tcp) fn outstanding(&self) -> u32 {
        self.nxt.distance_from(self.una)
    }

    /// Returns FlightSize (RFC 5681 §2), without the data considered lost and not yet
    /// retransmitted.
    #[inline]
    pub(in crate::tcp) fn in_flight(&self) -> u32 {
        self.outstanding() - self.resend_end.distance_from(self.resend)
    }

    /// Returns the bytes written and never sent.
    #[inline]
    pub(in crate::tcp) fn unsent(&self) -> u32 {
        if self.nxt.before(self.end) { self.end.distance_from(self.nxt) } else { 0 }
    }

    /// Returns true if our FIN was sent.
    #[inline]
    pub(in crate::tcp) fn fin_is_sent(&self) -> bool {
        self.nxt.after(self.end)
    }

    /// Returns true if our FIN was acknowledged.
    #[inline]
    pub(in crate::tcp) fn fin_is_acked(&self) -> bool {
        self.una.after(self.end)
    }

    /// Returns true if a retransmission from `seq` to `end`, the last data sent, may be coalesced
    /// with data written since (RFC 9293 §3.7.4 leaves repacketizing to the sender). A one-byte
    /// probe then grows to a segment. Data that already fills half a segment is sent unchanged:
    /// coalescing would not save a segment.
    #[inline]
    pub(in crate::tcp) fn may_coalesce(&self, seq: SeqNum, end: SeqNum) -> bool {
        end.distance_from(seq) < u32::from(self.mss) / 2
    }

    /// Returns how much the peer's window permits from `seq` on. A window that shrank (RFC 9293
    /// §3.8.6) permits nothing past it.
    #[inline]
    pub(in crate::tcp) fn window_from(&self, seq: SeqNum) -> u32 {
        let edge = self.una + self.wnd;
        if edge.after(seq) { edge.distance_from(seq) } else { 0 }
    }

    /// Returns the sequence number of a segment without data: SND.NXT, unless a window that shrank
    /// left it outside, where the peer would drop the segment with its ACK.
    #[inline]
    pub(in crate::tcp) fn bare_seq(&self) -> SeqNum {
        let fin = u32::from(self.fin_is_sent());
        self.nxt.earliest(self.una + self.wnd + fin).latest(self.una)
    }

    /// Sets SND.UNA <- SEG.ACK.
    pub(in crate::tcp) fn advance_una(&mut self, ack: SeqNum) {
        let round = ack.distance_from(self.iss) < self.una.distance_from(self.iss);
        self.wraps = self.wraps.wrapping_add(u8::from(round));
        self.una = ack;
        self.resend = self.resend.latest(ack);
        self.resend_end = self.resend_end.latest(ack);
    }

    /// Returns the bytes acknowledged so far, SYN and FIN not counted, modulo 2^40.
    pub(in crate::tcp) fn bytes_acked(&self) -> u64 {
        let controls = u64::from(self.una != self.iss) + u64::from(self.fin_is_acked());
        let numbers = u64::from(self.wraps) << 32 | u64::from(self.una.distance_from(self.iss));
        numbers.saturating_sub(controls)
    }

    /// Schedules the retransmission of everything outstanding.
    pub(in crate::tcp) fn resend_all(&mut self) {
        self.resend = self.una;
        self.resend_end = self.nxt;
    }

    /// Gives up the outstanding data: SND.NXT <- SND.UNA.
    pub(in crate::tcp) fn fall_back_to_una(&mut self) {
        (self.nxt, self.resend, self.resend_end) = (self.una, self.una, self.una);
    }

    /// Schedules the retransmission of the SYN without its data.
    pub(in crate::tcp) fn resend_syn(&mut self) {
        self.resend = self.una;
        self.resend_end = self.iss + 1;
    }

    /// Sets SND.WND <- SEG.WND, from a segment that may update it.
    pub(in crate::tcp) fn set_window(&mut self, wnd: u32, seq: SeqNum, ack: SeqNum) {
        self.wnd = wnd;
        self.wnd_max = self.wnd_max.max(wnd);
        self.wl1 = seq;
        self.wl2 = ack;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_shrank_permits_nothing_past_its_edge() {
        let mut snd = SendHalf::new(SeqNum(0));
        (snd.una, snd.nxt, snd.end) = (SeqNum(1), SeqNum(1001), SeqNum(2001));
        snd.set_window(500, SeqNum(0), SeqNum(1));
        assert_eq!(snd.window_from(snd.nxt), 0);
        assert_eq!(snd.window_from(snd.una), 500);
        assert_eq!(snd.bare_seq(), SeqNum(501));
    }
}

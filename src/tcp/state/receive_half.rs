//! The receive half: the receive sequence variables, and the state of the delayed ACK (RFC 9293
//! §3.3.1).
//!
//! Invariant: the offered right edge never moves left (RFC 9293 §3.8.6).

use crate::tcp::Phase;
use crate::tcp::buffer::Promise;
use crate::tcp::{SeqNum, WindowShift};

/// Number of segments acknowledged immediately on a young connection. A peer in slow start is
/// clocked by ACKs, and a delayed one costs it a whole `ack_delay`. With more, a request-response
/// exchange sends ACKs that could have been piggybacked on its responses.
const QUICK_ACKS: u8 = 16;

/// Every segment is acknowledged immediately, on the program's request.
pub(in crate::tcp) const QUICK_ACKS_ALWAYS: u8 = u8::MAX;

/// The receive sequence variables, under the RFC's names.
#[derive(Debug)]
#[repr(C)]
pub(in crate::tcp) struct ReceiveHalf {
    /// RCV.NXT.
    pub(in crate::tcp) nxt: SeqNum,
    /// RCV.NXT + RCV.WND as announced to the peer: the right edge, which arriving data does not
    /// move.
    pub(in crate::tcp) edge: SeqNum,
    /// Last.ACK.sent (RFC 7323 §4.3).
    pub(in crate::tcp) acked: SeqNum,
    /// TS.Recent (RFC 7323 §4.3).
    pub(in crate::tcp) ts_recent: u32,
    /// IRS.
    pub(in crate::tcp) irs: SeqNum,
    /// Sequence number of the peer's FIN, with `Marks::FIN_AHEAD`: it arrived before all of the
    /// data.
    pub(in crate::tcp) fin: SeqNum,
    /// Start of the duplicate data not yet reported (RFC 2883) …
    pub(in crate::tcp) duplicate: SeqNum,
    /// … and its length in bytes.
    pub(in crate::tcp) duplicate_len: u16,
    /// Our window shift.
    pub(in crate::tcp) shift: WindowShift,
    /// Segments with data since our last ACK.
    pub(in crate::tcp) segments: u8,
    /// Segments still to be acknowledged immediately.
    pub(in crate::tcp) quick: u8,
    /// Pending duplicate ACKs. Each reports one segment that left the network (RFC 5681 §3.2), so a
    /// burst past a hole is not answered by one ACK.
    pub(in crate::tcp) duplicates: u8,
    /// RCV.BUFF.
    pub(in crate::tcp) promise: Promise,
    /// Number of times that RCV.NXT wrapped around to IRS.
    wraps: u8,
}

impl ReceiveHalf {
    /// Creates the receive half after the peer's SYN at `irs`, answered with the window `wnd`.
    pub(in crate::tcp) fn new(irs: SeqNum, wnd: u32, promise: Promise) -> Self {
        Self {
            nxt: irs + 1,
            edge: irs + 1 + wnd,
            acked: irs,
            ts_recent: 0,
            irs,
            fin: irs,
            duplicate: irs,
            duplicate_len: 0,
            shift: WindowShift::ZERO,
            segments: 0,
            quick: QUICK_ACKS,
            duplicates: 0,
            promise,
            wraps: 0,
        }
    }

    /// Returns RCV.WND.
    #[inline]
    pub(in crate::tcp) fn wnd(&self) -> u32 {
        if self.edge.after(self.nxt) { self.edge.distance_from(self.nxt) } else { 0 }
    }

    /// Returns the bytes received in order so far, SYN and FIN not counted, modulo 2^40.
    pub(in crate::tcp) fn bytes_received(&self, phase: Phase) -> u64 {
        let controls = 1 + u64::from(phase.peer_has_closed());
        let numbers = u64::from(self.wraps) << 32 | u64::from(self.nxt.distance_from(self.irs));
        numbers.saturating_sub(controls)
    }

    /// Advances RCV.NXT by `n`.
    pub(in crate::tcp) fn advance(&mut self, n: u32) {
        let before = self.nxt.distance_from(self.irs);
        self.wraps = self.wraps.wrapping_add(u8::from(before.overflowing_add(n).1));
        self.nxt += n;
        self.edge = self.edge.latest(self.nxt);
        self.duplicates = 0;
    }
}

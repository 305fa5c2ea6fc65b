//! The receive half: the receive sequence variables, and the state of the delayed ACK (RFC 9293 §3.3.1).
//!
//! Invariant: an offered edge never moves back (RFC 9293 §3.8.6).

use crate::tcp::Phase;
use crate::tcp::buffer::Promise;
use crate::tcp::{SeqNum, WindowShift};

/// Segments that are acknowledged at once when a connection is young: a peer in slow start sends only
/// as fast as ACKs come, and a delayed one costs it a whole `ack_delay`. More, and a chatty exchange
/// loses the company of its answers for nothing.
const QUICK_ACKS: u8 = 16;

/// The program wants every segment acknowledged at once.
pub(in crate::tcp) const QUICK_ACKS_ALWAYS: u8 = u8::MAX;

/// The receive sequence variables, under the RFC's names.
#[derive(Debug)]
#[repr(C)]
pub(in crate::tcp) struct ReceiveHalf {
    /// RCV.NXT.
    pub(in crate::tcp) nxt: SeqNum,
    /// RCV.NXT + RCV.WND as the peer was told: kept as an edge, since what arrives does not move it.
    pub(in crate::tcp) edge: SeqNum,
    /// Last.ACK.sent (RFC 7323 §4.3).
    pub(in crate::tcp) acked: SeqNum,
    /// TS.Recent (RFC 7323 §4.3).
    pub(in crate::tcp) ts_recent: u32,
    /// IRS.
    pub(in crate::tcp) irs: SeqNum,
    /// Where the peer's FIN stands, with `Marks::FIN_AHEAD`: it came before all of the data.
    pub(in crate::tcp) fin: SeqNum,
    /// What arrived twice and is not yet told (RFC 2883): from here …
    pub(in crate::tcp) duplicate: SeqNum,
    /// … so many bytes.
    pub(in crate::tcp) duplicate_len: u16,
    /// Our window shift.
    pub(in crate::tcp) shift: WindowShift,
    /// Segments with data since our last ACK.
    pub(in crate::tcp) segments: u8,
    /// Segments still to be acknowledged at once.
    pub(in crate::tcp) quick: u8,
    /// Duplicate ACKs owed. Each tells the peer of one segment that left the network (RFC 5681 §3.2),
    /// so a burst past a hole is not answered by one.
    pub(in crate::tcp) duplicates: u8,
    /// RCV.BUFF.
    pub(in crate::tcp) promise: Promise,
    /// How often RCV.NXT went all the way round to IRS.
    turns: u8,
}

impl ReceiveHalf {
    /// After the peer's SYN at `irs`, answered with the window `wnd`.
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
            turns: 0,
        }
    }

    /// RCV.WND.
    #[inline]
    pub(in crate::tcp) fn wnd(&self) -> u32 {
        if self.edge.after(self.nxt) { self.edge.distance_from(self.nxt) } else { 0 }
    }

    /// Bytes received in order so far, SYN and FIN not counted, modulo 2^40.
    pub(in crate::tcp) fn bytes_received(&self, phase: Phase) -> u64 {
        let controls = 1 + u64::from(phase.peer_has_closed());
        let numbers = u64::from(self.turns) << 32 | u64::from(self.nxt.distance_from(self.irs));
        numbers.saturating_sub(controls)
    }

    /// RCV.NXT <- RCV.NXT + `n`.
    pub(in crate::tcp) fn advance(&mut self, n: u32) {
        let before = self.nxt.distance_from(self.irs);
        self.turns = self.turns.wrapping_add(u8::from(before.overflowing_add(n).1));
        self.nxt += n;
        self.edge = self.edge.latest(self.nxt);
        self.duplicates = 0;
    }
}

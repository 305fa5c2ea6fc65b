//! The receiver's ACKs: their timing (RFC 9293 §3.8.6.3, RFC 2525 §2.13), the SACK option (RFC
//! 2018), and D-SACK reports (RFC 2883).
//!
//! Owns the order and number of the SACK blocks. The ranges are in `Connection::holes`, most recent
//! first; the duplicate to report is in the receive half. SACKed data is never discarded: it is in
//! the receive buffer, within the offered window.

use crate::tcp::state::{Marks, QUICK_ACKS_ALWAYS};
use crate::tcp::{Connection, Env, SackBlocks, SeqNum};

/// SACK blocks that fit beside timestamps: 40 bytes of options, 12 of them for timestamps, 4 for
/// the kind, length and padding, 8 per block (RFC 2018 §3).
const BLOCKS_BESIDE_TIMESTAMPS: usize = 3;

/// SACK blocks that fit without timestamps.
const BLOCKS_MAX: usize = 4;

/// Bytes of a block.
const BLOCK_LEN: u32 = 8;

/// Bytes of kind, length and padding.
const OPTION_LEN: u32 = 4;

/// Timing of ACKs.
impl Connection {
    /// Schedules an immediate or delayed ACK for in-order text.
    #[inline]
    pub(in crate::tcp) fn on_in_order_text(&mut self, env: &Env<'_>) {
        self.notify_readable(env);
        self.rcv.segments = self.rcv.segments.saturating_add(1);
        // RFC 9293 §3.8.6.3 (SHLD-19, MUST-40), RFC 5681 §4.2:
        //   > an ACK SHOULD be generated for at least every second full-sized segment, and MUST be
        //   > generated within 500 ms of the arrival of the first unacknowledged packet.
        if self.rcv.segments >= 2 || self.rcv.quick > 0 {
            if self.rcv.quick != QUICK_ACKS_ALWAYS {
                self.rcv.quick = self.rcv.quick.saturating_sub(1);
            }
            self.marks.insert(Marks::ACK);
        } else {
            self.timers.ack_at = self.timers.ack_at.min(env.now + env.settings.ack_delay);
        }
    }

    /// Clears the pending ACK after a segment with ACK was sent. Duplicate ACKs stay pending, since
    /// only an ACK without data counts as one.
    #[inline]
    pub(in crate::tcp) fn on_ack_sent(&mut self) {
        self.rcv.acked = self.rcv.nxt;
        self.rcv.segments = 0;
        self.timers.ack_at = crate::time::Instant::FAR;
        self.marks.remove(Marks::ACK);
    }
}

/// SACK and D-SACK blocks.
impl Connection {
    /// Records `from..to` as a duplicate for the D-SACK of the next ACK (RFC 2883 §4). Of several
    /// duplicates, adjacent ones are merged; otherwise the last one counts, since "each duplicate
    /// contiguous sequence of data received is reported in at most one D-SACK block", and a report
    /// may get lost anyway.
    pub(in crate::tcp) fn record_duplicate(&mut self, from: SeqNum, to: SeqNum) {
        if !self.marks.has(Marks::SACK) || !to.after(from) {
            return;
        }
        let rcv = &mut self.rcv;
        let (mut start, mut end) = (from, to);
        let known_end = rcv.duplicate + u32::from(rcv.duplicate_len);
        let touches = from.at_or_before(known_end) && to.at_or_after(rcv.duplicate);
        if rcv.duplicate_len > 0 && touches {
            (start, end) = (from.earliest(rcv.duplicate), to.latest(known_end));
        }
        rcv.duplicate = start;
        rcv.duplicate_len = u16::try_from(end.distance_from(start)).unwrap_or(u16::MAX);
    }

    /// Builds the SACK option of a segment that carries `len` bytes of data, within the room that
    /// the data leaves of the MSS. Data is not shortened for it, since a bare ACK reports the same.
    #[inline]
    pub(in crate::tcp) fn sack_option(&mut self, len: u32) -> SackBlocks {
        if self.holes.is_empty() && self.rcv.duplicate_len == 0 || !self.marks.has(Marks::SACK) {
            return SackBlocks::EMPTY;
        }
        let timestamps = self.marks.has(Marks::TIMESTAMPS);
        let most = if timestamps { BLOCKS_BESIDE_TIMESTAMPS } else { BLOCKS_MAX };
        let room = match len {
            0 => most,
            _ => {
                u32::from(self.snd.mss).saturating_sub(len + OPTION_LEN) as usize
                    / BLOCK_LEN as usize
            }
        };
        self.blocks(room.min(most))
    }

    /// Returns at most `most` blocks.
    fn blocks(&mut self, most: usize) -> SackBlocks {
        let mut blocks = SackBlocks::EMPTY;
        let mut room = most;
        if self.rcv.duplicate_len > 0 && room > 0 {
            // RFC 2883 §4: (1) "A D-SACK block is only used to report a duplicate contiguous
            // sequence of data received by the receiver in the most recent packet." (2) it comes
            // first. (3) The block above RCV.NXT that holds it comes second: it is the most recent
            // one.
            let end = self.rcv.duplicate + u32::from(self.rcv.duplicate_len);
            blocks.push(self.rcv.duplicate, end);
            self.rcv.duplicate_len = 0;
            room -= 1;
        }
        // RFC 2018 §4:
        //   > The first SACK block [...] MUST specify the contiguous block of data containing the
        //   > segment which triggered this ACK [...] The SACK option SHOULD be filled out by
        //   > repeating the most recently reported SACK blocks
        let nxt = self.rcv.nxt;
        for (start, end) in self.holes.ranges().take(room) {
            blocks.push(nxt + start, nxt + end);
        }
        blocks
    }
}

//! Detection of spurious reductions: by D-SACK (RFC 2883, RFC 3708) and by timestamps (Eifel, RFC
//! 3522). The response restores the window (RFC 4015).
//!
//! Owns the state of the last episode of loss. It outlives the flight, since D-SACKs arrive late.

use super::repeats::{Repeats, Sent};
use crate::tcp::{Rtt, Segment, SeqNum};

/// State of the last episode of loss.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct Undo {
    /// SND.UNA at its start.
    from: SeqNum,
    /// Start of the first retransmitted segment.
    again_at: SeqNum,
    /// RetransmitTS of RFC 3522: TSval of the first retransmission; 0 before it.
    first_again: u32,
    /// pipe_prev of RFC 4015: max(FlightSize, ssthresh) before the reduction.
    pub(in crate::tcp) pipe_before: u32,
    /// SRTT_prev and RTTVAR_prev.
    rtt_before: Rtt,
    /// SND.NXT at a spurious timeout, until newer data gives an RTT sample.
    delayed: Option<SeqNum>,
    /// True if a timeout started the episode.
    pub(in crate::tcp) by_timeout: bool,
    /// Retransmitted segments without a D-SACK yet.
    unexplained: u16,
    /// True if the reduction may still be undone.
    open: bool,
    /// True if a segment was retransmitted in the episode.
    repaired: bool,
    /// True if D-SACKs may undo the reduction (RFC 3708 §3 (A.1), (A.3)).
    by_reports: bool,
    /// True after the first ACK that covers the retransmission.
    answered: bool,
    /// True if the peer has ever sent a D-SACK.
    reports: bool,
    /// True if the network duplicates segments (RFC 3708 §3 (A.4)).
    network_repeats: bool,
    /// Recent retransmissions.
    repeats: Repeats,
}

/// Sequence range, start and end, that the peer received twice.
pub(in crate::tcp) type Duplicate = (SeqNum, SeqNum);

impl Undo {
    /// Starts an episode before the window is reduced, with SND.UNA at `una`.
    pub(in crate::tcp) const fn begin(&mut self, una: SeqNum) {
        self.from = una;
        self.first_again = 0;
        self.by_timeout = false;
        self.delayed = None;
        self.unexplained = 0;
        self.open = true;
        self.by_reports = true;
        self.answered = false;
        self.repaired = false;
    }

    /// Starts an episode by a timeout. RFC 4015 §3.1 (0): "pipe_prev <- max (FlightSize,
    /// ssthresh)", and the RTT estimate before it.
    pub(in crate::tcp) const fn begin_by_timeout(
        &mut self,
        una: SeqNum,
        pipe_before: u32,
        rtt: Rtt,
    ) {
        self.begin(una);
        self.by_timeout = true;
        self.pipe_before = pipe_before;
        self.rtt_before = rtt;
    }

    /// Starts an episode for a loss that a probe ending at `end` seems to have repaired. A late
    /// D-SACK may still show that both copies arrived.
    pub(in crate::tcp) fn begin_by_probe(&mut self, end: SeqNum) {
        self.begin(end - 1);
        self.unexplained = 1;
        self.repaired = true;
        self.answered = true;
    }

    /// Records that the timeout was spurious, with SND.NXT at `nxt`.
    pub(in crate::tcp) const fn retime_after(&mut self, nxt: SeqNum) {
        self.delayed = Some(nxt);
    }

    /// Returns the RTT estimate from before the timeout (RFC 4015 §3.1 (11)) if `ack` covers "data
    /// that was previously unsent when the spurious timeout occurred".
    pub(in crate::tcp) fn take_delayed(&mut self, ack: SeqNum) -> Option<Rtt> {
        self.delayed.take_if(|nxt| ack.after(*nxt)).map(|_| self.rtt_before)
    }

    /// Returns true if a late D-SACK may refer to the episode, or the peer is known to send
    /// D-SACKs.
    pub(in crate::tcp) const fn remembers(&self) -> bool {
        self.open || self.reports
    }

    /// Closes the episode: the reduction is final or was undone.
    pub(in crate::tcp) const fn close(&mut self) {
        self.open = false;
    }

    /// Records the retransmission of `seq..end` with timestamp `tsval`.
    pub(in crate::tcp) fn on_sent_again(&mut self, seq: SeqNum, end: SeqNum, tsval: Option<u32>) {
        self.repeats.push(seq, end);
        if !self.open {
            return;
        }
        self.repaired = true;
        self.unexplained = self.unexplained.saturating_add(1);
        // RFC 3522 §3.2 step (2): "the value of the Timestamp Value field [...] included in the
        // retransmit sent when loss recovery is initiated".
        if self.first_again == 0
            && let Some(tsval) = tsval
        {
            self.again_at = seq;
            self.first_again = if tsval == 0 { u32::MAX } else { tsval };
        }
    }

    /// Detects a spurious retransmission by timestamp (RFC 3522 §3.2 steps (3) to (5)): the first
    /// ACK of the retransmitted segment echoes a timestamp from before the retransmission.
    /// `duplicate` means that the ACK carries a D-SACK. `all` means that it leaves nothing
    /// outstanding: then all ACKs of the flight may have been lost, unless the peer sends D-SACKs.
    pub(in crate::tcp) fn is_refuted_by_echo(
        &mut self,
        segment: &Segment<'_>,
        duplicate: bool,
        all: bool,
    ) -> bool {
        let pending = self.open && !self.answered && self.first_again != 0;
        if !pending || !segment.ack.after(self.again_at) {
            return false;
        }
        self.answered = true;
        let Some(stamps) = segment.options.timestamps else { return false };
        let earlier = (stamps.echo.wrapping_sub(self.first_again) as i32) < 0;
        // §3.3 covers "Timeout due to loss of all ACKs". A fast retransmission has received some.
        earlier && !duplicate && (self.reports || !all || !self.by_timeout)
    }

    /// Returns true if nothing was retransmitted in the episode. Data that arrives then was late,
    /// not lost.
    pub(in crate::tcp) const fn is_untouched(&self) -> bool {
        self.open && !self.repaired
    }

    /// Processes a D-SACK of `duplicate` (RFC 3708 §3) with segments of `mss` bytes. `una` is
    /// SND.UNA before the ACK; `blank` means that no byte was SACKed before. Returns true once
    /// every retransmission of the episode is known to be spurious.
    pub(in crate::tcp) fn on_duplicate(
        &mut self,
        (left, right): Duplicate,
        mss: u32,
        una: SeqNum,
        blank: bool,
    ) -> bool {
        self.reports = true;
        match self.repeats.look_up(left, right) {
            // (A.4) "the algorithm specified in this document MUST NOT be used for the remainder of
            // the connection"
            Sent::Once => self.network_repeats = true,
            // (A.3) "the congestion control state MUST NOT be reverted to its previous state during
            // the current window of data"
            Sent::Often => self.by_reports = false,
            Sent::Again | Sent::Unknown => {}
        }
        // (A.1) "an entire window of acknowledgments have been dropped by the network"
        if blank && left == una {
            self.by_reports = false;
        }
        let usable = self.open && self.by_reports && !self.network_repeats;
        if !usable || self.unexplained == 0 || !right.after(self.from) {
            return false;
        }
        // (B.1)
        let segments = right.distance_from(left).div_ceil(mss.max(1));
        let segments = u16::try_from(segments).unwrap_or(u16::MAX);
        self.unexplained = self.unexplained.saturating_sub(segments);
        self.unexplained == 0
    }
}

//! What was taken for lost and was not: detected by duplicates that the peer reports (RFC 2883, RFC 3708)
//! and by timestamps (Eifel, RFC 3522); answered by giving the window back (RFC 4015).
//!
//! Owns what is remembered of the last episode of loss, which outlives the flight: reports come late.

use super::repeats::{Repeats, Sent};
use crate::tcp::{Rtt, Segment, SeqNum};

/// The last episode of loss.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct Undo {
    /// SND.UNA when it began.
    from: SeqNum,
    /// Where the segment began that was sent again first.
    again_at: SeqNum,
    /// RetransmitTS of RFC 3522: our TSval when something was first sent again; 0 is none yet.
    first_again: u32,
    /// pipe_prev of RFC 4015: max(FlightSize, ssthresh) before the reduction.
    pub(in crate::tcp) pipe_before: u32,
    /// SRTT_prev and RTTVAR_prev.
    rtt_before: Rtt,
    /// SND.NXT at a timeout that was spurious, until something newer gives a sample.
    delayed: Option<SeqNum>,
    /// Whether it began with a timeout.
    pub(in crate::tcp) by_timeout: bool,
    /// Segments sent again that no duplicate was reported for.
    unexplained: u16,
    /// Whether there is an episode whose reduction may be taken back.
    open: bool,
    /// Whether something of it was sent again.
    repaired: bool,
    /// Whether reports of duplicates may take it back (RFC 3708 §3 (A.1), (A.3)).
    by_reports: bool,
    /// Whether the first ACK that advances SND.UNA has come.
    answered: bool,
    /// Whether the peer has ever reported a duplicate: it can.
    reports: bool,
    /// Whether the network makes duplicates (RFC 3708 §3 (A.4)).
    network_repeats: bool,
    /// What was sent again lately.
    repeats: Repeats,
}

/// A report of a duplicate: from here to there the peer had it already.
pub(in crate::tcp) type Duplicate = (SeqNum, SeqNum);

impl Undo {
    /// The window is about to be reduced, with SND.UNA at `una`.
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

    /// The same by a timeout. RFC 4015 §3.1 (0): "pipe_prev <- max (FlightSize, ssthresh)", and the
    /// estimate of the round trip.
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

    /// The window is reduced for a loss that a probe, which ends at `end`, seems to have repaired: a late
    /// report may still tell that both copies came.
    pub(in crate::tcp) fn begin_by_probe(&mut self, end: SeqNum) {
        self.begin(end - 1);
        self.unexplained = 1;
        self.repaired = true;
        self.answered = true;
    }

    /// The timeout was spurious, with SND.NXT at `nxt`.
    pub(in crate::tcp) const fn retime_after(&mut self, nxt: SeqNum) {
        self.delayed = Some(nxt);
    }

    /// RFC 4015 §3.1 (11): the estimate of before, if `ack` is of "data that was previously unsent when the
    /// spurious timeout occurred".
    pub(in crate::tcp) fn take_delayed(&mut self, ack: SeqNum) -> Option<Rtt> {
        self.delayed.take_if(|nxt| ack.after(*nxt)).map(|_| self.rtt_before)
    }

    /// Whether a late report could refer to it, or it knows something of the path or the peer.
    pub(in crate::tcp) const fn remembers(&self) -> bool {
        self.open || self.reports
    }

    /// The reduction stands, or is taken back.
    pub(in crate::tcp) const fn close(&mut self) {
        self.open = false;
    }

    /// The segment from `seq` to `end` is sent again, with `tsval` as its timestamp.
    pub(in crate::tcp) fn on_retransmitted(
        &mut self,
        seq: SeqNum,
        end: SeqNum,
        tsval: Option<u32>,
    ) {
        self.repeats.push(seq, end);
        if !self.open {
            return;
        }
        self.repaired = true;
        self.unexplained = self.unexplained.saturating_add(1);
        // RFC 3522 §3.2 step (2): "the value of the Timestamp Value field [...] included in the retransmit
        // sent when loss recovery is initiated".
        if self.first_again == 0
            && let Some(tsval) = tsval
        {
            self.again_at = seq;
            self.first_again = if tsval == 0 { u32::MAX } else { tsval };
        }
    }

    /// RFC 3522 §3.2 steps (3) to (5): the first ACK of the segment that was sent again echoes a timestamp
    /// from before that. `duplicate` tells whether it reports one, `all` whether nothing is outstanding
    /// after it: then all ACKs of the flight may have been lost, unless the peer would have told of it.
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
        // §3.3 is about "Timeout due to loss of all ACKs": a fast retransmission has heard some.
        earlier && !duplicate && (self.reports || !all || !self.by_timeout)
    }

    /// Whether nothing of it was sent again: then what was missing and arrives was late, not lost.
    pub(in crate::tcp) const fn is_untouched(&self) -> bool {
        self.open && !self.repaired
    }

    /// RFC 3708 §3: the peer had `duplicate` twice, of segments of `mss` bytes. `una` is SND.UNA before the
    /// ACK that tells it, `blank` that the scoreboard knows of nothing selected. Returns whether each
    /// segment sent again in this episode is now known to have been so in vain.
    pub(in crate::tcp) fn on_duplicate(
        &mut self,
        (left, right): Duplicate,
        mss: u32,
        una: SeqNum,
        blank: bool,
    ) -> bool {
        self.reports = true;
        match self.repeats.look_up(left, right) {
            // (A.4) "the algorithm specified in this document MUST NOT be used for the remainder of the
            // connection"
            Sent::Once => self.network_repeats = true,
            // (A.3) "the congestion control state MUST NOT be reverted to its previous state during the
            // current window of data"
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

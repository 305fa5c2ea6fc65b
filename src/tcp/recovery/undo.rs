//! What was taken for lost and was not: detected by duplicates that the peer reports (RFC 2883, RFC 3708),
//! by timestamps (Eifel, RFC 3522) and after a timeout by what arrives without having been sent again
//! (F-RTO, RFC 5682); answered by giving the window back (RFC 4015).
//!
//! Owns what is remembered of the last episode of loss, which outlives the flight: reports come late.

use crate::tcp::SeqNum;

/// The last episode of loss.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct Undo {
    /// SND.UNA when it began.
    from: SeqNum,
    /// Where the segment began that was sent again first.
    again_at: SeqNum,
    /// Our TSval when something was first sent again; 0 is none yet.
    first_again: u32,
    /// Segments sent again that no duplicate was reported for.
    unexplained: u16,
    /// Whether there is an episode whose reduction may be taken back.
    open: bool,
    /// Whether the first ACK that advances SND.UNA has come.
    answered: bool,
    /// Reductions taken back.
    pub(in crate::tcp) undone: u8,
}

impl Undo {
    /// The window is about to be reduced, with SND.UNA at `una`.
    pub(super) const fn begin(&mut self, una: SeqNum) {
        self.from = una;
        self.first_again = 0;
        self.unexplained = 0;
        self.open = true;
        self.answered = false;
    }

    /// Whether a late report could refer to it.
    pub(in crate::tcp) const fn remembers(&self) -> bool {
        self.open || self.undone > 0
    }

    /// The reduction stands.
    pub(super) const fn forget(&mut self) {
        self.open = false;
    }

    /// The segment at `seq` is sent again, with `tsval` as its timestamp.
    pub(in crate::tcp) const fn on_sent_again(&mut self, seq: SeqNum, tsval: Option<u32>) {
        if !self.open {
            return;
        }
        self.unexplained = self.unexplained.saturating_add(1);
        // RFC 3522 §3.2 step (2): "the value of the Timestamp Value field [...] of the retransmit".
        if self.first_again == 0
            && let Some(tsval) = tsval
        {
            self.again_at = seq;
            self.first_again = if tsval == 0 { u32::MAX } else { tsval };
        }
    }

    /// RFC 3522 §3.2 step (5): the first ACK of the segment that was sent again echoes a timestamp from
    /// before that.
    pub(super) fn is_refuted_by_echo(&mut self, ack: SeqNum, echo: Option<u32>) -> bool {
        let pending = self.open && !self.answered && self.first_again != 0;
        if !pending || !ack.after(self.again_at) {
            return false;
        }
        self.answered = true;
        echo.is_some_and(|echo| (echo.wrapping_sub(self.first_again) as i32) < 0)
    }

    /// RFC 3708 §2: the peer had `left..right` twice, of segments of `mss` bytes. Whether each segment
    /// sent again in this episode is now known to have been so in vain.
    pub(super) fn on_duplicate(&mut self, left: SeqNum, right: SeqNum, mss: u32) -> bool {
        if !self.open || self.unexplained == 0 || !right.after(self.from) {
            return false;
        }
        let segments = right.distance_from(left).div_ceil(mss.max(1));
        let segments = u16::try_from(segments).unwrap_or(u16::MAX);
        self.unexplained = self.unexplained.saturating_sub(segments);
        self.unexplained == 0
    }

    /// The reduction is taken back.
    pub(super) const fn settle(&mut self) {
        self.open = false;
        self.undone = self.undone.saturating_add(1);
    }
}

/// F-RTO with SACK (RFC 5682 §3.1), after a timeout.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct ForwardProbe {
    step: Step,
    /// RecoveryPoint.
    recovery_point: SeqNum,
    /// New segments that may still go, whatever cwnd is.
    segments: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Off,
    /// Step 2: waiting for the ACK of what was sent again.
    Waiting,
    /// Step 3: new data is under way.
    Probing,
}

/// What F-RTO makes of an ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Finding {
    /// Nothing yet.
    Open,
    /// The timeout was spurious.
    Spurious,
}

/// What an ACK after a timeout tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) ack: SeqNum,
    /// Whether SND.UNA advanced.
    pub(super) advances: bool,
    /// Whether it delivers something that was sent before the timeout and not again since.
    pub(super) original: bool,
    /// The highest number that the ACK tells of, cumulatively or selectively.
    pub(super) highest: SeqNum,
    /// SND.NXT.
    pub(super) nxt: SeqNum,
    /// Whether new data may be sent, as far as the program and the peer's window go.
    pub(super) has_new: bool,
}

impl ForwardProbe {
    /// Step 1. The algorithm is not entered for a timeout during recovery (`recovering`).
    pub(super) fn begin(&mut self, nxt: SeqNum, recovering: bool) {
        let step = if recovering { Step::Off } else { Step::Waiting };
        *self = Self { step, recovery_point: nxt, segments: 0 };
    }

    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// Whether new data goes before what waits to be sent again.
    pub(in crate::tcp) fn holds_back(&self) -> bool {
        self.step == Step::Probing
    }

    /// Whether a new segment may go past cwnd.
    pub(in crate::tcp) fn allows_new(&self) -> bool {
        self.step == Step::Probing && self.segments > 0
    }

    /// A new segment is sent.
    pub(in crate::tcp) fn on_sent_new(&mut self) {
        self.segments = self.segments.saturating_sub(1);
    }

    /// Steps 2 and 3.
    pub(super) fn on_ack(&mut self, answer: &Answer) -> Finding {
        match self.step {
            Step::Off => Finding::Open,
            // "If duplicate ACKs arrive before the cumulative acknowledgment for retransmitted data [...]
            // Stay in step 2".
            Step::Waiting if !answer.advances => Finding::Open,
            Step::Waiting => {
                // (a) all is acknowledged, or nothing new can be sent: the conventional way.
                let probes = answer.ack.before(self.recovery_point) && answer.has_new;
                // "set variable "RecoveryPoint" to indicate the highest sequence number transmitted so
                // far"; (b) "transmit up to two new (previously unsent) segments and proceed to step 3".
                *self = Self {
                    step: if probes { Step::Probing } else { Step::Off },
                    recovery_point: answer.nxt,
                    segments: 2,
                };
                Finding::Open
            }
            Step::Probing => {
                let beyond = answer.highest.after(self.recovery_point);
                self.end();
                // (b) "does not cover more than "RecoveryPoint" AND it acknowledges data that was not
                // acknowledged earlier"; (a) otherwise.
                if answer.original && !beyond { Finding::Spurious } else { Finding::Open }
            }
        }
    }
}

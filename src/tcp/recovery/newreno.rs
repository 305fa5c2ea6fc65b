//! NewReno, for peers without SACK: duplicate ACKs indicate a loss (RFC 5681 §3.2, RFC 3042),
//! partial ACKs indicate the next one (RFC 6582).
//!
//! Owns the processing of ACKs without SACK blocks. The pending retransmission is a range in the
//! send state.

use crate::tcp::congestion::Ack;
use crate::tcp::state::{DUPLICATE_ACKS, Recovery, Stage};
use crate::tcp::{Connection, Env, Segment};
use crate::time::Instant;

impl Recovery {
    /// Inflates cwnd by segments that left the network (RFC 5681 §3.2 (4)).
    fn inflate(&mut self, mss: u16, segments: u32) {
        let more = segments * u32::from(mss);
        self.controller.set_cwnd(self.controller.cwnd().saturating_add(more));
    }

    /// RFC 6582 §3.2 step 3:
    ///   > Deflate the congestion window by the amount of new data acknowledged by the Cumulative
    ///   > Acknowledgment field. If the partial ACK acknowledges at least one SMSS of new data,
    ///   > then add back SMSS bytes to the congestion window.
    fn deflate(&mut self, acked: u32, mss: u16) {
        let mss = u32::from(mss);
        let back = if acked >= mss { mss } else { 0 };
        self.controller.set_cwnd(self.controller.cwnd().saturating_sub(acked).saturating_add(back));
    }
}

impl Connection {
    /// RFC 9293 §3.10.7.4, fifth: SND.UNA < SEG.ACK =< SND.NXT.
    pub(in crate::tcp) fn on_new_ack(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) {
        let acked = segment.ack.distance_from(self.snd.una);
        let prior_in_flight = self.snd.in_flight();
        let elapsed_ms = self.echoed_ms(env.now, segment);
        let rtt = self.recovery.sample(env.now, segment.ack, elapsed_ms);
        if let Some(sample) = rtt {
            self.recovery.rtt.on_sample(sample);
            // Karn: the backed-off timeout stays until there is a valid sample (RFC 6298 §5).
            self.recovery.backoff = 0;
        }
        self.recovery.give_up_at = Instant::FAR;
        self.snd.advance_una(segment.ack);
        // The ACK covers the FIN, which was never in the buffer.
        let bytes = acked.min(self.outgoing.len());
        if bytes > 0 {
            self.drop_acked(env, bytes);
        }
        let ce = self.take_marked(bytes);
        // Each duplicate ACK already reported a segment that is acknowledged only now.
        let reported = u32::from(self.recovery.duplicate_acks) * u32::from(self.snd.mss);
        let progress = self.on_progress(&Ack {
            now: env.now,
            bytes,
            delivered: bytes.saturating_sub(reported),
            lost: 0,
            prior_in_flight,
            used: prior_in_flight,
            slow_start_max: env.settings.slow_start_max(self.snd.mss),
            slow_start_exit: env.settings.slow_start_exit,
            in_flight: self.snd.in_flight(),
            rtt,
            rate: None,
            cwnd_limited: false,
            ce,
            snd_una: self.snd.una,
            snd_nxt: self.snd.nxt,
        });
        self.rearm_after_ack(env, progress);
    }

    /// Applies `ack` to fast recovery and to the congestion control.
    fn on_progress(&mut self, ack: &Ack) -> Progress {
        let recovery = &mut self.recovery;
        recovery.duplicate_acks = 0;
        if recovery.stage == Stage::Open {
            if ack.bytes > 0 {
                recovery.controller.on_ack(ack);
            }
            return Progress::Plain;
        }
        // RFC 6582 §3.2 (3), full acknowledgments: "all of the intermediate segments sent between
        // the original transmission of the lost segment and the receipt of the third duplicate
        // ACK".
        if self.snd.una.at_or_after(recovery.recover) {
            recovery.stage = Stage::Open;
            recovery.controller.on_exit_recovery(self.snd.in_flight(), ack.now);
            return Progress::Plain;
        }
        //   > Partial acknowledgments: [...] In this case, retransmit the first unacknowledged
        //   > segment.
        recovery.deflate(ack.bytes, self.snd.mss);
        let first = recovery.stage == Stage::Fast;
        recovery.stage = Stage::Partial;
        self.resend_first();
        if first { Progress::Plain } else { Progress::FurtherPartial }
    }

    /// RFC 6298 (5.2), (5.3).
    fn rearm_after_ack(&mut self, env: &Env<'_>, progress: Progress) {
        if self.snd.outstanding() == 0 {
            self.timers.retransmit_at = Instant::FAR;
        } else if progress == Progress::Plain {
            // RFC 6582 §3.2 (3): "For the first partial ACK that arrives during fast recovery, also
            // reset the retransmit timer." Later partial ACKs do not reset it: slow start repairs
            // many losses in one window faster than one segment per round trip.
            self.timers.retransmit_at = Instant::FAR;
            self.arm_retransmit(env);
        }
    }

    fn resend_first(&mut self) {
        self.snd.resend = self.snd.una;
        self.snd.resend_end = (self.snd.una + u32::from(self.snd.mss)).earliest(self.snd.nxt);
    }

    /// Processes a duplicate acknowledgment (RFC 5681 §2).
    pub(in crate::tcp) fn on_duplicate_ack(&mut self, now: Instant) {
        let recovery = &mut self.recovery;
        if recovery.stage != Stage::Open {
            return recovery.inflate(self.snd.mss, 1);
        }
        recovery.duplicate_acks = recovery.duplicate_acks.saturating_add(1);
        // RFC 6582 §3.2 (2): only if the ACK "covers more than recover". Otherwise our own
        // retransmissions may have caused the duplicates.
        if recovery.duplicate_acks == DUPLICATE_ACKS && self.snd.una.after(recovery.recover) {
            recovery.stage = Stage::Fast;
            recovery.recover = self.snd.nxt;
            recovery.controller.on_enter_recovery(self.snd.outstanding(), self.snd.nxt, now);
            // RFC 5681 §3.2 (3): the three segments that left the network.
            recovery.inflate(self.snd.mss, u32::from(DUPLICATE_ACKS));
            self.resend_first();
        }
    }
}

/// Role of an ACK of new data in fast recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum Progress {
    /// Outside of recovery, its end, or its first partial ACK.
    Plain,
    /// A partial ACK after the first.
    FurtherPartial,
}

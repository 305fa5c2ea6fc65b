//! Processing of an ACK with a scoreboard: RFC 2018 §5, RFC 2883 §4, RFC 8985 §6.2, in steps.
//!
//! Owns the order of the steps and passes the facts of an ACK to the detectors. The effects of a
//! decision on the congestion control and on the recovery stage are in `episode`.

use crate::tcp::congestion::Ack;
use crate::tcp::flight::Flight;
use crate::tcp::rate::micros;
use crate::tcp::recovery::detect::{AckSummary, Answer, Duplicate, Finding, Verdict};
use crate::tcp::scoreboard::Delivered;
use crate::tcp::state::{Marks, Stage};
use crate::tcp::{Connection, EcnMode, Env, Flags, Segment, SeqNum};
use crate::time::Instant;

impl Connection {
    /// Returns true if `segment` may update the scoreboard or report duplicates after a flight.
    #[inline]
    pub(in crate::tcp) fn is_selective(&self, segment: &Segment<'_>) -> bool {
        self.recovery.flight.is_some()
            || self.marks.has(Marks::SACK) && !segment.rare.sack.is_empty()
    }

    /// Processes an ACK, new or duplicate, from a peer that permits SACK, during or after a flight.
    pub(in crate::tcp) fn on_selective_ack(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) {
        let duplicate = self.duplicate_of(segment);
        let advanced = segment.ack.after(self.snd.una);
        let Some(mut flight) = self.recovery.flight.take() else {
            if advanced {
                self.on_new_ack(env, segment);
            }
            return;
        };
        let prior_in_flight = flight.board.pipe();
        let (cwnd_limited, used) = (flight.full_until.is_some(), flight.peak);
        let mut summary = self.summarize(env, segment, &mut flight, duplicate.is_some());
        self.recovery.flight = Some(flight);
        summary.bytes = if advanced { self.advance(env, segment.ack) } else { 0 };
        let (una, nxt) = (self.snd.una, self.snd.nxt);
        if let Some(flight) = &mut self.recovery.flight {
            flight.delivery.on_ack(env.now, summary.delivered, una, nxt);
        }
        let undone = self.undone();
        let rtt = self.measure(env, segment, &summary, advanced);
        if advanced {
            self.on_timestamp_echo(env, segment, &summary, duplicate.is_some());
        }
        self.on_dsack(env, segment, &summary, duplicate);
        self.on_tail_probe_ack(env, segment, duplicate, summary.delivered);
        self.on_forward_probe_ack(env, segment, &summary, advanced);
        self.on_late_arrivals(env, segment, &summary);
        if advanced {
            self.leave_recovery(env.now);
            self.leave_reduction();
            self.on_path_acked(env.now);
        }
        let (lost, due) = self.find_losses(env.now);
        if lost > 0 && self.recovery.stage == Stage::Open {
            self.enter_recovery(env.now, summary.delivered, summary.bytes);
        }
        // An ACK with a congestion signal is not a safe ACK.
        let safe = advanced && lost == 0 && !self.echoes_congestion(segment);
        self.recovery.reduce(summary.delivered, safe, self.snd.mss);
        let grows = self.undone() == undone && !self.recovery.is_reducing();
        // RFC 4015 §3.4: "the value of cwnd must not be changed any further for that ACK".
        if summary.delivered > 0 || lost > 0 {
            self.notify_writable(env.settings);
            let ce = self.take_marked(summary.delivered);
            self.recovery.report_ack(Ack {
                now: env.now,
                bytes: if grows { summary.bytes } else { 0 },
                delivered: summary.delivered,
                lost,
                prior_in_flight,
                used,
                slow_start_max: env.settings.slow_start_max(self.snd.mss),
                slow_start_exit: env.settings.slow_start_exit,
                in_flight: self.in_flight(),
                rtt,
                rate: None,
                cwnd_limited,
                ce,
                snd_una: self.snd.una,
                snd_nxt: self.snd.nxt,
            });
        }
        self.arm_after_ack(env, advanced, due);
    }

    /// Returns the number of reductions undone so far.
    fn undone(&self) -> u32 {
        self.recovery.flight.as_deref().map_or(0, |flight| flight.counts.undone)
    }

    /// Returns the duplicate that the first SACK block reports. RFC 2883 §5: a block below the
    /// cumulative acknowledgment "IN THE SAME PACKET", or within the second block.
    fn duplicate_of(&self, segment: &Segment<'_>) -> Option<Duplicate> {
        let blocks = segment.rare.sack.as_slice();
        let &(left, right) = blocks.first()?;
        let snd = &self.snd;
        let known = left.before(right) && right.at_or_before(snd.nxt);
        let recent = left.at_or_after(snd.una) || snd.una.distance_from(left) <= snd.wnd_max;
        let within = |&(from, to): &Duplicate| left.at_or_after(from) && right.at_or_before(to);
        let duplicate = right.at_or_before(segment.ack) || blocks.get(1).is_some_and(within);
        (known && recent && duplicate).then_some((left, right))
    }

    /// Collects all that the ACK delivers; runs RFC 8985 §6.2 steps 2 and 3 for each segment.
    pub(in crate::tcp) fn summarize(
        &self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        flight: &mut Flight,
        first_is_duplicate: bool,
    ) -> AckSummary {
        let (now, now_us, recover) = (env.now, micros(env.now), self.recovery.recover);
        let (rated, mut late) = (self.recovery.controller.measures_rate(), None);
        let Flight { board, rack, rate, reordering, path, .. } = flight;
        let min_rtt = path.min_rtt_us();
        let mut summary = AckSummary {
            delivered: 0,
            rtt_us: None,
            original: false,
            highest: segment.ack,
            una: self.snd.una,
            blank: board.selected() == 0,
            bytes: 0,
        };
        let mut each = |d: Delivered| {
            summary.add(&d, now_us, recover);
            let earlier = d.resent && self.echoes_before(now, d.sent_us, segment);
            late = late.max(rack.on_delivered(&d, now_us, earlier, min_rtt, reordering));
            if rated {
                rate.on_delivered(now, &d.stamp, d.sent_us, d.len);
            }
        };
        board.acknowledge(segment.ack, &mut each);
        // "in ascending order of Segment.end_seq", not in the order of the option.
        let mut blocks = segment.rare.sack;
        let blocks = blocks.as_mut_slice();
        let blocks = blocks.get_mut(usize::from(first_is_duplicate)..).unwrap_or_default();
        blocks.sort_unstable_by_key(|(_, right)| right.distance_from(segment.ack));
        for &mut (left, right) in blocks {
            board.select(left, right, &mut each);
        }
        if let Some(bytes) = late {
            reordering.note(bytes, self.snd.mss);
        }
        summary
    }

    /// Returns true if the echo precedes the transmission: RFC 8985 §6.2 step 2,
    /// "ACK.ts_option.echo_reply < Segment.xmit_ts".
    fn echoes_before(&self, now: Instant, sent_us: u32, segment: &Segment<'_>) -> bool {
        let ago = u64::from(micros(now).wrapping_sub(sent_us));
        let sent_at = Instant::from_nanos((now.as_nanos() / 1000).saturating_sub(ago) * 1000);
        match (self.stamp(sent_at), segment.options.timestamps) {
            (Some(ours), Some(theirs)) => (theirs.echo.wrapping_sub(ours.value) as i32) < 0,
            _ => false,
        }
    }

    /// Sets SND.UNA <- SEG.ACK and returns the bytes acknowledged. SACKed bytes stay in the buffer
    /// (RFC 6675 §4).
    pub(in crate::tcp) fn advance(&mut self, env: &mut Env<'_>, ack: SeqNum) -> u32 {
        let acked = ack.distance_from(self.snd.una);
        self.recovery.give_up_at = Instant::FAR;
        self.snd.advance_una(ack);
        if let Some(flight) = &mut self.recovery.flight
            && flight.full_until.is_some_and(|until| ack.at_or_after(until))
        {
            flight.full_until = None;
        }
        // The ACK covers the FIN, which was never in the buffer.
        let bytes = acked.min(self.outgoing.len());
        if bytes > 0 {
            self.drop_acked(env, bytes);
        }
        bytes
    }
}

/// Feedback of an ACK on the past: duplicates, probes, spurious timeouts.
impl Connection {
    /// Processes a D-SACK (RFC 8985 §6.2 step 4, RFC 3708).
    pub(in crate::tcp) fn on_dsack(
        &mut self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        summary: &AckSummary,
        duplicate: Option<Duplicate>,
    ) {
        let Some((left, right)) = duplicate else { return };
        let Some(flight) = self.recovery.flight.as_deref_mut() else { return };
        flight.counts.duplicates = flight.counts.duplicates.saturating_add(1);
        // A D-SACK of an unneeded probe indicates a late ACK, not reordering.
        if !flight.tail.is_probe_of(right) {
            flight.rack.on_dsack(self.snd.una, self.snd.nxt, &mut flight.reordering);
        }
        let mss = u32::from(self.snd.mss);
        if flight.undo.on_duplicate((left, right), mss, summary.una, summary.blank) {
            self.undo_reduction(env, segment, summary.bytes);
        }
    }

    /// Applies an ACK to the tail loss probe (RFC 8985 §7.4).
    pub(in crate::tcp) fn on_tail_probe_ack(
        &mut self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        duplicate: Option<Duplicate>,
        delivered: u32,
    ) {
        let Some(flight) = &mut self.recovery.flight else { return };
        let is_bare = delivered == 0 && segment.is_empty() && segment.rare.sack.is_empty();
        let twice = duplicate.map(|(_, right)| right);
        match flight.tail.on_ack(segment.ack, twice, is_bare) {
            Verdict::Nothing => {}
            Verdict::Spurious => flight.path.set_holds_acks(true),
            Verdict::Repaired => {
                flight.path.set_holds_acks(false);
                if self.recovery.stage == Stage::Open {
                    self.answer_repaired_loss(env.now);
                }
            }
        }
    }

    /// Applies an ACK to F-RTO (RFC 5682 §3.1).
    pub(in crate::tcp) fn on_forward_probe_ack(
        &mut self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        summary: &AckSummary,
        advances: bool,
    ) {
        if self.recovery.stage != Stage::TimedOut {
            return;
        }
        let snd = &self.snd;
        let answer = Answer {
            ack: segment.ack,
            advances,
            original: summary.original,
            highest: summary.highest,
            nxt: snd.nxt,
            has_new: snd.unsent() > 0 && snd.window_from(snd.nxt) > 0,
        };
        let Some(flight) = &mut self.recovery.flight else { return };
        if flight.forward.on_ack(&answer) == Finding::Spurious {
            self.undo_reduction(env, segment, summary.bytes);
        }
    }

    /// Applies a timestamp echo to the Eifel detection (RFC 3522 §3.2).
    pub(in crate::tcp) fn on_timestamp_echo(
        &mut self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        summary: &AckSummary,
        duplicate: bool,
    ) {
        let all = self.snd.una == self.snd.nxt;
        let stamps = self.marks.has(Marks::TIMESTAMPS);
        let Some(flight) = self.recovery.flight.as_deref_mut().filter(|_| stamps) else { return };
        if flight.undo.is_refuted_by_echo(segment, duplicate, all) {
            self.undo_reduction(env, segment, summary.bytes);
        }
    }

    /// Undoes a fast recovery if all segments marked as lost arrive before any of them was
    /// retransmitted. No echo is needed to identify the originals (RFC 3522 §3.2).
    pub(in crate::tcp) fn on_late_arrivals(
        &mut self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        summary: &AckSummary,
    ) {
        let late =
            self.recovery.stage == Stage::Selective
                && self.recovery.flight.as_deref().is_some_and(|flight| {
                    flight.board.waiting() == 0 && flight.undo.is_untouched()
                });
        if late {
            self.undo_reduction(env, segment, summary.bytes);
        }
    }

    /// Returns true if `segment` carries ECN-Echo. RFC 4015 §3.4:
    ///   > This is unless the acceptable ACK signals congestion through the ECN-Echo flag
    ///   > [RFC3168]. In that case, the TCP sender MUST refrain from reversing congestion control
    ///   > state.
    pub(in crate::tcp) fn echoes_congestion(&self, segment: &Segment<'_>) -> bool {
        self.ecn == EcnMode::Classic && segment.flags.contains(Flags::ECE)
    }
}

//! Episodes of loss recovery with SACK: entry, transmission, exit and undo (RFC 6675 §5, RFC 8985
//! §6.2 step 5, RFC 9937, RFC 4015).
//!
//! Owns the recovery stage and reports its changes to the congestion control.

use core::ops::Range;

use crate::tcp::congestion::Ack;
use crate::tcp::rate::micros;
use crate::tcp::recovery::detect::{Overdue, Progress, Rack};
use crate::tcp::state::{Recovery, Stage};
use crate::tcp::{Connection, Env, Segment, SeqNum};
use crate::time::Instant;

/// A range of sequence numbers.
type Span = Range<SeqNum>;

fn holds(span: &Span, seq: SeqNum) -> bool {
    seq.at_or_after(span.start) && seq.before(span.end)
}

impl Recovery {
    /// Marks lost segments (RFC 8985 §6.2 step 5). Returns the bytes lost and the delay in
    /// microseconds until the next segment may count as lost. The congestion control ignores losses
    /// in `spared`.
    pub(in crate::tcp) fn find_losses(
        &mut self,
        now: Instant,
        spared: Option<Span>,
    ) -> (u32, Option<u32>) {
        let recovering = self.stage != Stage::Open;
        let Some(flight) = self.flight.as_deref_mut() else { return (0, None) };
        let Some(oldest) = flight.board.oldest_sent() else { return (0, None) };
        let segments = flight.board.selected_segments();
        let (min_rtt, srtt) = (flight.path.min_rtt_us(), self.rtt.srtt());
        let window_us = flight.reordering.window_us(recovering, segments, min_rtt, srtt);
        let (now_us, rated) = (micros(now), self.controller.measures_rate());
        let (mut lost, mut next) = (0, Some(oldest));
        while let Some(piece) = next {
            match flight.rack.overdue(&piece, window_us, now_us) {
                Overdue::Now => {}
                // "This timer expires at the earliest moment when RACK would conclude that all the
                // unacknowledged segments within the reordering window were lost."
                Overdue::In(micros) => {
                    let last = flight.board.last_sent_while(|piece| flight.rack.is_past(piece));
                    let late = last.map(|piece| flight.rack.late(&piece, window_us, now_us));
                    return match late {
                        Some(Overdue::In(last)) => (lost, Some(last.max(micros))),
                        _ => (lost, Some(micros)),
                    };
                }
                Overdue::Never => break,
            }
            flight.board.lose_oldest();
            let len = piece.end.distance_from(piece.seq);
            lost += len;
            flight.counts.lost = flight.counts.lost.saturating_add(1);
            if rated && !spared.as_ref().is_some_and(|span| holds(span, piece.seq)) {
                self.controller.on_lost(&flight.rate.on_lost(&piece.stamp, len));
            }
            next = flight.board.oldest_sent();
        }
        (lost, None)
    }

    /// Applies PRR (RFC 9937 §6.2) to an ACK that delivers data in fast recovery or during an ECN
    /// reduction.
    pub(in crate::tcp) fn reduce(&mut self, delivered: u32, safe: bool, mss: u16) {
        let Some(flight) = self.flight.as_deref_mut() else { return };
        let reducing = flight.reducing.map(|(_, target)| target);
        let takes_part = self.stage == Stage::Selective || reducing.is_some();
        if !takes_part || delivered == 0 || !self.controller.uses_prr() {
            return;
        }
        let target = reducing.unwrap_or(self.controller.ssthresh());
        let progress = Progress { delivered, in_flight: flight.board.pipe(), safe };
        let cwnd = flight.prr.cwnd(&progress, target, u32::from(mss));
        if reducing.is_some() {
            self.controller.shrink_to(cwnd);
        } else {
            self.controller.set_cwnd(cwnd);
        }
    }

    /// Reports an ACK to the congestion control.
    pub(in crate::tcp) fn report_ack(&mut self, ack: Ack) {
        let rated = self.controller.measures_rate();
        let flight = self.flight.as_deref_mut().filter(|_| rated);
        let rate = flight.and_then(|flight| flight.rate.take_sample());
        self.controller.on_ack(&Ack { rate, ..ack });
    }
}

impl Connection {
    /// Marks lost segments and returns the bytes that the congestion control must react to. A lost
    /// path MTU probe is retransmitted but is no congestion signal (RFC 4821 §7.6.2).
    pub(in crate::tcp) fn find_losses(&mut self, now: Instant) -> (u32, Option<u32>) {
        let spared = self.path_probe_span();
        let (lost, due) = self.recovery.find_losses(now, spared);
        let forgiven = lost > 0 && self.is_lost_path_probe(now);
        if forgiven && self.recovery.stage == Stage::Open { (0, due) } else { (lost, due) }
    }

    /// Enters fast recovery (RFC 6675 §5 (4)) on an ACK that delivered `delivered` bytes.
    pub(in crate::tcp) fn enter_recovery(&mut self, now: Instant, delivered: u32, bytes: u32) {
        self.on_loss_beside_path_probe();
        self.recovery.end_reduction();
        let (snd, recovery) = (&self.snd, &mut self.recovery);
        let Some(flight) = recovery.flight.as_deref_mut() else { return };
        flight.undo.begin(snd.una);
        flight.counts.reductions = flight.counts.reductions.saturating_add(1);
        // RFC 6675 §5 (4.1): RecoveryPoint = HighData.
        recovery.recover = snd.nxt;
        recovery.stage = Stage::Selective;
        flight.forced = true;
        // RFC 9937 §6.2: RecoverFS excludes bytes SACKed before, includes bytes that this ACK
        // delivers.
        flight.prr.begin(snd.outstanding() - flight.board.selected() + delivered);
        flight.tail.reset();
        recovery.controller.on_enter_recovery(snd.outstanding() + bytes, snd.nxt, now);
    }

    /// Reacts to a loss that a probe repaired: RFC 8985 §7.4.2,
    ///   > invoke congestion control to react to the loss event the probe has repaired
    pub(in crate::tcp) fn answer_repaired_loss(&mut self, now: Instant) {
        let in_flight = self.in_flight();
        self.recovery.end_reduction();
        let controller = &mut self.recovery.controller;
        controller.on_enter_recovery(self.snd.outstanding(), self.snd.nxt, now);
        controller.on_exit_recovery(in_flight.max(controller.ssthresh()), now);
        if let Some(flight) = &mut self.recovery.flight {
            flight.undo.begin_by_probe(flight.tail.sent_end());
            flight.counts.lost = flight.counts.lost.saturating_add(1);
            flight.counts.reductions = flight.counts.reductions.saturating_add(1);
        }
    }

    /// Ends recovery once RecoveryPoint is acknowledged (RFC 6675 §5.1). Call after SND.UNA
    /// advanced.
    pub(in crate::tcp) fn leave_recovery(&mut self, now: Instant) {
        let in_flight = self.in_flight();
        let recovery = &mut self.recovery;
        let stage = recovery.stage;
        let ended = matches!(stage, Stage::Selective | Stage::TimedOut)
            && self.snd.una.at_or_after(recovery.recover);
        if !ended {
            return;
        }
        recovery.stage = Stage::Open;
        if let Some(flight) = &mut recovery.flight {
            flight.forced = false;
            flight.reordering.on_recovered();
            flight.forward.end();
        }
        if stage == Stage::Selective {
            // RFC 9937 §6.2: "At the end of fast recovery: cwnd = ssthresh".
            let flight = in_flight.max(recovery.controller.ssthresh());
            recovery.controller.on_exit_recovery(flight, now);
        }
    }

    /// Undoes a spurious reduction (RFC 4015 §3.1 (8) and (9), RFC 3708 §3). Cancels pending
    /// retransmissions and restores cwnd. After a spurious fast recovery, reordering counts as
    /// seen, so the next fast recovery starts later. `bytes` is what the ACK acknowledges.
    pub(in crate::tcp) fn undo_reduction(
        &mut self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        bytes: u32,
    ) {
        let echo = self.echoes_congestion(segment);
        let burst = bytes.min(u32::from(env.settings.initial_window) * u32::from(self.snd.mss));
        let cwnd = self.snd.outstanding() + burst;
        self.recovery.end_reduction();
        let recovery = &mut self.recovery;
        let recover = recovery.recover;
        let recovering = recovery.stage == Stage::Selective;
        recovery.stage = Stage::Open;
        let Some(flight) = &mut recovery.flight else { return };
        flight.undo.close();
        flight.forced = false;
        // The other segments looked late because the ACK was matched to the wrong copy.
        flight.rack = Rack::default();
        flight.board.unlose();
        flight.forward.end();
        if flight.undo.by_timeout {
            flight.undo.retime_after(recover);
        } else {
            flight.reordering.seen = true;
        }
        let pipe_before = flight.undo.pipe_before;
        match (echo, flight.undo.by_timeout) {
            (true, _) if recovering => recovery.controller.on_exit_recovery(cwnd, env.now),
            (true, _) => {}
            (false, true) => recovery.controller.on_undo_of_timeout(cwnd, pipe_before),
            (false, false) => recovery.controller.on_undo(),
        }
        if !echo {
            flight.counts.undone = flight.counts.undone.saturating_add(1);
        }
    }
}

/// Window reductions for ECN.
impl Connection {
    /// Reacts to the first congestion signal of a window of data. Call before SND.UNA advances.
    pub(in crate::tcp) fn answer_congestion_echo(&mut self, now: Instant) {
        let (outstanding, nxt) = (self.snd.outstanding(), self.snd.nxt);
        let controller = &mut self.recovery.controller;
        controller.on_congestion_echo(outstanding, now);
        if !controller.shrinks_by_prr() {
            return;
        }
        if let Some(flight) = self.recovery.flight.as_deref_mut() {
            flight.prr.begin(outstanding - flight.board.selected());
            // May be below ssthresh: RFC 3168 §6.1.2 allows reductions down to one segment.
            flight.reducing = Some((nxt, controller.cwnd()));
        }
    }

    /// Ends the ECN reduction once the data in flight at its start is acknowledged.
    pub(in crate::tcp) fn leave_reduction(&mut self) {
        let until = self.recovery.flight.as_deref().and_then(|flight| flight.reducing);
        if until.is_some_and(|(until, _)| self.snd.una.at_or_after(until)) {
            self.recovery.end_reduction();
        }
    }
}

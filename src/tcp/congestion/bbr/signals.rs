//! Signals of the ACKs about the path: rounds, bandwidth, aggregation, losses (draft-ietf-ccwg-bbr
//! §5.5).

use super::super::window::Window;
use super::state::{Flow, NO_RATE, NO_VOLUME, Sample, State, reached};
use crate::tcp::rate::Loss;

/// BBR.LossThresh in percent: share of a round's data whose loss is tolerated while probing.
pub(super) const LOSS_THRESH: u64 = 2;

/// Average loss in percent that a path may have: §3.1 promises high throughput at "average packet
/// loss rates of up to 1%".
const LOSS_TOLERATED: u64 = 1;

/// Number of standard deviations by which the losses of a probe must exceed the random losses at a
/// rate of [`LOSS_TOLERATED`]. At zero, nine in ten probes of 165 segments fail on a path with this
/// loss rate, and each leaves a bound no higher than its flight. At three, CUBIC beside BBR gets a
/// quarter of a path instead of three tenths.
const PROBE_DEVIATIONS: u64 = 2;

/// The same for a round between probes. A cycle has about sixty rounds: at three deviations, every
/// third cycle has a round that looks bad and stays slower for the rest of the cycle. At more, a
/// path whose bandwidth fell is overrun for longer.
const ROUND_DEVIATIONS: u64 = 4;

/// BBR.Beta in percent: minimum left after a round with losses.
pub(super) const BETA: u64 = 70;

/// BBR.ExtraAckedFilterLen in rounds; each half of the filter lasts half of it.
const EXTRA_ACKED_ROUNDS: u32 = 10;

/// Returns `share` percent of a volume.
pub(super) fn percent(volume: u32, share: u64) -> u32 {
    u32::try_from(u64::from(volume) * share / 100).unwrap_or(NO_VOLUME)
}

/// Returns `share` percent of a rate.
pub(super) const fn rate_percent(rate: u64, share: u64) -> u64 {
    if rate == NO_RATE { NO_RATE } else { rate.saturating_mul(share) / 100 }
}

impl Flow {
    /// §5.5.1, StartRound.
    pub(super) const fn start_round(&mut self) {
        self.next_round_delivered = self.delivered;
    }

    /// §5.5.1, UpdateRound.
    fn update_round(&mut self, sample: &Sample) {
        self.round_start = sample
            .prior_delivered
            .is_some_and(|prior| self.next_round_delivered.is_none_or(|end| reached(prior, end)));
        if self.round_start {
            self.start_round();
            self.round_count = self.round_count.wrapping_add(1);
            self.rounds_since_probe_up = self.rounds_since_probe_up.saturating_add(1);
            self.cwnd_limited = [false, self.cwnd_limited[0]];
        }
    }

    /// §5.5.5, UpdateMaxBw. An application-limited sample counts if it is the highest.
    fn update_max_bw(&mut self, sample: &Sample) {
        self.update_round(sample);
        if sample.rate > 0 && (sample.rate >= self.max_bw() || !sample.is_app_limited) {
            self.max_bw_filter[1] = self.max_bw_filter[1].max(sample.rate);
        }
    }

    /// §5.5.6, AdvanceMaxBwFilter. A cycle without samples keeps the filter.
    pub(super) const fn advance_max_bw_filter(&mut self) {
        if self.max_bw_filter[1] > 0 {
            self.max_bw_filter = [self.max_bw_filter[1], 0];
        }
    }

    /// §5.5.10.3, UpdateLatestDeliverySignals.
    pub(super) fn update_latest_delivery_signals(&mut self, sample: &Sample) {
        self.bw_latest = self.bw_latest.max(sample.rate);
        self.inflight_latest = self.inflight_latest.max(sample.delivered);
        self.loss_round_start = sample
            .prior_delivered
            .is_some_and(|prior| self.loss_round_delivered.is_none_or(|end| reached(prior, end)));
        if self.loss_round_start {
            self.loss_round_delivered = self.delivered;
        }
    }

    /// §5.5.10.3, AdvanceLatestDeliverySignals.
    pub(super) const fn advance_latest_delivery_signals(&mut self, sample: &Sample) {
        if self.loss_round_start {
            self.bw_latest = sample.rate;
            self.inflight_latest = sample.delivered;
        }
    }

    /// §5.5.10.3, ResetCongestionSignals.
    pub(super) const fn reset_congestion_signals(&mut self) {
        self.is_loss_in_round = false;
        self.is_marked_in_round = false;
        self.bw_latest = 0;
        self.inflight_latest = 0;
    }

    /// §5.5.10.3, UpdateCongestionSignals.
    pub(super) fn update_congestion_signals(&mut self, window: &Window, sample: &Sample) {
        self.update_max_bw(sample);
        if !self.loss_round_start {
            return;
        }
        if self.has_too_many_marks() {
            self.note_loss(window);
            self.is_marked_in_round = true;
        }
        // AdaptLowerBoundsFromCongestion, only if the round lost more than is tolerated: a bound
        // that follows the delivery of every round with a loss sinks by the pacing margin each
        // time, by a fifth until the next probe.
        let too_much = self.is_marked_in_round || is_round_too_lossy(window, sample);
        if self.is_loss_in_round && too_much && !self.state.is_probing() {
            self.init_lower_bounds(window);
            self.bw_shortterm = self.bw_latest.max(rate_percent(self.bw_shortterm, BETA));
            self.inflight_shortterm =
                self.inflight_latest.max(percent(self.inflight_shortterm, BETA));
        }
        // Startup checks the losses of the round before they are reset.
        if self.state != State::Startup {
            self.end_loss_round();
        }
    }

    /// Resets the counts of losses and marks of the round.
    pub(super) const fn end_loss_round(&mut self) {
        self.is_loss_in_round = false;
        self.is_marked_in_round = false;
        self.loss_events = 0;
        self.marked_in_round = [0; 2];
    }

    /// Returns true if the marked bytes of this round exceed the loss threshold.
    pub(super) fn has_too_many_marks(&self) -> bool {
        let [marked, delivered] = self.marked_in_round;
        marked > percent(delivered, LOSS_THRESH)
    }

    /// §5.5.10.3, InitLowerBounds.
    fn init_lower_bounds(&mut self, window: &Window) {
        if self.bw_shortterm == NO_RATE {
            self.bw_shortterm = self.max_bw();
        }
        if self.inflight_shortterm == NO_VOLUME {
            self.inflight_shortterm = window.cwnd();
        }
    }

    /// §5.5.10.3, ResetShortTermModel.
    pub(super) const fn reset_short_term_model(&mut self) {
        self.bw_shortterm = NO_RATE;
        self.inflight_shortterm = NO_VOLUME;
    }

    /// §5.5.10.3, BoundBWForModel.
    pub(super) fn bound_bw_for_model(&mut self) {
        self.bw = self.max_bw().min(self.bw_shortterm);
    }

    /// §5.5.9, UpdateACKAggregation.
    pub(super) fn update_ack_aggregation(&mut self, window: &Window, sample: &Sample) {
        let elapsed_us = self.now.since(self.extra_acked_start).as_micros();
        let expected = u128::from(self.bw) * u128::from(elapsed_us) / 1_000_000;
        let mut expected = u32::try_from(expected).unwrap_or(u32::MAX);
        if self.extra_acked_delivered <= expected {
            self.extra_acked_delivered = 0;
            self.extra_acked_start = self.now;
            expected = 0;
        }
        self.extra_acked_delivered = self.extra_acked_delivered.saturating_add(sample.newly_acked);
        let extra = self.extra_acked_delivered.saturating_sub(expected).min(window.cwnd());
        // The windowed maximum: one round in Startup, ten after it.
        let half = if self.full_bw_reached { EXTRA_ACKED_ROUNDS / 2 } else { 1 };
        if self.round_count.wrapping_sub(self.extra_acked_round) >= half {
            self.extra_acked_round = self.round_count;
            self.extra_acked_filter = [self.extra_acked_filter[1], 0];
        }
        self.extra_acked_filter[1] = self.extra_acked_filter[1].max(extra);
    }

    /// BBR.extra_acked.
    pub(super) fn extra_acked(&self) -> u32 {
        let [before, now] = self.extra_acked_filter;
        if self.full_bw_reached { before.max(now) } else { now }
    }

    /// §5.5.10.2, NoteLoss.
    fn note_loss(&mut self, window: &Window) {
        if !self.is_loss_in_round {
            self.loss_round_delivered = self.delivered;
            self.save_state_upon_loss(window);
        }
        self.is_loss_in_round = true;
    }

    /// §5.5.10.2, HandleLostPacket.
    pub(super) fn on_lost(&mut self, window: &mut Window, loss: &Loss) {
        self.note_loss(window);
        let too_high = is_inflight_too_high(loss.lost, loss.tx_in_flight, window.smss());
        if self.is_bw_probe_sample && too_high {
            self.on_inflight_too_high(window, inflight_at_loss(loss), loss.is_app_limited);
        }
    }

    /// Treats a mark as a loss: in Startup the pipe is full; a probe went too high; otherwise the
    /// round lowers the short-term bounds.
    pub(super) fn on_congestion_echo(&mut self, window: &mut Window, in_flight: u32) {
        self.note_loss(window);
        self.is_marked_in_round = true;
        if self.state == State::Startup {
            self.leave_startup_by_loss(window);
        } else if self.is_bw_probe_sample {
            self.on_inflight_too_high(window, in_flight, false);
        }
    }

    /// §5.5.11.1, SaveStateUponLoss.
    pub(super) fn save_state_upon_loss(&mut self, window: &Window) {
        self.save_cwnd(window);
        self.undo_state = None;
        self.undo_bw_shortterm = self.bw_shortterm;
        self.undo_inflight_shortterm = self.inflight_shortterm;
        self.undo_inflight_longterm = self.inflight_longterm;
    }

    /// §5.5.11.2, HandleSpuriousLossDetection.
    pub(super) fn on_spurious_loss(&mut self, window: &mut Window) {
        self.restore_cwnd(window);
        self.is_loss_in_round = false;
        self.reset_full_bw();
        self.bw_shortterm = self.bw_shortterm.max(self.undo_bw_shortterm);
        self.inflight_shortterm = self.inflight_shortterm.max(self.undo_inflight_shortterm);
        self.inflight_longterm = self.inflight_longterm.max(self.undo_inflight_longterm);
        match self.undo_state.take() {
            Some(State::Startup) if self.state != State::Startup => {
                self.full_bw_reached = false;
                if self.state != State::ProbeRtt {
                    self.state = State::Startup;
                }
            }
            Some(State::ProbeBwUp) if !matches!(self.state, State::ProbeBwUp | State::ProbeRtt) => {
                self.start_probe_bw_refill();
            }
            _ => {}
        }
    }
}

/// §5.5.10.2, IsInflightTooHigh: more than the threshold was lost, and more than the path loses by
/// chance; a single segment is not a rate.
pub(super) fn is_inflight_too_high(lost: u32, tx_in_flight: u32, smss: u32) -> bool {
    lost > smss
        && u64::from(lost) * 100 > u64::from(tx_in_flight) * LOSS_THRESH
        && exceeds_chance(lost, tx_in_flight, smss, PROBE_DEVIATIONS)
}

/// IsInflightTooHigh for the round that an ACK reports.
pub(super) fn is_sample_too_high(window: &Window, sample: &Sample) -> bool {
    is_inflight_too_high(sample.lost, sample.tx_in_flight, window.smss())
}

/// Returns true if the last round lost more than the threshold, and so much more than tolerated
/// that chance hardly ever explains one such round in a cycle.
fn is_round_too_lossy(window: &Window, sample: &Sample) -> bool {
    is_sample_too_high(window, sample)
        && exceeds_chance(sample.lost, sample.tx_in_flight, window.smss(), ROUND_DEVIATIONS)
}

/// Returns true if a path with a loss rate of [`LOSS_TOLERATED`] hardly ever loses this much of a
/// flight. Three of a hundred segments exceed the threshold, but are lost by chance in every
/// twelfth round. In segments, with n in flight: lost - n / 100 > deviations * sqrt(n / 100).
fn exceeds_chance(lost: u32, flight: u32, smss: u32, deviations: u64) -> bool {
    // Both sides times 100, in bytes, and squared.
    let excess = 100 * i128::from(lost) - i128::from(LOSS_TOLERATED) * i128::from(flight);
    let variance = i128::from(100 * LOSS_TOLERATED * u64::from(smss)) * i128::from(flight);
    excess > 0 && excess * excess > i128::from(deviations * deviations) * variance
}

/// §5.5.10.2, InflightAtLoss: the flight at which the losses crossed the threshold, within this
/// segment.
fn inflight_at_loss(loss: &Loss) -> u32 {
    let before = u64::from(loss.tx_in_flight.saturating_sub(loss.bytes));
    let lost_before = u64::from(loss.lost.saturating_sub(loss.bytes));
    // lost_prefix = (LossThresh * inflight_prev - lost_prev) / (1 - LossThresh)
    let prefix = (LOSS_THRESH * before).saturating_sub(100 * lost_before) / (100 - LOSS_THRESH);
    u32::try_from(before + prefix).unwrap_or(NO_VOLUME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflight_at_loss_lies_within_the_segment_that_crosses_the_threshold() {
        // §5.5.10.2: 100,000 in flight before, nothing lost before: 2 % of them, and of the prefix.
        let loss = Loss { bytes: 4000, lost: 4000, tx_in_flight: 104_000, is_app_limited: false };
        assert!(is_inflight_too_high(loss.lost, loss.tx_in_flight, 1000));
        assert_eq!(inflight_at_loss(&loss), 100_000 + 2 * 100_000 / 98);
        let later = Loss { lost: 10_000, ..loss };
        assert_eq!(inflight_at_loss(&later), 100_000, "crossed before this segment");
    }

    #[test]
    fn a_round_is_too_lossy_beyond_chance() {
        // §3.1 promises 1 %: 1.65 of 165 segments, with a standard deviation of 1.28; four
        // deviations are above six. Of ten thousand, 1 % with a deviation of 10 is far below the
        // threshold of 2 %.
        let window = Window::new(1000, 10);
        let lossy = |lost: u32, flight: u32| {
            let sample = Sample { lost: lost * 1000, tx_in_flight: flight * 1000, ..Sample::NONE };
            is_round_too_lossy(&window, &sample)
        };
        assert_eq!([5, 6, 7].map(|lost| lossy(lost, 165)), [false, false, true]);
        assert_eq!([2, 3, 4].map(|lost| lossy(lost, 50)), [false, false, true]);
        assert_eq!([1, 2].map(|lost| lossy(lost, 10)), [false, true]);
        assert_eq!([200, 201].map(|lost| lossy(lost, 10_000)), [false, true]);
    }

    #[test]
    fn a_probe_is_too_high_when_its_losses_exceed_chance() {
        // Two deviations: 4.2 of 165. Of the 330 in flight with a full queue of one BDP the
        // threshold is the stricter limit, and of ten thousand even more so.
        let high = |lost: u32, flight: u32| is_inflight_too_high(lost * 1000, flight * 1000, 1000);
        assert_eq!([3, 4, 5].map(|lost| high(lost, 165)), [false, false, true]);
        assert_eq!([6, 7].map(|lost| high(lost, 330)), [false, true]);
        assert_eq!([200, 201].map(|lost| high(lost, 10_000)), [false, true]);
        assert_eq!(
            [1, 2].map(|lost| high(lost, 10)),
            [false, true],
            "a single segment is not a rate"
        );
    }

    #[test]
    fn two_percent_loss_is_tolerated() {
        // §2.8: BBR.LossThresh, "the default is 2%"
        assert!(!is_inflight_too_high(20_000, 1_000_000, 1000));
        assert!(is_inflight_too_high(20_001, 1_000_000, 1000));
    }
}

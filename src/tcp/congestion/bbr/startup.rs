//! Startup and Drain: doubles the rate until the pipe is full, then drains the queue that this
//! built (draft-ietf-ccwg-bbr §5.3.1, §5.3.2).

use super::super::window::Window;
use super::signals::is_sample_too_high;
use super::state::{Flow, Sample, State};

/// Growth in percent that shows that the pipe is not full.
const FULL_BW_GROWTH: u64 = 125;

/// Rounds without such growth that show that it is. With fewer, a receiver that opens its window
/// slowly looks like a full pipe.
const FULL_BW_ROUNDS: u8 = 3;

/// BBRStartupFullLossCnt: lost ranges in a round that are more than noise. Each ACK that reveals
/// losses counts as one.
const FULL_LOSS_EVENTS: u8 = 6;

/// Rounds after which Drain ends despite a queue: other flows may fill it.
const DRAIN_ROUNDS: u32 = 3;

impl Flow {
    /// §5.3.1.2, ResetFullBW.
    pub(super) const fn reset_full_bw(&mut self) {
        self.full_bw = 0;
        self.full_bw_count = 0;
        self.full_bw_now = false;
    }

    /// §5.3.1.2, CheckFullBWReached.
    pub(super) fn check_full_bw_reached(&mut self, sample: &Sample) {
        if self.full_bw_now || !self.round_start || sample.is_app_limited || sample.rate == 0 {
            return;
        }
        if u128::from(sample.rate) * 100 >= u128::from(self.full_bw) * u128::from(FULL_BW_GROWTH) {
            self.reset_full_bw();
            self.full_bw = sample.rate;
            return;
        }
        self.full_bw_count += 1;
        self.full_bw_now = self.full_bw_count >= FULL_BW_ROUNDS;
        self.full_bw_reached |= self.full_bw_now;
    }

    /// §5.3.1.1, CheckStartupDone.
    pub(super) fn check_startup_done(&mut self, window: &mut Window, sample: &Sample) {
        if self.state != State::Startup {
            return;
        }
        self.check_startup_high_loss(window, sample);
        if self.state == State::Startup && self.full_bw_reached {
            self.enter_drain();
        }
    }

    /// §5.3.1.3, CheckStartupHighLoss: a full round in recovery lost more than the threshold, in
    /// several bursts; or as much was marked.
    fn check_startup_high_loss(&mut self, window: &mut Window, sample: &Sample) {
        if !self.loss_round_start {
            return;
        }
        let lost = self.in_recovery
            && self.loss_events >= FULL_LOSS_EVENTS
            && is_sample_too_high(window, sample);
        if lost || self.has_too_many_marks() {
            self.leave_startup_by_loss(window);
        }
        self.end_loss_round();
    }

    /// §5.3.1.3: "it sets BBR.inflight_longterm to its estimate of a safe level [...] max(BBR.bdp,
    /// BBR.inflight_latest)".
    pub(super) fn leave_startup_by_loss(&mut self, window: &Window) {
        self.undo_state = Some(State::Startup);
        self.full_bw_reached = true;
        self.inflight_longterm = self.bdp_multiple(window, 100).max(self.inflight_latest);
        self.enter_drain();
    }

    /// §5.3.2, EnterDrain.
    const fn enter_drain(&mut self) {
        self.state = State::Drain;
        self.drain_start_round = self.round_count;
    }

    /// §5.3.2, CheckDrainDone.
    pub(super) fn check_drain_done(&mut self, window: &Window, sample: &Sample) {
        if self.state != State::Drain {
            return;
        }
        let drained = sample.in_flight <= self.inflight(window, self.bw, 100);
        if drained || self.round_count.wrapping_sub(self.drain_start_round) > DRAIN_ROUNDS {
            self.start_probe_bw_down();
        }
    }
}

//! The cycle of ProbeBW: down, cruise, refill, up (draft-ietf-ccwg-bbr §5.3.3).

use super::super::window::Window;
use super::signals::{BETA, is_sample_too_high, percent};
use super::state::{AckPhase, Flow, MIN_PIPE_SEGMENTS, NO_VOLUME, Sample, State};
use crate::time::Duration;

/// BBR.Headroom: percent of inflight_longterm left to other flows.
const HEADROOM: u64 = 15;

/// Maximum rounds that a Reno flow needs to grow back. Probing then hurts it no more than its own
/// probing.
const RENO_ROUNDS_MAX: u32 = 63;

/// Wait before the next probe: two seconds, plus up to one more.
const PROBE_WAIT: Duration = Duration::from_secs(2);
const PROBE_WAIT_MORE_MS: u64 = 1000;

/// Outcome of a step that may choose the next state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum Decided {
    Yes,
    No,
}

impl Flow {
    /// §5.3.3.11, StartProbeBW_DOWN.
    pub(super) fn start_probe_bw_down(&mut self) {
        self.reset_congestion_signals();
        self.probe_up_acked_per_inc = NO_VOLUME;
        self.pick_probe_wait();
        self.cycle_stamp = self.now;
        self.ack_phase = AckPhase::ProbeStopping;
        self.start_round();
        self.state = State::ProbeBwDown;
    }

    /// StartProbeBW_CRUISE.
    pub(super) const fn start_probe_bw_cruise(&mut self) {
        self.state = State::ProbeBwCruise;
    }

    /// StartProbeBW_REFILL.
    pub(super) const fn start_probe_bw_refill(&mut self) {
        self.reset_short_term_model();
        self.bw_probe_up_rounds = 0;
        self.bw_probe_up_acked = 0;
        self.prev_probe_precautionary = false;
        self.ack_phase = AckPhase::Refilling;
        self.start_round();
        self.state = State::ProbeBwRefill;
    }

    /// StartProbeBW_UP.
    fn start_probe_bw_up(&mut self, window: &Window, sample: &Sample) {
        self.ack_phase = AckPhase::ProbeStarting;
        self.start_round();
        self.reset_full_bw();
        self.full_bw = sample.rate;
        self.state = State::ProbeBwUp;
        self.raise_inflight_longterm_slope(window);
    }

    /// UpdateProbeBWCyclePhase.
    pub(super) fn update_probe_bw_cycle_phase(&mut self, window: &mut Window, sample: &Sample) {
        if !self.full_bw_reached || self.adapt_long_term_model(window, sample) == Decided::Yes {
            return;
        }
        match self.state {
            State::ProbeBwDown | State::ProbeBwCruise if self.is_time_to_probe_bw(window) => {
                self.start_probe_bw_refill();
            }
            State::ProbeBwDown if self.is_time_to_cruise(window, sample) => {
                self.start_probe_bw_cruise();
            }
            State::ProbeBwRefill if self.round_start => {
                self.is_bw_probe_sample = true;
                self.start_probe_bw_up(window, sample);
            }
            State::ProbeBwUp => self.go_down_if_time(window, sample),
            _ => {}
        }
    }

    fn go_down_if_time(&mut self, window: &Window, sample: &Sample) {
        if self.is_time_to_go_down(window, sample) {
            self.prev_probe_too_high = false;
            self.start_probe_bw_down();
        }
    }

    /// IsTimeToProbeBW, §5.3.3.8: by time, or after the rounds that Reno would take.
    fn is_time_to_probe_bw(&self, window: &Window) -> bool {
        let rounds = (self.target_inflight(window) / window.smss()).min(RENO_ROUNDS_MAX);
        self.now.since(self.cycle_stamp) > self.bw_probe_wait
            || self.rounds_since_probe_up >= rounds
    }

    /// PickProbeWait: random, so that flows do not probe together.
    fn pick_probe_wait(&mut self) {
        let (rounds, more_ms) = match &mut self.rng {
            Some(rng) => (rng.below(2) as u32, rng.below(PROBE_WAIT_MORE_MS)),
            None => (0, 0),
        };
        self.rounds_since_probe_up = rounds;
        self.bw_probe_wait = PROBE_WAIT + Duration::from_millis(more_ms);
    }

    /// TargetInflight: the BDP, unless congestion has reduced cwnd.
    fn target_inflight(&self, window: &Window) -> u32 {
        self.bdp_multiple(window, 100).min(window.cwnd())
    }

    /// IsTimeToCruise.
    fn is_time_to_cruise(&self, window: &Window, sample: &Sample) -> bool {
        sample.in_flight <= self.inflight_with_headroom(window)
            && sample.in_flight <= self.inflight(window, self.max_bw(), 100)
    }

    /// IsTimeToGoDown.
    fn is_time_to_go_down(&mut self, window: &Window, sample: &Sample) -> bool {
        // §5.3.3.6, precautionary deceleration: the last probe lost too much at this volume.
        if self.prev_probe_too_high && sample.in_flight >= self.inflight_longterm {
            self.prev_probe_precautionary = true;
            return true;
        }
        if self.is_cwnd_limited() && window.cwnd() >= self.inflight_longterm {
            // The bound limits the rate, not the path.
            self.reset_full_bw();
            self.full_bw = sample.rate;
            return false;
        }
        self.full_bw_now
    }

    /// InflightWithHeadroom.
    pub(super) fn inflight_with_headroom(&self, window: &Window) -> u32 {
        if self.inflight_longterm == NO_VOLUME {
            return NO_VOLUME;
        }
        let headroom = percent(self.inflight_longterm, HEADROOM).max(window.smss());
        let floor = MIN_PIPE_SEGMENTS * window.smss();
        self.inflight_longterm.saturating_sub(headroom).max(floor)
    }

    /// RaiseInflightLongtermSlope: the growth doubles each round.
    fn raise_inflight_longterm_slope(&mut self, window: &Window) {
        let growth = 1u32 << self.bw_probe_up_rounds;
        self.bw_probe_up_rounds = (self.bw_probe_up_rounds + 1).min(30);
        self.probe_up_acked_per_inc = (window.cwnd() / growth).max(window.smss());
    }

    /// ProbeInflightLongtermUpward.
    fn probe_inflight_longterm_upward(&mut self, window: &Window, sample: &Sample) {
        if !self.is_cwnd_limited() || window.cwnd() < self.inflight_longterm {
            return;
        }
        self.bw_probe_up_acked = self.bw_probe_up_acked.saturating_add(sample.newly_acked);
        let increments = self.bw_probe_up_acked / self.probe_up_acked_per_inc;
        if increments > 0 {
            self.bw_probe_up_acked -= increments * self.probe_up_acked_per_inc;
            let more = increments.saturating_mul(window.smss());
            self.inflight_longterm = self.inflight_longterm.saturating_add(more);
        }
        if self.round_start {
            self.raise_inflight_longterm_slope(window);
        }
    }

    /// AdaptLongTermModel.
    fn adapt_long_term_model(&mut self, window: &mut Window, sample: &Sample) -> Decided {
        if self.ack_phase == AckPhase::ProbeStarting && self.round_start {
            self.ack_phase = AckPhase::ProbeFeedback;
        }
        if self.ack_phase == AckPhase::ProbeStopping && self.round_start {
            self.is_bw_probe_sample = false;
            self.ack_phase = AckPhase::Init;
            if self.state.is_probe_bw() && !sample.is_app_limited {
                self.advance_max_bw_filter();
            }
            // §5.3.3.6, precautionary acceleration: a round of feedback without loss.
            if self.state.is_probe_bw()
                && self.prev_probe_precautionary
                && !self.prev_probe_too_high
            {
                self.start_probe_bw_refill();
                return Decided::Yes;
            }
        }
        if is_sample_too_high(window, sample) {
            return Decided::No;
        }
        if self.inflight_longterm != NO_VOLUME {
            self.inflight_longterm = self.inflight_longterm.max(sample.tx_in_flight);
            if self.state == State::ProbeBwUp {
                self.probe_inflight_longterm_upward(window, sample);
            }
        }
        Decided::No
    }

    /// §5.5.10.2, HandleInflightTooHigh.
    pub(super) fn on_inflight_too_high(
        &mut self,
        window: &Window,
        tx_in_flight: u32,
        is_app_limited: bool,
    ) {
        self.prev_probe_too_high = true;
        self.is_bw_probe_sample = false;
        if !is_app_limited {
            // No lower than CUBIC's reduction.
            let floor = percent(self.target_inflight(window), BETA);
            self.inflight_longterm = tx_in_flight.max(floor);
        }
        if self.state == State::ProbeBwUp {
            self.undo_state = Some(State::ProbeBwUp);
            self.start_probe_bw_down();
        }
    }
}

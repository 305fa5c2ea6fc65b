//! ProbeRTT: drains the queue periodically to measure the round trip without it, and the minimum
//! round trip (draft-ietf-ccwg-bbr §5.3.4, §5.5.7).

use super::super::window::Window;
use super::state::{AckPhase, Flow, MIN_PIPE_SEGMENTS, Sample, State};
use crate::time::Duration;

/// BBR.MinRTTFilterLen: about two ProbeRTT intervals, so that one minimum is always remembered.
const MIN_RTT_FILTER: Duration = Duration::from_secs(10);

/// BBR.ProbeRTTInterval: "To allow coordination with other BBR flows, each BBR flow MUST use the
/// standard BBR.ProbeRTTInterval of 5 secs."
const PROBE_RTT_INTERVAL: Duration = Duration::from_secs(5);

/// BBR.ProbeRTTDuration: long enough for flows of different round trips to overlap.
const PROBE_RTT_DURATION: Duration = Duration::from_millis(200);

impl Flow {
    /// §5.3.4.3, UpdateMinRTT.
    pub(super) fn update_min_rtt(&mut self, sample: &Sample) {
        let expired = self.now > self.probe_rtt_min_stamp + PROBE_RTT_INTERVAL;
        self.probe_rtt_expired = expired && self.probe_rtt_min_delay.is_some();
        if let Some(rtt) = sample.rtt
            && (self.probe_rtt_min_delay.is_none_or(|least| rtt < least) || expired)
        {
            self.probe_rtt_min_delay = Some(rtt);
            self.probe_rtt_min_stamp = self.now;
        }
        let Some(least) = self.probe_rtt_min_delay else { return };
        let min_rtt_expired = self.now > self.min_rtt_stamp + MIN_RTT_FILTER;
        if self.min_rtt.is_none_or(|min_rtt| least < min_rtt) || min_rtt_expired {
            self.min_rtt = Some(least);
            self.min_rtt_stamp = self.probe_rtt_min_stamp;
        }
    }

    /// §5.3.4.3, CheckProbeRTT.
    pub(super) fn check_probe_rtt(&mut self, window: &mut Window, sample: &Sample) {
        if self.state != State::ProbeRtt && self.probe_rtt_expired && !self.idle_restart {
            self.save_cwnd(window);
            self.state = State::ProbeRtt;
            self.probe_rtt_done_stamp = None;
            self.ack_phase = AckPhase::ProbeStopping;
            self.start_round();
        }
        if self.state == State::ProbeRtt {
            self.handle_probe_rtt(window, sample);
        }
        if sample.delivered > 0 {
            self.idle_restart = false;
        }
    }

    /// HandleProbeRTT.
    fn handle_probe_rtt(&mut self, window: &mut Window, sample: &Sample) {
        self.mark_held_back(sample.in_flight);
        if self.probe_rtt_done_stamp.is_none() {
            if sample.in_flight <= self.probe_rtt_cwnd(window) {
                self.probe_rtt_done_stamp = Some(self.now + PROBE_RTT_DURATION);
                self.probe_rtt_round_done = false;
                self.start_round();
            }
            return;
        }
        self.probe_rtt_round_done |= self.round_start;
        if self.probe_rtt_round_done {
            self.check_probe_rtt_done(window);
        }
    }

    /// MarkConnectionAppLimited, for this state alone: BBR itself causes the low rates.
    fn mark_held_back(&mut self, in_flight: u32) {
        let Some(delivered) = self.delivered else { return };
        let from = self.held_back.map_or(delivered, |[from, _]| from);
        self.held_back = Some([from, delivered.wrapping_add(in_flight)]);
    }

    /// CheckProbeRTTDone.
    pub(super) fn check_probe_rtt_done(&mut self, window: &mut Window) {
        if self.probe_rtt_done_stamp.is_some_and(|at| self.now > at) {
            self.probe_rtt_min_stamp = self.now;
            self.restore_cwnd(window);
            self.exit_probe_rtt();
        }
    }

    /// §5.3.4.4, ExitProbeRTT.
    fn exit_probe_rtt(&mut self) {
        self.reset_short_term_model();
        if self.full_bw_reached {
            self.start_probe_bw_down();
            self.start_probe_bw_cruise();
        } else {
            self.state = State::Startup;
        }
    }

    /// §5.6.4.5, ProbeRTTCwnd.
    pub(super) fn probe_rtt_cwnd(&self, window: &Window) -> u32 {
        let half = self.bdp_multiple(window, State::ProbeRtt.cwnd_gain());
        half.max(MIN_PIPE_SEGMENTS * window.smss())
    }
}

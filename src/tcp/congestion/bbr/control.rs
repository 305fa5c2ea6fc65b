//! Control parameters from the model: the pacing rate and cwnd (draft-ietf-ccwg-bbr §5.6).

use super::super::window::Window;
use super::signals::rate_percent;
use super::state::{Flow, MIN_PIPE_SEGMENTS, NO_VOLUME, Sample, State};
use crate::time::Duration;

/// BBR.PacingMarginPercent: paces this much below the bandwidth, so that queues drain.
const PACING_MARGIN: u64 = 1;

/// §5.6.2, InitPacingRate: StartupPacingGain times the initial window per round trip, or per
/// millisecond.
pub(super) fn initial_rate(window: &Window, srtt: Option<Duration>) -> u64 {
    let nanos = srtt.map_or(1_000_000, |srtt| srtt.as_nanos().max(1));
    let nominal = u128::from(window.initial()) * 1_000_000_000 / u128::from(nanos);
    rate_percent(u64::try_from(nominal).unwrap_or(u64::MAX / 1000), State::Startup.pacing_gain())
}

/// §5.6.3, SetSendQuantum, without segmentation offload: a quantum takes a quarter of a millisecond
/// and is at least two segments. "A BBR implementation SHOULD attempt to use the smallest feasible
/// quanta": the timer wheel ticks in sixteenths of a millisecond.
pub(in crate::tcp) const fn send_quantum(rate: u64, smss: u32) -> u32 {
    let quarter_ms = rate / 4000;
    let quarter_ms = if quarter_ms > 64 * 1024 { 64 * 1024 } else { quarter_ms as u32 };
    if quarter_ms > 2 * smss { quarter_ms } else { 2 * smss }
}

impl Flow {
    /// §5.6.2, SetPacingRate.
    pub(super) fn set_pacing_rate(&mut self) {
        self.set_pacing_rate_with_gain(self.state.pacing_gain());
    }

    /// §5.6.2, SetPacingRateWithGain: the rate only grows until the pipe is full.
    pub(super) fn set_pacing_rate_with_gain(&mut self, gain: u64) {
        let rate = rate_percent(rate_percent(self.bw, gain), 100 - PACING_MARGIN);
        if rate > 0 && (self.full_bw_reached || rate > self.pacing_rate) {
            self.pacing_rate = rate;
        }
    }

    /// §5.6.4.2, BDPMultiple, for `bw`.
    fn bdp_multiple_of(&self, window: &Window, bw: u64, gain: u64) -> u32 {
        let Some(min_rtt) = self.min_rtt else { return window.initial() };
        let bdp = u128::from(bw) * u128::from(min_rtt.as_nanos()) / 1_000_000_000;
        u32::try_from(bdp * u128::from(gain) / 100).unwrap_or(NO_VOLUME)
    }

    /// BDPMultiple of BBR.bw.
    pub(super) fn bdp_multiple(&self, window: &Window, gain: u64) -> u32 {
        self.bdp_multiple_of(window, self.bw, gain)
    }

    /// §5.6.4.2, Inflight.
    pub(super) fn inflight(&self, window: &Window, bw: u64, gain: u64) -> u32 {
        self.quantization_budget(window, self.bdp_multiple_of(window, bw, gain))
    }

    /// §5.6.4.2, QuantizationBudget. §5.5.8 has three quanta for hosts whose NIC segments. Nothing
    /// between this stack and the wire holds segments back, so the budget is one quantum plus the
    /// two segments for which a receiver delays its ACK.
    fn quantization_budget(&self, window: &Window, volume: u32) -> u32 {
        let smss = window.smss();
        let offload_budget = send_quantum(self.pacing_rate, smss).saturating_add(2 * smss);
        let volume = volume.max(offload_budget).max(MIN_PIPE_SEGMENTS * smss);
        let more = if self.state == State::ProbeBwUp { 2 * smss } else { 0 };
        volume.saturating_add(more)
    }

    /// §5.6.4.2, UpdateMaxInflight.
    fn max_inflight(&self, window: &Window) -> u32 {
        let volume = self.bdp_multiple(window, self.state.cwnd_gain());
        self.quantization_budget(window, volume.saturating_add(self.extra_acked()))
    }

    /// §5.6.4.6, SetCwnd.
    pub(super) fn set_cwnd(&self, window: &mut Window, sample: &Sample) {
        let max_inflight = self.max_inflight(window);
        let grown = window.cwnd().saturating_add(sample.newly_acked);
        let mut cwnd = window.cwnd();
        if self.full_bw_reached {
            cwnd = grown.min(max_inflight);
        } else if cwnd < max_inflight || self.delivered_total < window.initial() {
            cwnd = grown;
        }
        cwnd = cwnd.max(MIN_PIPE_SEGMENTS * window.smss());
        if self.state == State::ProbeRtt {
            cwnd = cwnd.min(self.probe_rtt_cwnd(window));
        }
        window.set_cwnd_by_model(cwnd.min(self.volume_cap(window)));
    }

    /// §5.6.4.7, BoundCwndForModel.
    fn volume_cap(&self, window: &Window) -> u32 {
        let cap = match self.state {
            State::ProbeRtt | State::ProbeBwCruise => self.inflight_with_headroom(window),
            state if state.is_probe_bw() => self.inflight_longterm,
            _ => NO_VOLUME,
        };
        cap.min(self.inflight_shortterm).max(MIN_PIPE_SEGMENTS * window.smss())
    }

    /// §5.6.4.4, SaveCwnd.
    pub(super) fn save_cwnd(&mut self, window: &Window) {
        let cwnd = window.cwnd();
        let held = self.in_recovery || self.state == State::ProbeRtt;
        self.prior_cwnd = if held { self.prior_cwnd.max(cwnd) } else { cwnd };
    }

    /// §5.6.4.4, RestoreCwnd.
    pub(super) fn restore_cwnd(&self, window: &mut Window) {
        window.set_cwnd_by_model(window.cwnd().max(self.prior_cwnd));
    }
}

//! Order of the steps for each fact (draft-ietf-ccwg-bbr §5.2).

use super::super::facts::{Ack, Sent};
use super::super::window::Window;
use super::control;
use super::state::{Flow, Sample, State};
use crate::rng::Rng;
use crate::tcp::rate::Loss;
use crate::time::Duration;

/// State of the algorithm beside the window; allocated with the first data.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Bbr(pub(super) Option<Box<Flow>>);

impl Bbr {
    fn flow(&mut self) -> &mut Flow {
        self.0.get_or_insert_default()
    }

    /// C.pacing_rate.
    pub(in super::super) fn pacing_rate(&self, window: &Window, srtt: Option<Duration>) -> u64 {
        match &self.0 {
            Some(flow) if flow.pacing_rate > 0 => flow.pacing_rate,
            _ => control::initial_rate(window, srtt),
        }
    }

    /// §5.2.2, OnTransmit.
    pub(in super::super) fn on_sent(&mut self, window: &mut Window, sent: &Sent) {
        let flow = self.flow();
        flow.now = sent.now;
        if sent.in_flight <= sent.bytes {
            flow.begin_flight();
            if sent.app_limited {
                flow.restart_from_idle(window);
            }
        }
    }

    /// §5.2.3, UpdateOnACK.
    pub(in super::super) fn on_ack(&mut self, window: &mut Window, ack: &Ack) {
        let flow = self.flow();
        flow.now = ack.now;
        flow.rng
            .get_or_insert_with(|| Rng::new(ack.now.as_nanos() ^ u64::from(ack.snd_nxt.0) << 32));
        let sample = flow.sample(window, ack);
        flow.update_model_and_state(window, &sample);
        flow.update_control_parameters(window, &sample);
    }

    /// §5.2.4, HandleLostPacket.
    pub(in super::super) fn on_lost(&mut self, window: &mut Window, loss: &Loss) {
        self.flow().on_lost(window, loss);
    }

    /// §5.6.4.4, OnEnterFastRecovery.
    pub(in super::super) fn on_enter_recovery(&mut self, window: &Window) {
        self.flow().save_state_upon_loss(window);
        self.flow().in_recovery = true;
    }

    /// §5.6.4.4: "BBR restores the best-known cwnd value we had upon entering loss recovery"; the
    /// ACK that ends recovery then bounds it by the model.
    pub(in super::super) fn on_exit_recovery(&mut self, window: &mut Window) {
        self.flow().in_recovery = false;
        self.flow().restore_cwnd(window);
    }

    /// §5.6.4.4, OnEnterRTO: "a value that will allow 1 C.SMSS to be transmitted".
    pub(in super::super) fn on_timeout(&mut self, window: &mut Window) {
        self.flow().save_state_upon_loss(window);
        self.flow().in_recovery = true;
        window.set_cwnd_by_model(window.smss());
    }

    /// §5.5.11.2, HandleSpuriousLossDetection.
    pub(in super::super) fn on_undo(&mut self, window: &mut Window) {
        self.flow().in_recovery = false;
        self.flow().on_spurious_loss(window);
    }

    /// §3.6: a mark counts as a loss without retransmission.
    pub(in super::super) fn on_congestion_echo(&mut self, window: &mut Window, in_flight: u32) {
        self.flow().on_congestion_echo(window, in_flight);
    }
}

impl Flow {
    /// §5.2.3, UpdateModelAndState.
    fn update_model_and_state(&mut self, window: &mut Window, sample: &Sample) {
        self.update_latest_delivery_signals(sample);
        self.update_congestion_signals(window, sample);
        self.update_ack_aggregation(window, sample);
        self.check_full_bw_reached(sample);
        self.check_startup_done(window, sample);
        self.check_drain_done(window, sample);
        self.update_probe_bw_cycle_phase(window, sample);
        self.update_min_rtt(sample);
        self.check_probe_rtt(window, sample);
        self.advance_latest_delivery_signals(sample);
        self.bound_bw_for_model();
    }

    /// §5.2.3, UpdateControlParameters.
    fn update_control_parameters(&mut self, window: &mut Window, sample: &Sample) {
        self.set_pacing_rate();
        self.set_cwnd(window, sample);
    }

    /// §5.4, HandleRestartFromIdle.
    fn restart_from_idle(&mut self, window: &mut Window) {
        self.idle_restart = true;
        self.extra_acked_start = self.now;
        if self.state.is_probe_bw() {
            self.set_pacing_rate_with_gain(100);
        } else if self.state == State::ProbeRtt {
            self.check_probe_rtt_done(window);
        }
    }
}

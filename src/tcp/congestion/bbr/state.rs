//! State of a flow and the sample of an ACK (draft-ietf-ccwg-bbr §2).

use super::super::facts::Ack;
use super::super::window::Window;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// No bound on a volume of data.
pub(super) const NO_VOLUME: u32 = u32::MAX;

/// No bound on a rate.
pub(super) const NO_RATE: u64 = u64::MAX;

/// BBR.MinPipeCwnd in segments: keeps a receiver busy that acknowledges every other segment.
pub(super) const MIN_PIPE_SEGMENTS: u32 = 4;

/// BBR.state (§5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Startup,
    Drain,
    ProbeBwDown,
    ProbeBwCruise,
    ProbeBwRefill,
    ProbeBwUp,
    ProbeRtt,
}

impl State {
    /// IsInAProbeBWState.
    pub(super) const fn is_probe_bw(self) -> bool {
        matches!(
            self,
            Self::ProbeBwDown | Self::ProbeBwCruise | Self::ProbeBwRefill | Self::ProbeBwUp
        )
    }

    /// IsProbingBW: sends more than the path is known to carry.
    pub(super) const fn is_probing(self) -> bool {
        matches!(self, Self::Startup | Self::ProbeBwRefill | Self::ProbeBwUp)
    }

    /// BBR.pacing_gain in percent (§5.6.1).
    pub(super) const fn pacing_gain(self) -> u64 {
        match self {
            Self::Startup => 277,
            Self::Drain => 50,
            Self::ProbeBwDown => 90,
            Self::ProbeBwCruise | Self::ProbeBwRefill | Self::ProbeRtt => 100,
            Self::ProbeBwUp => 125,
        }
    }

    /// BBR.cwnd_gain in percent (§5.6.1).
    pub(super) const fn cwnd_gain(self) -> u64 {
        match self {
            Self::ProbeBwUp => 225,
            Self::ProbeRtt => 50,
            _ => 200,
        }
    }
}

/// BBR.ack_phase: the part of the probe that arriving ACKs report on (§2.11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AckPhase {
    /// Not probing.
    #[default]
    Init,
    /// Sending at the estimated bandwidth to fill the pipe.
    Refilling,
    /// The flight is growing.
    ProbeStarting,
    /// Feedback of the probe arrives.
    ProbeFeedback,
    /// The probe has ended; its feedback still arrives.
    ProbeStopping,
}

/// The rate sample RS of one ACK (§2.3).
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// RS.delivery_rate in bytes per second; 0 without a reliable sample.
    pub(super) rate: u64,
    /// RS.delivered.
    pub(super) delivered: u32,
    /// RS.prior_delivered; `None` if the ACK delivered nothing.
    pub(super) prior_delivered: Option<u32>,
    pub(super) rtt: Option<Duration>,
    pub(super) newly_acked: u32,
    pub(super) tx_in_flight: u32,
    /// RS.lost.
    pub(super) lost: u32,
    pub(super) is_app_limited: bool,
    /// C.inflight after the ACK.
    pub(super) in_flight: u32,
}

impl Sample {
    /// Sample of an ACK that measures nothing.
    pub(super) const NONE: Self = Self {
        rate: 0,
        delivered: 0,
        prior_delivered: None,
        rtt: None,
        newly_acked: 0,
        tx_in_flight: 0,
        lost: 0,
        is_app_limited: false,
        in_flight: 0,
    };
}

/// State of one flow. An unset bound is [`NO_VOLUME`] or [`NO_RATE`].
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) state: State,
    pub(super) ack_phase: AckPhase,
    /// The time of the last fact.
    pub(super) now: Instant,
    /// Seeded by the first ACK's time and sequence number.
    pub(super) rng: Option<Rng>,
    /// C.pacing_rate; 0 before the first sample.
    pub(super) pacing_rate: u64,
    /// True during loss recovery.
    pub(super) in_recovery: bool,

    // Rounds (§5.5.1).
    /// C.delivered, if known in this flight.
    pub(super) delivered: Option<u32>,
    /// Bytes delivered since the start, saturating at 2^32 - 1.
    pub(super) delivered_total: u32,
    /// End of the round; `None` lets the next sample end it.
    pub(super) next_round_delivered: Option<u32>,
    pub(super) round_count: u32,
    pub(super) round_start: bool,
    /// True if cwnd limited the flight in this round, and in the last one.
    pub(super) cwnd_limited: [bool; 2],

    // The rates (§5.5.2 to §5.5.6).
    /// BBR.max_bw_filter of the previous cycle and of this one.
    pub(super) max_bw_filter: [u64; 2],
    pub(super) bw_shortterm: u64,
    pub(super) bw: u64,
    pub(super) full_bw: u64,
    pub(super) full_bw_count: u8,
    pub(super) full_bw_now: bool,
    pub(super) full_bw_reached: bool,

    // The volumes.
    pub(super) inflight_longterm: u32,
    pub(super) inflight_shortterm: u32,

    // The round trip (§5.3.4.3, §5.5.7).
    pub(super) min_rtt: Option<Duration>,
    pub(super) min_rtt_stamp: Instant,
    pub(super) probe_rtt_min_delay: Option<Duration>,
    pub(super) probe_rtt_min_stamp: Instant,
    pub(super) probe_rtt_expired: bool,
    pub(super) probe_rtt_done_stamp: Option<Instant>,
    pub(super) probe_rtt_round_done: bool,
    /// Range of C.delivered in which segments were sent while ProbeRTT limited the flight: first
    /// and last.
    pub(super) held_back: Option<[u32; 2]>,

    // Aggregation of ACKs (§5.5.9).
    pub(super) extra_acked_start: Instant,
    pub(super) extra_acked_delivered: u32,
    /// Maximum of the previous half window and of the current one, and the round in which the
    /// current one began.
    pub(super) extra_acked_filter: [u32; 2],
    pub(super) extra_acked_round: u32,

    // Losses of the round (§5.5.10.3).
    pub(super) bw_latest: u64,
    pub(super) inflight_latest: u32,
    pub(super) loss_round_delivered: Option<u32>,
    pub(super) loss_round_start: bool,
    pub(super) is_loss_in_round: bool,
    /// ECN reported more congestion in the round than is tolerated.
    pub(super) is_marked_in_round: bool,
    /// ACKs of this round that revealed losses.
    pub(super) loss_events: u8,
    /// Bytes of this round that arrived marked, and bytes delivered.
    pub(super) marked_in_round: [u32; 2],

    // The cycle of ProbeBW (§5.3.3).
    pub(super) cycle_stamp: Instant,
    pub(super) bw_probe_wait: Duration,
    pub(super) rounds_since_probe_up: u32,
    pub(super) bw_probe_up_rounds: u32,
    pub(super) bw_probe_up_acked: u32,
    pub(super) probe_up_acked_per_inc: u32,
    pub(super) is_bw_probe_sample: bool,
    pub(super) prev_probe_too_high: bool,
    pub(super) prev_probe_precautionary: bool,
    pub(super) drain_start_round: u32,

    // Idleness and undoing.
    pub(super) idle_restart: bool,
    pub(super) prior_cwnd: u32,
    pub(super) undo_state: Option<State>,
    pub(super) undo_bw_shortterm: u64,
    pub(super) undo_inflight_shortterm: u32,
    pub(super) undo_inflight_longterm: u32,
}

/// §5.2.1, OnInit.
impl Default for Flow {
    fn default() -> Self {
        Self {
            state: State::Startup,
            ack_phase: AckPhase::Init,
            now: Instant::ZERO,
            rng: None,
            pacing_rate: 0,
            in_recovery: false,
            delivered: None,
            delivered_total: 0,
            next_round_delivered: None,
            round_count: 0,
            round_start: false,
            cwnd_limited: [false; 2],
            max_bw_filter: [0; 2],
            bw_shortterm: NO_RATE,
            bw: 0,
            full_bw: 0,
            full_bw_count: 0,
            full_bw_now: false,
            full_bw_reached: false,
            inflight_longterm: NO_VOLUME,
            inflight_shortterm: NO_VOLUME,
            min_rtt: None,
            min_rtt_stamp: Instant::ZERO,
            probe_rtt_min_delay: None,
            probe_rtt_min_stamp: Instant::ZERO,
            probe_rtt_expired: false,
            probe_rtt_done_stamp: None,
            probe_rtt_round_done: false,
            held_back: None,
            extra_acked_start: Instant::ZERO,
            extra_acked_delivered: 0,
            extra_acked_filter: [0; 2],
            extra_acked_round: 0,
            bw_latest: 0,
            inflight_latest: 0,
            loss_round_delivered: None,
            loss_round_start: false,
            is_loss_in_round: false,
            is_marked_in_round: false,
            loss_events: 0,
            marked_in_round: [0; 2],
            cycle_stamp: Instant::ZERO,
            bw_probe_wait: Duration::ZERO,
            rounds_since_probe_up: 0,
            bw_probe_up_rounds: 0,
            bw_probe_up_acked: 0,
            probe_up_acked_per_inc: NO_VOLUME,
            is_bw_probe_sample: false,
            prev_probe_too_high: false,
            prev_probe_precautionary: false,
            drain_start_round: 0,
            idle_restart: false,
            prior_cwnd: 0,
            undo_state: None,
            undo_bw_shortterm: 0,
            undo_inflight_shortterm: 0,
            undo_inflight_longterm: 0,
        }
    }
}

/// Returns true if the count `a` has reached `b`, both modulo 2^32.
pub(super) const fn reached(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 >= 0
}

impl Flow {
    /// Starts a flight: the counts of the rate estimator may restart.
    pub(super) const fn begin_flight(&mut self) {
        self.delivered = None;
        self.next_round_delivered = None;
        self.loss_round_delivered = None;
        self.held_back = None;
    }

    /// Returns the sample of an ACK and updates the counts.
    pub(super) fn sample(&mut self, window: &Window, ack: &Ack) -> Sample {
        self.delivered_total = self.delivered_total.saturating_add(ack.delivered);
        self.marked_in_round[0] = self.marked_in_round[0].saturating_add(ack.ce);
        self.marked_in_round[1] = self.marked_in_round[1].saturating_add(ack.delivered);
        let full = ack.prior_in_flight.saturating_add(window.smss()) > window.cwnd();
        self.cwnd_limited[0] |= ack.cwnd_limited || full;
        if ack.lost > 0 {
            self.loss_events = self.loss_events.saturating_add(1);
        }
        let mut sample = Sample {
            rtt: ack.rtt,
            newly_acked: ack.delivered,
            in_flight: ack.in_flight,
            ..Sample::NONE
        };
        let Some(rate) = ack.rate else { return sample };
        self.delivered = Some(rate.total_delivered);
        // §4.1.2.3: "if (RS.interval < C.min_rtt) return /* no reliable rate sample */"
        if self.min_rtt.is_none_or(|min_rtt| rate.interval >= min_rtt) {
            sample.rate = rate.bytes_per_second();
        }
        sample.delivered = rate.delivered;
        sample.prior_delivered = Some(rate.prior_delivered);
        sample.tx_in_flight = rate.tx_in_flight;
        sample.lost = rate.lost;
        sample.is_app_limited = rate.is_app_limited || self.was_held_back(rate.prior_delivered);
        sample
    }

    /// Returns true if a segment sent when C.delivered was `prior` was sent in ProbeRTT: §5.3.4.3
    /// marks the connection application-limited then, "to ignore low rate samples".
    fn was_held_back(&self, prior: u32) -> bool {
        self.held_back.is_some_and(|[from, to]| prior.wrapping_sub(from) <= to.wrapping_sub(from))
    }

    /// C.is_cwnd_limited, over the last round trip.
    pub(super) const fn is_cwnd_limited(&self) -> bool {
        self.cwnd_limited[0] || self.cwnd_limited[1]
    }

    /// BBR.max_bw.
    pub(super) fn max_bw(&self) -> u64 {
        self.max_bw_filter[0].max(self.max_bw_filter[1])
    }
}

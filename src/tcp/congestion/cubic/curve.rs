//! The window of CUBIC as a function of time (RFC 9438 §4).

use super::super::facts::{Ack, SlowStartExit};
use super::super::hystart::{CSS_GROWTH_DIVISOR, HyStart, Pace};
use super::super::hystart_classic::ClassicHyStart;
use super::super::window::{Growth, Undo, Window};
use super::stage::{BETA, Stage};
use crate::time::{Duration, Instant};

/// beta_ecn of RFC 8511 §3.1 for CUBIC: a mark means a short queue, which a larger reduction would
/// drain.
const BETA_ECN: f64 = 0.85;

/// State of the algorithm beside the window.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Cubic {
    curve: Option<Box<Curve>>,
}

/// The curve that the window follows.
#[derive(Clone, Debug, Default)]
struct Curve {
    /// W_max: the plateau. With `None` the next stage starts on it.
    w_max: Option<f64>,
    /// cwnd when ssthresh was last set.
    cwnd_prior: f64,
    /// Smoothed round trip, seconds.
    rtt: f64,
    /// Fraction of a byte that cwnd has yet to grow by.
    credit: f64,
    /// The current stage of congestion avoidance.
    stage: Option<Stage>,
    /// State to restore if the last reduction was spurious.
    saved: Option<Box<Saved>>,
    detector: Detector,
}

/// Detector of the end of the first slow start.
#[derive(Clone, Debug)]
enum Detector {
    PlusPlus(HyStart),
    Classic(ClassicHyStart),
}

impl Default for Detector {
    fn default() -> Self {
        Self::PlusPlus(HyStart::default())
    }
}

/// RFC 9438 §4.9.2: undo_cwnd, undo_ssthresh, undo_cwnd_prior, undo_W_max, and undo_K, undo_t_epoch
/// and undo_W_est in the stage.
#[derive(Clone, Debug)]
struct Saved {
    window: Undo,
    w_max: Option<f64>,
    cwnd_prior: f64,
    stage: Option<Stage>,
}

impl Cubic {
    #[inline]
    pub(in super::super) fn on_ack(&mut self, window: &mut Window, ack: &Ack) {
        if let (Some(curve), Some(rtt)) = (self.curve.as_deref_mut(), ack.rtt) {
            curve.on_rtt(rtt);
        }
        match window.on_ack(ack) {
            Growth::SlowStart => self.slow_start(window, ack),
            Growth::Avoidance => self.avoid_congestion(window, ack),
            Growth::Unused => self.pause(),
            Growth::Done => {}
        }
    }

    /// RFC 9438 §4.10:
    ///   > CUBIC SHOULD use the HyStart++ slow start algorithm
    ///
    /// RFC 9406 §4.3: only for the first slow start. A round of the initial window has too few ACKs
    /// to be judged.
    fn slow_start(&mut self, window: &mut Window, ack: &Ack) {
        let growth = window.slow_start_growth(ack);
        let pace = match ack.slow_start_exit {
            _ if !window.is_first_slow_start() => Pace::Standard,
            SlowStartExit::Loss => Pace::Standard,
            SlowStartExit::HyStart => {
                self.curve.get_or_insert_default().classic(ack, window.cwnd() / window.smss())
            }
            SlowStartExit::HyStartPlusPlus if window.cwnd() < 2 * window.initial() => {
                Pace::Standard
            }
            SlowStartExit::HyStartPlusPlus => self.curve.get_or_insert_default().plus_plus(ack),
        };
        match pace {
            Pace::Standard => window.grow(growth),
            Pace::Conservative => window.grow(growth / CSS_GROWTH_DIVISOR),
            Pace::Over => self.end_slow_start(window),
        }
    }

    /// RFC 9438 §4.10: without a loss W_max is undefined; cwnd_prior is cwnd, and the first stage
    /// starts on its plateau.
    fn end_slow_start(&mut self, window: &mut Window) {
        window.end_slow_start();
        let cwnd = segments(window);
        let curve = self.curve.get_or_insert_default();
        curve.cwnd_prior = cwnd;
        curve.w_max = None;
    }

    /// RFC 9438 §4.2 to §4.5: congestion avoidance.
    fn avoid_congestion(&mut self, window: &mut Window, ack: &Ack) {
        let smss = f64::from(window.smss());
        let cwnd = f64::from(window.cwnd()) / smss;
        let curve = self.curve.get_or_insert_default();
        if curve.rtt == 0.0
            && let Some(rtt) = ack.rtt
        {
            curve.on_rtt(rtt);
        }
        let growth = curve.growth(cwnd, f64::from(ack.growth()) / smss, ack.now);
        let bytes = growth * smss + curve.credit;
        curve.credit = bytes.fract();
        window.grow(bytes as u32);
    }

    /// RFC 9438 §4.6 and §4.7, in bytes. Reduces cwnd, as other systems do, where Reno uses
    /// FlightSize: a program with little in flight keeps the proven window. §4.6 then requires that
    /// an unused window does not grow: RFC 7661 in [`Window::on_ack`].
    pub(in super::super) fn ssthresh_after_loss(&mut self, window: &mut Window) -> u32 {
        self.on_congestion(window);
        (f64::from(window.cwnd()) * BETA) as u32
    }

    /// RFC 8511 §3.1 in congestion avoidance; in slow start a mark means a queue as long as at a
    /// loss. Reduces cwnd, as after a loss.
    pub(in super::super) fn ssthresh_after_echo(&mut self, window: &mut Window) -> u32 {
        let beta = if window.is_slow_start() { BETA } else { BETA_ECN };
        self.on_congestion(window);
        (f64::from(window.cwnd()) * beta) as u32
    }

    fn on_congestion(&mut self, window: &mut Window) {
        let (cwnd, before) = (segments(window), window.before_reduction());
        let curve = self.curve.get_or_insert_default();
        let (w_max, cwnd_prior, stage) = (curve.w_max, curve.cwnd_prior, curve.stage.clone());
        curve.saved = Some(Box::new(Saved { window: before, w_max, cwnd_prior, stage }));
        curve.on_loss(cwnd);
    }

    /// RFC 9438 §4.9.2:
    ///   > CUBIC MAY restore the original values of the above-mentioned variables as follows if the
    ///   > current cwnd is lower than cwnd_prior.
    pub(in super::super) fn on_undo(&mut self, window: &mut Window) {
        let cwnd = segments(window);
        let Some(curve) = self.curve.as_deref_mut() else { return };
        let Some(before) = curve.saved.take().filter(|_| cwnd < curve.cwnd_prior) else { return };
        window.on_undo(before.window);
        (curve.w_max, curve.cwnd_prior, curve.stage) =
            (before.w_max, before.cwnd_prior, before.stage);
        // The window did not follow the curve in the time between.
        self.pause();
    }

    /// RFC 9438 §4.8: after a timeout the first stage has K = 0 and W_max = the window it begins
    /// with.
    pub(in super::super) fn forget_plateau(&mut self) {
        if let Some(curve) = self.curve.as_deref_mut() {
            curve.w_max = None;
        }
    }

    pub(in super::super) fn on_idle(&mut self, window: &mut Window) {
        window.on_idle();
        if let Some(curve) = self.curve.as_deref_mut() {
            curve.stage = None;
            curve.credit = 0.0;
        }
    }

    /// RFC 9438 §4.2: t excludes time in which the application, not cwnd, limits the flight.
    pub(in super::super) fn pause(&mut self) {
        if let Some(stage) = self.curve.as_deref_mut().and_then(|curve| curve.stage.as_mut()) {
            stage.pause();
        }
    }
}

/// Returns cwnd in segments.
fn segments(window: &Window) -> f64 {
    f64::from(window.cwnd()) / f64::from(window.smss())
}

impl Curve {
    fn plus_plus(&mut self, ack: &Ack) -> Pace {
        if let Detector::PlusPlus(hystart) = &mut self.detector {
            return hystart.on_ack(ack);
        }
        self.detector = Detector::default();
        Pace::Standard
    }

    fn classic(&mut self, ack: &Ack, window: u32) -> Pace {
        if let Detector::Classic(hystart) = &mut self.detector {
            return hystart.on_ack(ack, window);
        }
        let mut hystart = ClassicHyStart::default();
        let pace = hystart.on_ack(ack, window);
        self.detector = Detector::Classic(hystart);
        pace
    }

    fn on_rtt(&mut self, sample: Duration) {
        let sample = sample.as_secs_f64();
        self.rtt = if self.rtt == 0.0 { sample } else { 0.875 * self.rtt + 0.125 * sample };
    }

    fn on_loss(&mut self, cwnd: f64) {
        // RFC 9438 §4.7, fast convergence: a flow that loses before it has climbed back leaves room
        // for a new one.
        let climbing = self.w_max.is_some_and(|w_max| cwnd < w_max);
        self.w_max = Some(if climbing { cwnd * (1.0 + BETA) / 2.0 } else { cwnd });
        self.cwnd_prior = cwnd;
        self.stage = None;
        self.credit = 0.0;
    }

    /// Returns the growth of cwnd on an ACK of `acked` segments, in segments.
    fn growth(&mut self, cwnd: f64, acked: f64, now: Instant) -> f64 {
        let (rtt, cwnd_prior) = (self.rtt, self.cwnd_prior);
        let w_max = *self.w_max.get_or_insert(cwnd);
        let stage = self.stage.get_or_insert_with(|| Stage::new(cwnd, w_max));
        stage.growth(cwnd, acked, now, rtt, cwnd_prior)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

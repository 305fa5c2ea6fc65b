//! One stage of congestion avoidance, between two reductions: the cubic function, and the window
//! that Reno would have (RFC 9438 §4.2 to §4.5). Pure arithmetic in segments and seconds, as in the
//! RFC.

use crate::time::Instant;

/// C of RFC 9438 §5 in segments per second cubed. A larger C crowds out Reno; a smaller one fills
/// long fat paths slowly.
const C: f64 = 0.4;

/// beta_cubic of RFC 9438 §4.6: fraction of the window that remains after a loss.
pub(super) const BETA: f64 = 0.7;

/// alpha_cubic of RFC 9438 §4.3: with beta_cubic, the growth that gives Reno's throughput.
pub(super) const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// Progress of the window along the curve.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    w_max: f64,
    /// Seconds from the start to the plateau.
    pub(super) k: f64,
    /// The window that Reno would have.
    w_est: f64,
    /// t: seconds since the start, without pauses.
    elapsed: f64,
    /// Last time at which `elapsed` advanced; `None` while the window is not used.
    clock: Option<Instant>,
}

impl Stage {
    /// Starts with a window of `cwnd_epoch`, towards the plateau at `w_max`.
    pub(super) fn new(cwnd_epoch: f64, w_max: f64) -> Self {
        // RFC 9438 §4.2, equation (2); a window already above the plateau starts on it.
        let w_max = w_max.max(cwnd_epoch);
        let k = ((w_max - cwnd_epoch) / C).cbrt();
        Self { w_max, k, w_est: cwnd_epoch, elapsed: 0.0, clock: None }
    }

    /// Stops time until the window is used again.
    pub(super) const fn pause(&mut self) {
        self.clock = None;
    }

    fn advance(&mut self, now: Instant) {
        if let Some(before) = self.clock {
            self.elapsed += now.since(before).as_secs_f64();
        }
        self.clock = Some(now);
    }

    /// RFC 9438 §4.2, equation (1).
    pub(super) fn w_cubic(&self, t: f64) -> f64 {
        C * (t - self.k).powi(3) + self.w_max
    }

    /// Returns the growth in segments of a window of `cwnd` on an ACK of `acked`, with a round trip
    /// of `rtt` seconds; `cwnd_prior` is the window when ssthresh was last set.
    pub(super) fn growth(
        &mut self,
        cwnd: f64,
        acked: f64,
        now: Instant,
        rtt: f64,
        cwnd_prior: f64,
    ) -> f64 {
        self.advance(now);
        // RFC 9438 §4.3: W_est = W_est + alpha_cubic * segments_acked / cwnd; alpha_cubic is 1 once
        // W_est has reached cwnd_prior.
        let alpha = if self.w_est >= cwnd_prior { 1.0 } else { ALPHA };
        self.w_est += alpha * acked / cwnd;
        // RFC 9438 §4.3: where W_cubic(t) is below W_est, cwnd becomes W_est, so never less than
        // Reno.
        if self.w_cubic(self.elapsed) < self.w_est {
            return (self.w_est - cwnd).max(0.0);
        }
        // RFC 9438 §4.2, the target one round trip ahead, bounded; §4.4, §4.5: (target - cwnd) /
        // cwnd for each segment acknowledged.
        let target = self.w_cubic(self.elapsed + rtt).clamp(cwnd, 1.5 * cwnd);
        (target - cwnd) / cwnd * acked
    }
}

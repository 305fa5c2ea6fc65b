//! The round-trip time and the retransmission timeout (RFC 6298), in eight bytes.
//!
//! Owns the smoothed mean and deviation. Refuses to know which segments may be timed (Karn's
//! algorithm) and how often the timer has backed off: the connection tracks both.

use crate::tcp::Settings;
use crate::time::Duration;

/// Largest sample, microseconds: eight times its value still fits in 32 bits.
const SAMPLE_US_MAX: u64 = (u32::MAX / 16) as u64;

/// SRTT and RTTVAR in fixed point, so that the gains 1/8 and 1/4 are shifts without loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rtt {
    /// 8 x SRTT in microseconds; zero until the first sample.
    srtt_x8: u32,
    /// 4 x RTTVAR in microseconds.
    rttvar_x4: u32,
}

impl Rtt {
    /// Processes a measured round trip R'. The caller must not pass samples of retransmitted
    /// segments, unless a timestamp identifies the acknowledged copy (RFC 6298 §3).
    #[inline]
    pub fn on_sample(&mut self, sample: Duration) {
        // Clamp tiny samples to 1: zero means "no sample yet".
        let r = sample.as_micros().clamp(1, SAMPLE_US_MAX) as u32;
        if self.srtt_x8 == 0 {
            // RFC 6298 (2.2): SRTT <- R, RTTVAR <- R/2.
            self.srtt_x8 = r * 8;
            self.rttvar_x4 = r * 2;
            return;
        }
        // RFC 6298 (2.3): RTTVAR <- 3/4 RTTVAR + 1/4 |SRTT - R'|, with the SRTT of before:
        //   > The value of SRTT used in the update to RTTVAR is its value before updating SRTT
        //   > itself
        let error = (self.srtt_x8 / 8).abs_diff(r);
        self.rttvar_x4 = self.rttvar_x4 - self.rttvar_x4 / 4 + error;
        // SRTT <- 7/8 SRTT + 1/8 R'
        self.srtt_x8 = self.srtt_x8 - self.srtt_x8 / 8 + r;
    }

    /// Processes the first sample of new data after a spurious timeout, RFC 4015 §3.1 (11).
    /// `before` is the estimate before that timeout. The timer was "a tad too early", by twice
    /// `margin` (G).
    pub fn on_sample_after_spurious_timeout(
        &mut self,
        before: &Self,
        sample: Duration,
        margin: Duration,
    ) {
        let r = sample.as_micros().clamp(1, SAMPLE_US_MAX) as u32;
        let tad = (margin.as_micros() * 2).min(SAMPLE_US_MAX) as u32;
        let (srtt, rttvar) = ((before.srtt_x8 / 8).saturating_add(tad), before.rttvar_x4 / 4);
        self.srtt_x8 = srtt.max(r).min(SAMPLE_US_MAX as u32) * 8;
        self.rttvar_x4 = rttvar.max(r / 2).min(SAMPLE_US_MAX as u32) * 4;
    }

    /// Returns RTO <- SRTT + max(G, K*RTTVAR), K = 4 (RFC 6298 (2.3)), within the bounds of (2.4)
    /// and (2.5). Before the first sample, returns the initial timeout (2.1). Backoff is not
    /// included.
    #[inline]
    pub fn rto(&self, settings: &Settings) -> Duration {
        let Some(srtt) = self.srtt() else { return settings.rto_initial };
        let rto = srtt + settings.rto_margin.max(Duration::from_micros(u64::from(self.rttvar_x4)));
        rto.max(settings.rto_min).min(settings.rto_max)
    }

    /// Returns the smoothed round-trip time, if a sample exists.
    #[inline]
    pub fn srtt(&self) -> Option<Duration> {
        (self.srtt_x8 != 0).then(|| Duration::from_nanos(u64::from(self.srtt_x8) * 125))
    }

    /// Returns the smoothed deviation, if a sample exists.
    #[inline]
    pub fn rttvar(&self) -> Option<Duration> {
        (self.srtt_x8 != 0).then(|| Duration::from_nanos(u64::from(self.rttvar_x4) * 250))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples_us: &[u64]) -> Rtt {
        let mut rtt = Rtt::default();
        for &us in samples_us {
            rtt.on_sample(Duration::from_micros(us));
        }
        rtt
    }

    /// Returns settings without a lower bound on the RTO.
    fn unbounded() -> Settings {
        Settings { rto_min: Duration::ZERO, ..Settings::default() }
    }

    #[test]
    fn an_estimate_takes_8_bytes() {
        assert_eq!(size_of::<Rtt>(), 8);
    }

    #[test]
    fn the_initial_timeout_applies_before_any_sample() {
        let rtt = Rtt::default();
        assert_eq!(rtt.rto(&Settings::default()), Duration::from_secs(1));
        assert_eq!((rtt.srtt(), rtt.rttvar()), (None, None));
    }

    #[test]
    fn the_first_sample_is_the_mean_and_half_of_it_the_deviation() {
        let rtt = after(&[100_000]);
        assert_eq!(rtt.srtt(), Some(Duration::from_millis(100)));
        assert_eq!(rtt.rttvar(), Some(Duration::from_millis(50)));
        assert_eq!(rtt.rto(&unbounded()), Duration::from_millis(100 + 4 * 50));
    }

    #[test]
    fn later_samples_move_the_mean_by_an_eighth_and_the_deviation_by_a_quarter() {
        let rtt = after(&[100_000, 180_000]);
        // RTTVAR = 3/4 * 50 + 1/4 * |100 - 180| = 57.5; SRTT = 7/8 * 100 + 1/8 * 180 = 110.
        assert_eq!(rtt.rttvar(), Some(Duration::from_micros(57_500)));
        assert_eq!(rtt.srtt(), Some(Duration::from_millis(110)));
        assert_eq!(rtt.rto(&unbounded()), Duration::from_millis(110 + 230));
    }

    #[test]
    fn on_a_steady_path_only_the_granularity_is_added() {
        let rtt = after(&[80_000; 200]);
        assert_eq!(rtt.srtt(), Some(Duration::from_millis(80)));
        assert_eq!(rtt.rto(&unbounded()), Duration::from_millis(81));
    }

    #[test]
    fn the_timeout_stays_within_its_bounds() {
        let settings = Settings::default();
        assert_eq!(after(&[10]).rto(&settings), settings.rto_min);
        assert_eq!(after(&[50_000_000]).rto(&settings), settings.rto_max);
    }

    #[test]
    fn zero_and_huge_samples_are_clamped() {
        assert_eq!(after(&[0]).srtt(), Some(Duration::from_micros(1)));
        let longest = after(&[u64::MAX / 1000, 0, u64::MAX / 1000, 0]);
        assert_eq!(longest.rto(&Settings::default()), Settings::default().rto_max);
    }

    #[test]
    fn after_a_spurious_timeout_the_timer_is_more_conservative() {
        // RFC 4015 §3.1 (11): SRTT <- max (SRTT_prev, RTT-SAMPLE), RTTVAR <- max (RTTVAR_prev,
        // RTT-SAMPLE/2)
        let (before, margin) = (after(&[100_000]), Duration::from_millis(1));
        let mut rtt = after(&[100_000, 10, 10]);
        rtt.on_sample_after_spurious_timeout(&before, Duration::from_millis(300), margin);
        assert_eq!(rtt.srtt(), Some(Duration::from_millis(300)));
        assert_eq!(rtt.rttvar(), Some(Duration::from_millis(150)));
        rtt.on_sample_after_spurious_timeout(&before, Duration::from_millis(20), margin);
        assert_eq!(rtt.srtt(), Some(Duration::from_millis(102)), "SRTT + (2 * G)");
        assert_eq!(rtt.rttvar(), Some(Duration::from_millis(50)));
    }

    #[test]
    fn fixed_point_follows_the_formula_in_floating_point() {
        let mut rng = crate::rng::Rng::new(6298);
        let (mut rtt, mut srtt, mut rttvar) = (Rtt::default(), 0.0, 0.0);
        for round in 0..1_000 {
            let r = 200 + rng.below(5_000);
            rtt.on_sample(Duration::from_micros(r));
            let r = r as f64;
            (srtt, rttvar) = if round == 0 {
                (r, r / 2.0)
            } else {
                (0.875 * srtt + 0.125 * r, 0.75 * rttvar + 0.25 * f64::abs(srtt - r))
            };
            let (mean, deviation) = (rtt.srtt().unwrap(), rtt.rttvar().unwrap());
            assert!((mean.as_nanos() as f64 / 1e3 - srtt).abs() < 2.0);
            assert!((deviation.as_nanos() as f64 / 1e3 - rttvar).abs() < 2.0);
        }
    }
}

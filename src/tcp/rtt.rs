//! The round-trip time and the retransmission timeout (RFC 6298), in eight bytes.
//!
//! Owns the smoothed mean and deviation. Refuses to know which segments may be timed (Karn's algorithm)
//! and how often the timer has backed off: both are the connection's.

use super::Settings;
use crate::time::Duration;

/// G of RFC 6298: the tick of the timer wheel. Smaller, and a timer that fires a tick early would beat
/// the ACK on a path with no variance; larger, and short paths wait for nothing.
const GRANULARITY: Duration = Duration::from_millis(1);

/// The longest sample that is kept, microseconds: eight times it still fits in 32 bits.
const SAMPLE_US_MAX: u64 = (u32::MAX / 16) as u64;

/// SRTT and RTTVAR, fixed-point so that the gains 1/8 and 1/4 are shifts that lose nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rtt {
    /// 8 x SRTT in microseconds; zero until the first sample.
    srtt_x8: u32,
    /// 4 x RTTVAR in microseconds.
    rttvar_x4: u32,
}

impl Rtt {
    /// Takes a measured round trip R'. The caller sends none of a segment that was retransmitted, unless
    /// a timestamp tells which copy was acknowledged (RFC 6298 §3).
    #[inline]
    pub fn on_sample(&mut self, sample: Duration) {
        // A sample below the resolution still is one: zero means "none yet".
        let r = sample.as_micros().clamp(1, SAMPLE_US_MAX) as u32;
        if self.srtt_x8 == 0 {
            // RFC 6298 (2.2): SRTT <- R, RTTVAR <- R/2.
            self.srtt_x8 = r * 8;
            self.rttvar_x4 = r * 2;
            return;
        }
        // RFC 6298 (2.3): RTTVAR <- 3/4 RTTVAR + 1/4 |SRTT - R'|, with the SRTT of before:
        //   > The value of SRTT used in the update to RTTVAR is its value before updating SRTT itself
        let error = (self.srtt_x8 / 8).abs_diff(r);
        self.rttvar_x4 = self.rttvar_x4 - self.rttvar_x4 / 4 + error;
        // SRTT <- 7/8 SRTT + 1/8 R'
        self.srtt_x8 = self.srtt_x8 - self.srtt_x8 / 8 + r;
    }

    /// RTO <- SRTT + max(G, K*RTTVAR), K = 4 (RFC 6298 (2.3)), within the bounds of (2.4) and (2.5);
    /// the initial timeout (2.1) before the first sample. Not backed off.
    #[inline]
    pub fn rto(&self, settings: &Settings) -> Duration {
        let Some(srtt) = self.srtt() else { return settings.rto_initial };
        let rto = srtt + GRANULARITY.max(Duration::from_micros(u64::from(self.rttvar_x4)));
        rto.max(settings.rto_min).min(settings.rto_max)
    }

    /// The smoothed round trip, once there was a sample.
    #[inline]
    pub fn srtt(&self) -> Option<Duration> {
        (self.srtt_x8 != 0).then(|| Duration::from_nanos(u64::from(self.srtt_x8) * 125))
    }

    /// The smoothed deviation, once there was a sample.
    #[inline]
    pub fn rttvar(&self) -> Option<Duration> {
        (self.srtt_x8 != 0).then(|| Duration::from_nanos(u64::from(self.rttvar_x4) * 250))
    }
}

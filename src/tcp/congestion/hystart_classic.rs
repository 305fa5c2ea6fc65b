//! The original HyStart (Ha and Rhee, "Taming the elephants: New TCP slow start", 2011), as in
//! Linux: slow start ends for good at the first sign that the path is full.
//!
//! Owns the two signs: grown round trips, and an ACK train as long as half a round trip. Refuses to
//! know cwnd. HyStart++ (RFC 9406) uses only the first sign, and confirms it.

use super::facts::Ack;
use super::hystart::Pace;
use crate::tcp::SeqNum;
use crate::tcp::rate::micros;

/// Smallest window that is judged, in segments: smaller rounds have too few ACKs.
const WINDOW_MIN: u32 = 16;

/// Samples of a round before it is judged at the next one.
const SAMPLES_MIN: u8 = 8;

/// Bounds of the round trip growth that counts, in microseconds.
const GROWTH_US: [u32; 2] = [4_000, 16_000];

/// Longest gap between the ACKs of a train, in microseconds. With a larger bound, a pause of the
/// program looks like the spacing of the path.
const SPACING_US_MAX: u32 = 2_000;

/// State of one slow start.
#[derive(Clone, Debug, Default)]
pub(super) struct ClassicHyStart {
    /// The round ends when this number is acknowledged.
    round_end: Option<SeqNum>,
    /// Start of the round, in microseconds.
    round_us: u32,
    /// Arrival of the last ACK of the train, in microseconds.
    train_us: u32,
    /// Minimum round trip so far, and of this round; 0 before the first sample.
    min_us: u32,
    round_min_us: u32,
    samples: u8,
}

impl ClassicHyStart {
    /// Processes an ACK in slow start; `window` is cwnd in segments.
    pub(super) fn on_ack(&mut self, ack: &Ack, window: u32) -> Pace {
        let Some(rtt) = ack.rtt else { return Pace::Standard };
        let us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX).max(1);
        self.min_us = min_sample(self.min_us, us);
        if window < WINDOW_MIN {
            return Pace::Standard;
        }
        let now_us = micros(ack.now);
        if self.round_end.is_none_or(|end| ack.snd_una.after(end)) {
            let min_us = self.min_us;
            let round_end = Some(ack.snd_nxt);
            *self =
                Self { round_end, round_us: now_us, train_us: now_us, min_us, ..Self::default() };
        }
        let is_over = self.is_train_long(now_us) || self.has_round_trip_grown(us);
        if is_over { Pace::Over } else { Pace::Standard }
    }

    fn is_train_long(&mut self, now_us: u32) -> bool {
        if now_us.wrapping_sub(self.train_us) > SPACING_US_MAX {
            return false;
        }
        self.train_us = now_us;
        now_us.wrapping_sub(self.round_us) > self.min_us / 2
    }

    fn has_round_trip_grown(&mut self, us: u32) -> bool {
        self.round_min_us = min_sample(self.round_min_us, us);
        if self.samples < SAMPLES_MIN {
            self.samples += 1;
            return false;
        }
        let growth = (self.min_us / 8).clamp(GROWTH_US[0], GROWTH_US[1]);
        self.round_min_us > self.min_us.saturating_add(growth)
    }
}

/// Returns the smaller of two samples; 0 stands for no sample.
fn min_sample(before: u32, us: u32) -> u32 {
    if before == 0 { us } else { before.min(us) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::congestion::model;
    use crate::time::{Duration, Instant};

    /// Runs a round of ACKs `spacing_us` apart with round trip `rtt_us`; returns how many pass
    /// before slow start ends.
    fn round(
        it: &mut ClassicHyStart,
        una: &mut SeqNum,
        start_ms: u64,
        (acks, spacing_us, rtt_us): (u32, u64, u64),
    ) -> u32 {
        let nxt = *una + acks * 2000;
        for number in 0..acks {
            *una += 1000;
            let now = Instant::from_millis(start_ms)
                + Duration::from_micros(u64::from(number) * spacing_us);
            let ack = model::ack(1000, 20_000, Some(Duration::from_micros(rtt_us)), now);
            if it.on_ack(&Ack { snd_una: *una, snd_nxt: nxt, ..ack }, 20) == Pace::Over {
                return number;
            }
        }
        acks
    }

    #[test]
    fn the_ninth_sample_of_a_slower_round_ends_slow_start() {
        for (rtt, at_most, above) in
            [(10_000, 14_000, 14_001), (80_000, 90_000, 90_001), (400_000, 416_000, 416_001)]
        {
            for (later, expected) in [(at_most, 20), (above, 8)] {
                let (mut it, mut una) = (ClassicHyStart::default(), SeqNum(0));
                assert_eq!(round(&mut it, &mut una, 0, (20, 3_000, rtt)), 20);
                una += 40_000;
                assert_eq!(round(&mut it, &mut una, 1000, (20, 3_000, later)), expected, "{rtt}");
            }
        }
    }

    #[test]
    fn a_train_of_acks_longer_than_half_a_round_trip_ends_slow_start() {
        // 1 ms apart on a path of 40 ms: the 22nd comes 21 ms after the first.
        let (mut it, mut una) = (ClassicHyStart::default(), SeqNum(0));
        assert_eq!(round(&mut it, &mut una, 0, (30, 1_000, 40_000)), 21);
        let (mut it, mut una) = (ClassicHyStart::default(), SeqNum(0));
        assert_eq!(round(&mut it, &mut una, 0, (30, 2_001, 40_000)), 30, "no train");
    }

    #[test]
    fn a_small_window_is_not_judged() {
        let mut it = ClassicHyStart::default();
        for number in 0..30 {
            let now = Instant::from_millis(number);
            let ack = model::ack(1000, 15_000, Some(Duration::from_millis(10 * number + 1)), now);
            assert_eq!(it.on_ack(&ack, 15), Pace::Standard);
        }
    }
}

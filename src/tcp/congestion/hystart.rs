//! HyStart++ (RFC 9406): ends slow start when the round trip grows, before the queue overflows.
//!
//! Owns the round trips of the rounds and the phase: standard slow start, conservative slow start
//! (CSS), or over. Refuses to know cwnd: it returns by how much of an ACK cwnd may grow.

use super::facts::Ack;
use crate::tcp::SeqNum;

/// RFC 9406 §4.3: MIN_RTT_THRESH and MAX_RTT_THRESH in microseconds. Below, jitter ends slow start;
/// above, the queue overflows first.
const RTT_THRESH_US: [u32; 2] = [4_000, 16_000];

/// MIN_RTT_DIVISOR: fraction of the last round's minimum round trip that counts as growth.
const MIN_RTT_DIVISOR: u32 = 8;

/// N_RTT_SAMPLE: samples that a round needs before it is judged.
const N_RTT_SAMPLE: u8 = 8;

/// CSS_GROWTH_DIVISOR: factor by which CSS grows slower.
pub(super) const CSS_GROWTH_DIVISOR: u32 = 4;

/// CSS_ROUNDS: rounds of CSS before slow start ends.
const CSS_ROUNDS: u8 = 5;

/// State of one slow start.
#[derive(Clone, Debug)]
pub(super) struct HyStart {
    /// The round ends when this number is acknowledged.
    window_end: Option<SeqNum>,
    /// lastRoundMinRTT, microseconds; `u32::MAX` is infinity.
    last_round_us: u32,
    /// currentRoundMinRTT, microseconds.
    current_round_us: u32,
    /// cssBaselineMinRtt, microseconds, in CSS.
    css_baseline_us: u32,
    samples: u8,
    /// Rounds of CSS, the current one included; 0 outside of CSS.
    css_rounds: u8,
}

/// Growth of the window that slow start allows after an ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Pace {
    /// cwnd grows by the bytes acknowledged.
    Standard,
    /// cwnd grows by a quarter of them.
    Conservative,
    /// The path is full: continue in congestion avoidance.
    Over,
}

impl Default for HyStart {
    fn default() -> Self {
        Self {
            window_end: None,
            last_round_us: u32::MAX,
            current_round_us: u32::MAX,
            css_baseline_us: u32::MAX,
            samples: 0,
            css_rounds: 0,
        }
    }
}

impl HyStart {
    /// Processes an ACK in slow start (RFC 9406 §4.2).
    pub(super) fn on_ack(&mut self, ack: &Ack) -> Pace {
        if self.window_end.is_none_or(|end| ack.snd_una.at_or_after(end)) {
            let over = self.begin_round(ack.snd_nxt);
            if over {
                return Pace::Over;
            }
        }
        if let Some(rtt) = ack.rtt {
            let us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX - 1);
            self.current_round_us = self.current_round_us.min(us);
            self.samples = self.samples.saturating_add(1);
            self.judge();
        }
        if self.css_rounds > 0 { Pace::Conservative } else { Pace::Standard }
    }

    ///   > At the start of each round during standard slow start [and CSS]: lastRoundMinRTT =
    ///   > currentRoundMinRTT, currentRoundMinRTT = infinity, rttSampleCount = 0
    ///
    /// Returns true if CSS has lasted for CSS_ROUNDS.
    fn begin_round(&mut self, snd_nxt: SeqNum) -> bool {
        self.window_end = Some(snd_nxt);
        self.last_round_us = self.current_round_us;
        self.current_round_us = u32::MAX;
        self.samples = 0;
        if self.css_rounds > 0 {
            self.css_rounds += 1;
        }
        self.css_rounds > CSS_ROUNDS
    }

    fn judge(&mut self) {
        if self.samples < N_RTT_SAMPLE {
            return;
        }
        if self.css_rounds > 0 {
            // > If (currentRoundMinRTT < cssBaselineMinRtt), cssBaselineMinRtt = infinity, resume
            // > slow start
            if self.current_round_us < self.css_baseline_us {
                self.css_rounds = 0;
                self.css_baseline_us = u32::MAX;
            }
            return;
        }
        if self.last_round_us == u32::MAX {
            return;
        }
        // > RttThresh = max(MIN_RTT_THRESH, min(lastRoundMinRTT / MIN_RTT_DIVISOR, MAX_RTT_THRESH))
        let thresh =
            (self.last_round_us / MIN_RTT_DIVISOR).clamp(RTT_THRESH_US[0], RTT_THRESH_US[1]);
        if self.current_round_us >= self.last_round_us.saturating_add(thresh) {
            self.css_baseline_us = self.current_round_us;
            self.css_rounds = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::congestion::model;
    use crate::time::{Duration, Instant};

    /// Rounds of ten ACKs each.
    struct Rounds {
        hystart: HyStart,
        una: SeqNum,
    }

    impl Rounds {
        fn new() -> Self {
            Self { hystart: HyStart::default(), una: SeqNum(0) }
        }

        /// Runs a round whose ACKs measure `rtt_us`; returns the result of the last ACK.
        fn round(&mut self, rtt_us: u64) -> Pace {
            self.round_of(10, rtt_us)
        }

        fn round_of(&mut self, acks: u32, rtt_us: u64) -> Pace {
            let nxt = self.una + acks * 1000;
            let mut pace = Pace::Standard;
            for _ in 0..acks {
                self.una += 1000;
                let rtt = Some(Duration::from_micros(rtt_us));
                let ack = model::ack(1000, 10_000, rtt, Instant::ZERO);
                pace = self.hystart.on_ack(&Ack { snd_una: self.una, snd_nxt: nxt + 1, ..ack });
                if pace == Pace::Over {
                    return pace;
                }
            }
            self.una = nxt + 1;
            pace
        }
    }

    #[test]
    fn slow_start_continues_at_a_steady_round_trip() {
        let mut rounds = Rounds::new();
        assert!((0..20).all(|_| rounds.round(50_000) == Pace::Standard));
    }

    #[test]
    fn the_threshold_is_an_eighth_between_4_and_16_ms() {
        // RFC 9406 §4.2: RttThresh = max(4 ms, min(lastRoundMinRTT / 8, 16 ms)).
        for (rtt, below, at) in
            [(10_000, 13_999, 14_000), (80_000, 89_999, 90_000), (400_000, 415_999, 416_000)]
        {
            let mut rounds = Rounds::new();
            let _ = rounds.round(rtt);
            assert_eq!(rounds.round(below), Pace::Standard, "{rtt}");
            let mut rounds = Rounds::new();
            let _ = rounds.round(rtt);
            assert_eq!(rounds.round(at), Pace::Conservative, "{rtt}");
        }
    }

    #[test]
    fn a_round_needs_eight_samples() {
        // §4.2: "at least N_RTT_SAMPLE RTT samples"
        let mut rounds = Rounds::new();
        let _ = rounds.round(50_000);
        assert_eq!(rounds.round_of(7, 90_000), Pace::Standard);
    }

    #[test]
    fn slow_start_ends_after_five_rounds_of_css() {
        // §4.2: "If CSS_ROUNDS rounds are complete, enter congestion avoidance"
        let mut rounds = Rounds::new();
        let _ = rounds.round(50_000);
        for _ in 0..5 {
            assert_eq!(rounds.round(60_000), Pace::Conservative);
        }
        assert_eq!(rounds.round(60_000), Pace::Over);
    }

    #[test]
    fn a_round_trip_below_the_baseline_resumes_slow_start() {
        let mut rounds = Rounds::new();
        let _ = rounds.round(50_000);
        assert_eq!(rounds.round(60_000), Pace::Conservative);
        assert_eq!(rounds.round(60_000), Pace::Conservative);
        assert_eq!(rounds.round(59_000), Pace::Standard, "it was jitter");
        assert_eq!(rounds.round(70_000), Pace::Conservative);
    }
}

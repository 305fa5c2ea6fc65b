//! RTT measurement: from the handshake, and from the ACKs of a flight (RFC 6298, RFC 7323 §4).

use crate::tcp::recovery::detect::AckSummary;
use crate::tcp::state::{ECHOED_RTT_MS_MAX, EarlyMarks};
use crate::tcp::{Connection, Env, Segment};
use crate::time::{Duration, Instant};

impl Connection {
    /// Processes the ACK of our SYN: takes the RTT sample and initializes recovery.
    pub(in crate::tcp) fn on_syn_acked(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) {
        self.snd.advance_una(segment.ack);
        let elapsed_ms = self.echoed_ms(env.now, segment);
        let sample = self.recovery.sample(env.now, segment.ack, elapsed_ms);
        let lost = self.early.has(EarlyMarks::SYN_TIMED_OUT);
        self.recovery.begin(&self.snd, env, lost, sample);
        self.timers.retransmit_at = Instant::FAR;
        if self.early.has(EarlyMarks::TRIES) {
            self.on_fast_open_answer(env, segment);
        }
    }

    /// Processes the ACK of our SYN-ACK, with or without early data. The initial cwnd starts now,
    /// and data already in flight counts against it.
    pub(in crate::tcp) fn measure_handshake(&mut self, env: &Env<'_>, segment: &Segment<'_>) {
        let elapsed_ms = self.echoed_ms(env.now, segment);
        let sample = self.recovery.sample(env.now, self.snd.una, elapsed_ms);
        let lost = self.early.has(EarlyMarks::SYN_TIMED_OUT);
        self.recovery.begin(&self.snd, env, lost, sample);
    }

    /// Returns the milliseconds since we sent the timestamp that the peer echoes.
    pub(in crate::tcp) fn echoed_ms(&self, now: Instant, segment: &Segment<'_>) -> Option<u32> {
        let ours = self.stamp(now)?.value;
        // RFC 7323 §3.2: some stacks send 0 to mean no echo.
        let echo = segment.options.timestamps?.echo;
        (echo != 0).then(|| ours.wrapping_sub(echo))
    }

    /// Measures the RTT (RFC 6298 §3 and §4). SRTT takes one sample per round trip, from a segment
    /// sent once or from a timestamp echo. The path minimum takes every sample of a segment sent
    /// once (RFC 8985 §6.2 step 1).
    pub(in crate::tcp) fn measure(
        &mut self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        summary: &AckSummary,
        advanced: bool,
    ) -> Option<Duration> {
        let echoed = || {
            let ms = self.echoed_ms(env.now, segment).filter(|&ms| ms <= ECHOED_RTT_MS_MAX)?;
            Some(Duration::from_millis(u64::from(ms.max(1))))
        };
        let exact = summary.rtt_us.map(|us| Duration::from_micros(u64::from(us)));
        let rtt = exact.or_else(|| if advanced { echoed() } else { None })?;
        let recovery = &mut self.recovery;
        let mut delayed = None;
        if let Some(flight) = &mut recovery.flight {
            flight.tail.on_rtt();
            delayed = flight.undo.take_delayed(segment.ack);
            if let Some(us) = summary.rtt_us {
                flight.path.on_rtt(us, env.now);
            }
        }
        let round = !recovery.is_timing || segment.ack.at_or_after(recovery.timed);
        if let Some(before) = delayed {
            let margin = env.settings.rto_margin;
            recovery.rtt.on_sample_after_spurious_timeout(&before, rtt, margin);
        } else if advanced && round {
            recovery.is_timing = false;
            recovery.rtt.on_sample(rtt);
            recovery.backoff = 0;
        }
        Some(rtt)
    }
}

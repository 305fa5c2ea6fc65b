//! Pacing: sends segments at the rate of the congestion control instead of in ACK bursts.
//!
//! Planning changes no state. `Pacer::holds` is set when a segment is sent and cleared when the
//! next one is due.

use crate::tcp::state::Pacer;
use crate::tcp::{Connection, Env};
use crate::time::Instant;

impl Connection {
    #[inline]
    fn pacer(&self) -> Option<&Pacer> {
        self.choices.as_ref().and_then(|choices| choices.pacer.as_ref())
    }

    /// Returns true if pacing delays the next data segment.
    #[inline]
    pub(in crate::tcp) fn is_held_back(&self) -> bool {
        self.pacer().is_some_and(|pacer| pacer.holds)
    }

    /// Returns the time at which delayed data may be sent.
    #[inline]
    pub(in crate::tcp) fn pace_deadline(&self) -> Option<Instant> {
        self.pacer().filter(|pacer| pacer.holds).map(|pacer| pacer.next_at)
    }

    /// Releases delayed data that is due at `now`.
    #[inline]
    pub(in crate::tcp) fn release_pace(&mut self, now: Instant) {
        if let Some(pacer) = self.choices.as_mut().and_then(|choices| choices.pacer.as_mut()) {
            pacer.release(now);
        }
    }

    /// Charges a sent segment with `len` bytes of data to the pacer.
    #[inline]
    pub(in crate::tcp) fn pace(&mut self, env: &Env<'_>, len: u32) {
        let Some(rate) = self.pacing_rate(env.settings.pacing) else { return };
        let smss = u32::from(self.snd.mss);
        self.choices_mut().pacer.get_or_insert_default().on_sent(env.now, len, rate, smss);
    }

    /// Returns the pacing rate in bytes per second, or `None` if only ACKs clock the connection.
    /// `all` also paces algorithms that do not require pacing.
    #[inline]
    pub(in crate::tcp) fn pacing_rate(&self, all: bool) -> Option<u64> {
        let own = self.recovery.controller.pacing_rate(self.recovery.rtt.srtt(), all);
        let bound = self.pacer().and_then(|pacer| pacer.rate_max);
        own.map_or(bound, |own| Some(bound.map_or(own, |bound| bound.min(own))))
    }

    /// Sets the maximum pacing rate in bytes per second; `None` removes the limit.
    pub fn set_pacing_rate_max(&mut self, rate: Option<u64>) {
        if rate.is_some() || self.pacer().is_some() {
            self.choices_mut().pacer.get_or_insert_default().rate_max =
                rate.map(|rate| rate.max(1));
        }
    }
}

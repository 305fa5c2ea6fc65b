//! Pacing: segments leave at the rate of the congestion control instead of as ACKs arrive.
//!
//! Planning changes nothing: whether data is held back is state of the `Pacer`, set when a segment is sent and
//! cleared when its time has come.

use crate::tcp::state::Pacer;
use crate::tcp::{Connection, Env};
use crate::time::Instant;

impl Connection {
    #[inline]
    fn pacer(&self) -> Option<&Pacer> {
        self.choices.as_ref().and_then(|choices| choices.pacer.as_ref())
    }

    /// Whether data has to wait for its time.
    #[inline]
    pub(in crate::tcp) fn is_held_back(&self) -> bool {
        self.pacer().is_some_and(|pacer| pacer.holds)
    }

    /// When data that waits may go.
    #[inline]
    pub(in crate::tcp) fn pace_deadline(&self) -> Option<Instant> {
        self.pacer().filter(|pacer| pacer.holds).map(|pacer| pacer.next_at)
    }

    /// Time has passed.
    #[inline]
    pub(in crate::tcp) fn release_pace(&mut self, now: Instant) {
        if let Some(pacer) = self.choices.as_mut().and_then(|choices| choices.pacer.as_mut()) {
            pacer.release(now);
        }
    }

    /// A segment with `len` bytes of data goes out.
    #[inline]
    pub(in crate::tcp) fn pace(&mut self, env: &Env<'_>, len: u32) {
        let Some(rate) = self.pacing_rate(env.settings.pacing) else { return };
        let smss = u32::from(self.snd.mss);
        self.choices_mut().pacer.get_or_insert_default().on_sent(env.now, len, rate, smss);
    }

    /// The rate at which segments leave, bytes a second; `None` if only ACKs clock them. `all` paces the
    /// algorithms that need it not.
    #[inline]
    pub(in crate::tcp) fn pacing_rate(&self, all: bool) -> Option<u64> {
        let own = self.recovery.controller.pacing_rate(self.recovery.rtt.srtt(), all);
        let bound = self.pacer().and_then(|pacer| pacer.rate_max);
        own.map_or(bound, |own| Some(bound.map_or(own, |bound| bound.min(own))))
    }

    /// The most that may leave, bytes a second; `None` sets no bound.
    pub fn set_pacing_rate_max(&mut self, rate: Option<u64>) {
        if rate.is_some() || self.pacer().is_some() {
            self.choices_mut().pacer.get_or_insert_default().rate_max =
                rate.map(|rate| rate.max(1));
        }
    }
}

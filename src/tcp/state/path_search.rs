//! The search for the path MTU without ICMP (RFC 4821 §7, with the terms of RFC 8899 §5.1).
//!
//! Owns the range of candidate sizes and the current probe. Sizes are those of packets, IP header
//! included. Refuses to know segments: the sender reports the fate of the probe.

use core::ops::Range;

use crate::tcp::SeqNum;
use crate::time::{Duration, Instant};

/// RFC 4821 §7.3: "the probe size range is small enough that further probing is no longer worth its
/// cost". At most half of this is lost in every packet; each halving costs a probe.
const STEP: u16 = 8;

/// RFC 4821 §7.3: the time after which `search_high` is reset "MUST NOT be less than 5 minutes and
/// is recommended to be 10 minutes". RFC 8899 §5.1.1: `PMTU_RAISE_TIMER`.
const RAISE_AFTER: Duration = Duration::from_secs(600);

/// RFC 4821 §7.6.3: after a timeout the next probe waits five times as long.
const AFTER_TIMEOUT: u64 = 5;

/// The sizes of a path, bytes per packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathSizes {
    /// The current packet size: `eff_pmtu`, or PLPMTU.
    pub eff_pmtu: u16,
    /// The size that the path is known, or expected, to carry.
    pub search_low: u16,
    /// The largest size that the path may carry.
    pub search_high: u16,
}

/// The result of a search, for all connections on the path (RFC 4821 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathMtuEvent {
    /// The current sizes.
    pub sizes: PathSizes,
    /// Black holes detected since the last event.
    pub black_holes: u8,
    /// Probes that arrived.
    pub arrived: u8,
    /// Probes that the path did not carry.
    pub lost: u8,
}

/// A probe in flight.
#[derive(Clone, Copy, Debug)]
struct Probe {
    seq: SeqNum,
    end: SeqNum,
    size: u16,
    /// Time at which the probe was detected as lost.
    lost_at: Option<Instant>,
    /// True if segments around the probe were lost as well.
    others_lost: bool,
}

/// The search state of one path.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct Search {
    low: u16,
    high: u16,
    /// The value that `high` is reset to.
    most: u16,
    /// True if `high` itself was not probed: the loss may have had another cause, which one probe
    /// finds out.
    high_untried: bool,
    /// No probe is sent before this time …
    next_at: Instant,
    /// … while this is set.
    is_paused: bool,
    probe: Option<Probe>,
    black_holes: u8,
    arrived: u8,
    lost: u8,
}

/// The outcome of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::tcp) enum SearchOutcome {
    /// Unknown, or not conclusive about the path (RFC 4821 §7.6.4).
    Nothing,
    /// The path carries packets of this size.
    Takes(u16),
    /// The path does not carry packets of the probe's size.
    TooLarge,
}

impl Search {
    /// Creates a search for a path that carries `low`, and perhaps up to `high`.
    pub(in crate::tcp) const fn new(low: u16, high: u16) -> Self {
        Self {
            low,
            high,
            most: high,
            high_untried: true,
            next_at: Instant::ZERO,
            is_paused: false,
            probe: None,
            black_holes: 0,
            arrived: 0,
            lost: 0,
        }
    }

    /// Returns the size to probe with now.
    #[inline]
    pub(in crate::tcp) fn due(&self) -> Option<u16> {
        if self.is_paused || self.probe.is_some() || self.is_over() {
            return None;
        }
        let middle = self.low + (self.high - self.low).div_ceil(2);
        Some(if self.high_untried { self.high } else { middle })
    }

    /// Returns true in the state Search Complete, RFC 8899 §5.2.
    const fn is_over(&self) -> bool {
        self.high <= self.low || !self.high_untried && self.high - self.low < STEP
    }

    /// Applies the finding of another connection that the path carries `size`. Returns the part of
    /// it that counts for this connection.
    pub(in crate::tcp) fn learn(&mut self, size: u16) -> u16 {
        self.low = self.low.max(size.min(self.most));
        self.high = self.high.max(self.low);
        self.low
    }

    /// Returns the event since the last call, if any. The caller passes `eff_pmtu`.
    pub(in crate::tcp) fn take_event(&mut self, eff_pmtu: u16) -> Option<PathMtuEvent> {
        let (black_holes, arrived, lost) = (self.black_holes, self.arrived, self.lost);
        (self.black_holes, self.arrived, self.lost) = (0, 0, 0);
        let sizes =
            PathSizes { eff_pmtu, search_low: self.low, search_high: self.high.max(self.low) };
        let any = black_holes | arrived | lost != 0;
        any.then_some(PathMtuEvent { sizes, black_holes, arrived, lost })
    }

    /// Ends a pause that is over by `now`.
    pub(in crate::tcp) fn wake(&mut self, now: Instant) {
        if !self.is_paused || now < self.next_at {
            return;
        }
        self.is_paused = false;
        if self.is_over() {
            (self.high, self.high_untried) = (self.most, true);
        }
    }

    /// Records a probe of `size` bytes, from `seq` to `end`.
    pub(in crate::tcp) fn on_sent(&mut self, seq: SeqNum, end: SeqNum, size: u16) {
        self.probe = Some(Probe { seq, end, size, lost_at: None, others_lost: false });
    }

    /// Returns the sequence range of the probe in flight.
    pub(in crate::tcp) fn span(&self) -> Option<Range<SeqNum>> {
        self.probe.as_ref().map(|probe| probe.seq..probe.end)
    }

    /// Records the loss of `from..to`, all that waits for retransmission. Returns true if only the
    /// probe was lost. RFC 4821 §7.6.2:
    ///   > When only the probe is lost, it is treated as an indication that the Path MTU is smaller
    ///   > than the probe size. In this case alone, the loss SHOULD NOT be interpreted as
    ///   > congestion signal.
    pub(in crate::tcp) fn is_probe_loss(&mut self, now: Instant, from: SeqNum, to: SeqNum) -> bool {
        let Some(probe) = self.probe.as_mut() else { return false };
        if to.at_or_before(probe.seq) || from.at_or_after(probe.end) {
            return false;
        }
        let alone = from.at_or_after(probe.seq) && to.at_or_before(probe.end);
        // The loss of the probe's retransmission is an ordinary loss.
        let first = probe.lost_at.is_none_or(|at| at == now);
        probe.lost_at = probe.lost_at.or(Some(now));
        probe.others_lost |= !alone;
        first && !probe.others_lost
    }

    /// Records a loss outside the probe.
    pub(in crate::tcp) fn on_congestion(&mut self) {
        if let Some(probe) = &mut self.probe {
            probe.others_lost = true;
        }
    }

    /// Records the acknowledgment of all data up to `una`. `window` is the time of as many round
    /// trips as the congestion window has packets.
    pub(in crate::tcp) fn on_acked(
        &mut self,
        now: Instant,
        una: SeqNum,
        window: Duration,
    ) -> SearchOutcome {
        let Some(probe) = self.probe.filter(|probe| una.at_or_after(probe.end)) else {
            return SearchOutcome::Nothing;
        };
        self.probe = None;
        match probe.lost_at {
            None => {
                self.succeed(now, probe.size);
                SearchOutcome::Takes(probe.size)
            }
            Some(_) if probe.others_lost => SearchOutcome::Nothing,
            Some(_) => {
                self.fail(now, probe.size, window);
                SearchOutcome::TooLarge
            }
        }
    }

    /// Records a retransmission timeout with all data before `una` acknowledged.
    pub(in crate::tcp) fn on_timeout(
        &mut self,
        now: Instant,
        una: SeqNum,
        window: Duration,
    ) -> SearchOutcome {
        match self.probe.take() {
            // RFC 4821 §7.5, timeout failure: nothing before the probe was lost.
            Some(probe) if probe.seq == una && !probe.others_lost => {
                self.fail(now, probe.size, window.times(AFTER_TIMEOUT));
                SearchOutcome::TooLarge
            }
            _ => SearchOutcome::Nothing,
        }
    }

    fn succeed(&mut self, now: Instant, size: u16) {
        self.low = self.low.max(size);
        self.high_untried &= self.high > self.low;
        self.arrived = self.arrived.saturating_add(1);
        if self.is_over() {
            self.rest(now, RAISE_AFTER);
        }
    }

    /// RFC 4821 §7.6.2: "set search_high to the probe size minus one", and
    ///   > PLPMTUD MUST NOT probe again until an interval that is larger than the expected interval
    ///   > between congestion control events. [...] The simplest estimate [...] is the same number
    ///   > of round trips as the current congestion window in packets.
    fn fail(&mut self, now: Instant, size: u16, window: Duration) {
        self.high = (size - 1).max(self.low);
        self.high_untried = false;
        self.lost = self.lost.saturating_add(1);
        self.rest(now, if self.is_over() { RAISE_AFTER } else { window });
    }

    pub(in crate::tcp) fn rest(&mut self, now: Instant, span: Duration) {
        self.next_at = now + span;
        self.is_paused = true;
    }

    /// Applies an ICMP message: the path carries packets of at most `mtu` bytes.
    pub(in crate::tcp) fn on_too_big(&mut self, mtu: u16) {
        if mtu < self.high {
            (self.high, self.high_untried) = (mtu, true);
            self.low = self.low.min(mtu);
            self.probe = None;
        }
    }

    /// Handles a full stop: no packet of `eff_pmtu` bytes arrives any more. Returns the size to
    /// continue with. RFC 4821 §7.7:
    ///   > If eff_pmtu is larger than search_low, set eff_pmtu to search_low. Otherwise, set both
    ///   > eff_pmtu and search_low to the initial value for search_low. Upon additional successive
    ///   > timeouts, search_low and eff_pmtu SHOULD be halved, with a lower bound
    pub(in crate::tcp) fn on_full_stop(&mut self, eff_pmtu: u16, base: u16, least: u16) -> u16 {
        self.probe = None;
        self.is_paused = false;
        let size = if eff_pmtu > self.low {
            self.low
        } else if eff_pmtu > base {
            base
        } else {
            (eff_pmtu / 2).max(least)
        };
        if size < eff_pmtu {
            self.black_holes = self.black_holes.saturating_add(1);
            self.low = size;
            // The upper bound is not certain: the loss may have had another cause.
            (self.high, self.high_untried) = (eff_pmtu.max(self.high), true);
        }
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_millis(1000);
    const WINDOW: Duration = Duration::from_secs(1);

    /// Returns the sizes probed on a path that carries `mtu`, and the final size.
    fn probed(mut search: Search, mtu: u16) -> (Vec<u16>, u16) {
        let mut sizes = Vec::new();
        let mut now = NOW;
        while let Some(size) = search.due() {
            sizes.push(size);
            search.on_sent(SeqNum(1), SeqNum(2), size);
            if size > mtu {
                assert!(search.is_probe_loss(now, SeqNum(1), SeqNum(2)));
            }
            let _ = search.on_acked(now, SeqNum(2), WINDOW);
            now += WINDOW;
            search.wake(now);
            assert!(sizes.len() < 20, "the search ends: {sizes:?}");
        }
        (sizes, search.low)
    }

    #[test]
    fn a_search_ends_just_below_the_path_mtu() {
        // RFC 4821 §7.3
        for mtu in 1200..=1500 {
            let (sizes, found) = probed(Search::new(1200, 1500), mtu);
            assert!(found <= mtu && mtu - found < STEP, "{mtu}: {found} by {sizes:?}");
            assert!(sizes.len() <= 8, "{mtu}: {sizes:?}");
        }
        let (_, found) = probed(Search::new(1280, 9000), 4352);
        assert!(found > 4352 - STEP);
    }

    #[test]
    fn one_probe_reveals_a_loss_with_another_cause() {
        assert_eq!(probed(Search::new(1200, 1500), 1500), (vec![1500], 1500));
    }

    #[test]
    fn a_failed_probe_is_followed_by_a_window_of_round_trips() {
        // RFC 4821 §7.6.2, §7.6.3
        for (timeout, rest) in [(false, WINDOW), (true, WINDOW.times(5))] {
            let mut search = Search::new(1200, 1500);
            search.on_sent(SeqNum(1), SeqNum(2), 1500);
            let outcome = if timeout {
                search.on_timeout(NOW, SeqNum(1), WINDOW)
            } else {
                assert!(search.is_probe_loss(NOW, SeqNum(1), SeqNum(2)));
                search.on_acked(NOW, SeqNum(2), WINDOW)
            };
            assert_eq!(outcome, SearchOutcome::TooLarge);
            search.wake(NOW + (rest - Duration::from_millis(1)));
            assert_eq!(search.due(), None);
            search.wake(NOW + rest);
            assert_eq!(search.due(), Some(1350));
        }
    }

    #[test]
    fn a_probe_lost_with_others_is_inconclusive_and_repeated() {
        // RFC 4821 §7.6.4
        let mut search = Search::new(1200, 1500);
        search.on_sent(SeqNum(1), SeqNum(2), 1500);
        assert!(!search.is_probe_loss(NOW, SeqNum(1), SeqNum(3)));
        search.on_congestion();
        assert!(!search.is_probe_loss(NOW, SeqNum(1), SeqNum(2)));
        assert_eq!(search.on_timeout(NOW, SeqNum(0), WINDOW), SearchOutcome::Nothing);
        assert_eq!(search.due(), Some(1500));
    }

    #[test]
    fn a_finished_search_restarts_after_ten_minutes() {
        // RFC 4821 §7.3, RFC 8899 §5.1.1
        let mut search = Search::new(1200, 1500);
        search.on_sent(SeqNum(1), SeqNum(2), 1500);
        assert_eq!(search.on_acked(NOW, SeqNum(2), WINDOW), SearchOutcome::Takes(1500));
        search.on_too_big(1400);
        assert_eq!(search.due(), None);
        search.wake(NOW + Duration::from_secs(599));
        assert_eq!(search.due(), None);
        search.wake(NOW + Duration::from_secs(600));
        assert_eq!(search.due(), Some(1500));
    }

    #[test]
    fn each_full_stop_lowers_the_size() {
        // RFC 4821 §7.7
        let mut search = Search::new(1200, 1500);
        let mut sizes = vec![1500];
        for _ in 0..4 {
            let size = search.on_full_stop(sizes[sizes.len() - 1], 1200, 552);
            sizes.push(size);
        }
        assert_eq!(sizes, [1500, 1200, 600, 552, 552]);
        assert_eq!(search.take_event(552).map(|event| event.black_holes), Some(3));
        let mut search = Search::new(1280, 1500);
        assert_eq!(search.on_full_stop(1280, 1280, 1280), 1280, "IPv6 links take as much");
    }
}

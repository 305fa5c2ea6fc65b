//! Duplicate address detection (RFC 4862 §5.4) and address conflict detection (RFC 5227): a
//! tentative address is probed, and used only if no other host answers.
//!
//! Owns the stages and their times. Refuses to know packets: it returns what to send ([`Step`]),
//! and the caller reports conflicts with [`DadTable::cancel`].

use crate::rng::Rng;
use crate::shard::config::Probing;
use crate::time::{Duration, Instant};

/// RFC 5227 §1.1: `ANNOUNCE_NUM` and `ANNOUNCE_INTERVAL`; RFC 4861 §7.2.6 allows three.
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);

/// The next step for an address, given by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Step {
    /// Send a probe.
    Probe(u8),
    /// No other host has it: use it, and announce it.
    Settled(u8),
    /// Repeat the announcement.
    Announce(u8),
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Number of probes left.
    Probe(u8),
    /// Number of announcements left.
    Announce(u8),
}

#[derive(Clone, Copy, Debug)]
struct DadEntry {
    number: u8,
    probing: Probing,
    stage: Stage,
    due_at: Instant,
}

/// The addresses in detection or being announced.
pub(in crate::shard) struct DadTable {
    entries: Vec<DadEntry>,
    rng: Rng,
}

impl DadTable {
    pub(in crate::shard) const fn new(seed: u64) -> Self {
        Self { entries: Vec::new(), rng: Rng::new(seed) }
    }

    /// Starts the detection of an address.
    pub(in crate::shard) fn begin(&mut self, now: Instant, number: u8, probing: Probing) {
        let due_at = now + self.random_below(probing.delay_max);
        let stage = Stage::Probe(probing.probes);
        self.entries.push(DadEntry { number, probing, stage, due_at });
    }

    /// Ends the detection of an address: another host has it, or it is no longer needed.
    pub(in crate::shard) fn cancel(&mut self, number: u8) {
        self.entries.retain(|entry| entry.number != number);
    }

    /// Returns true if no address is in detection.
    pub(in crate::shard) fn is_settled(&self) -> bool {
        !self.entries.iter().any(|entry| matches!(entry.stage, Stage::Probe(_)))
    }

    /// Returns the time at which to call [`poll`](Self::poll) next.
    pub(in crate::shard) fn next_deadline(&self) -> Option<Instant> {
        self.entries.iter().map(|entry| entry.due_at).min()
    }

    /// Returns one step that is due per call.
    pub(in crate::shard) fn poll(&mut self, now: Instant) -> Option<Step> {
        let at = self.entries.iter().position(|entry| entry.due_at <= now)?;
        let jitter = self.random_below(self.entries[at].probing.spread);
        let entry = &mut self.entries[at];
        let number = entry.number;
        let Probing { interval, wait, .. } = entry.probing;
        match entry.stage {
            Stage::Probe(0) => {
                entry.stage = Stage::Announce(ANNOUNCEMENTS - 1);
                entry.due_at = now + ANNOUNCE_INTERVAL;
                Some(Step::Settled(number))
            }
            Stage::Probe(left) => {
                entry.stage = Stage::Probe(left - 1);
                entry.due_at = now + if left == 1 { wait } else { interval + jitter };
                Some(Step::Probe(number))
            }
            Stage::Announce(left) => {
                if left > 1 {
                    entry.stage = Stage::Announce(left - 1);
                    entry.due_at = now + ANNOUNCE_INTERVAL;
                } else {
                    self.entries.swap_remove(at);
                }
                Some(Step::Announce(number))
            }
        }
    }

    fn random_below(&mut self, below: Duration) -> Duration {
        let nanos = below.as_nanos();
        Duration::from_nanos(if nanos == 0 { 0 } else { self.rng.below(nanos) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::config::DadConfig;

    const NOW: Instant = Instant::from_millis(1000);

    /// Returns the steps with their times in milliseconds from the start.
    fn steps(probing: Probing) -> Vec<(u64, Step)> {
        let mut table = DadTable::new(7);
        table.begin(NOW, 3, probing);
        let mut steps = Vec::new();
        while let Some(at) = table.next_deadline() {
            let step = table.poll(at).expect("it is due");
            steps.push((at.since(NOW).as_millis(), step));
        }
        steps
    }

    #[test]
    fn thorough_detection_keeps_the_times_of_rfc_5227() {
        // RFC 5227 §1.1, §2.1.1: three probes, one to two seconds apart, two seconds of silence;
        // then two announcements two seconds apart (§2.3).
        let steps = steps(DadConfig::THOROUGH.ipv4);
        let kinds: Vec<_> = steps.iter().map(|(_, step)| *step).collect();
        let (probe, settled) = (Step::Probe(3), Step::Settled(3));
        assert_eq!(kinds, [probe, probe, probe, settled, Step::Announce(3)]);
        let gaps: Vec<_> = steps.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(steps[0].0 <= 1000);
        assert!(gaps[..2].iter().all(|gap| (1000..=2000).contains(gap)), "{gaps:?}");
        assert_eq!(gaps[2..], [2000, 2000]);
    }

    #[test]
    fn an_ipv6_address_is_used_after_one_solicitation_and_a_second_of_silence() {
        // RFC 4862 §5.1: DupAddrDetectTransmits is 1; §5.4: RetransTimer after it.
        let steps = steps(DadConfig::THOROUGH.ipv6);
        assert_eq!((steps[0].1, steps[1].1), (Step::Probe(3), Step::Settled(3)));
        assert_eq!(steps[1].0 - steps[0].0, 1000);
    }

    #[test]
    fn quick_detection_takes_a_quarter_of_a_second() {
        for probing in [DadConfig::QUICK.ipv4, DadConfig::QUICK.ipv6] {
            let settled = steps(probing).into_iter().find(|(_, step)| *step == Step::Settled(3));
            assert_eq!(settled.map(|(at, _)| at), Some(250));
        }
        assert_eq!(DadConfig::QUICK.longest(), Duration::from_millis(250));
    }

    #[test]
    fn a_conflict_ends_the_detection() {
        // RFC 4862 §5.4.5
        let mut table = DadTable::new(7);
        table.begin(NOW, 3, DadConfig::QUICK.ipv6);
        assert_eq!(table.poll(NOW), Some(Step::Probe(3)));
        assert!(!table.is_settled());
        table.cancel(3);
        assert_eq!((table.next_deadline(), table.is_settled()), (None, true));
    }
}

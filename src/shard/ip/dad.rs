//! An address before it is ours: asked for under nobody's name, and used only when nobody has
//! answered (duplicate address detection, RFC 4862 §5.4; address conflict detection, RFC 5227).
//!
//! Owns the stages and their times. Refuses to know packets: it says what to send ([`Step`]), and
//! is told of a conflict.

use crate::rng::Rng;
use crate::shard::config::Probing;
use crate::time::{Duration, Instant};

/// RFC 5227 §1.1: `ANNOUNCE_NUM` and `ANNOUNCE_INTERVAL`; RFC 4861 §7.2.6 allows three.
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);

/// What is to be done about an address, given by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Step {
    /// Ask for it.
    Probe(u8),
    /// Nobody has it: it is ours, and to be announced.
    Settled(u8),
    /// Announce it again.
    Announce(u8),
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// So many questions left.
    Probe(u8),
    /// So many announcements left.
    Announce(u8),
}

#[derive(Clone, Copy, Debug)]
struct DadEntry {
    number: u8,
    probing: Probing,
    stage: Stage,
    due_at: Instant,
}

/// All entries under way.
pub(in crate::shard) struct DadTable {
    entries: Vec<DadEntry>,
    rng: Rng,
}

impl DadTable {
    pub(in crate::shard) const fn new(seed: u64) -> Self {
        Self { entries: Vec::new(), rng: Rng::new(seed) }
    }

    /// Begins to entry an address.
    pub(in crate::shard) fn begin(&mut self, now: Instant, number: u8, probing: Probing) {
        let due_at = now + self.drawn(probing.delay_max);
        let stage = Stage::Probe(probing.probes);
        self.entries.push(DadEntry { number, probing, stage, due_at });
    }

    /// Somebody has it.
    pub(in crate::shard) fn give_up(&mut self, number: u8) {
        self.entries.retain(|entry| entry.number != number);
    }

    /// Whether no address waits for its entry.
    pub(in crate::shard) fn is_settled(&self) -> bool {
        !self.entries.iter().any(|entry| matches!(entry.stage, Stage::Probe(_)))
    }

    /// When to [`poll`](Self::poll) next.
    pub(in crate::shard) fn next_deadline(&self) -> Option<Instant> {
        self.entries.iter().map(|entry| entry.due_at).min()
    }

    /// What is to be done by now, one thing a call.
    pub(in crate::shard) fn poll(&mut self, now: Instant) -> Option<Step> {
        let at = self.entries.iter().position(|entry| entry.due_at <= now)?;
        let drawn = self.drawn(self.entries[at].probing.spread);
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
                entry.due_at = now + if left == 1 { wait } else { interval + drawn };
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

    fn drawn(&mut self, below: Duration) -> Duration {
        let nanos = below.as_nanos();
        Duration::from_nanos(if nanos == 0 { 0 } else { self.rng.below(nanos) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::config::DadConfig;

    const NOW: Instant = Instant::from_millis(1000);

    /// The steps with their times in milliseconds from the start.
    fn steps(probing: Probing) -> Vec<(u64, Step)> {
        let mut entries = DadTable::new(7);
        entries.begin(NOW, 3, probing);
        let mut steps = Vec::new();
        while let Some(at) = entries.next_deadline() {
            let step = entries.poll(at).expect("it is due");
            steps.push((at.since(NOW).as_millis(), step));
        }
        steps
    }

    #[test]
    fn the_times_of_rfc_5227_are_kept_when_asked_for() {
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
    fn one_solicitation_and_a_second_of_silence_make_an_ipv6_address_ours() {
        // RFC 4862 §5.1: DupAddrDetectTransmits is 1; §5.4: RetransTimer after it.
        let steps = steps(DadConfig::THOROUGH.ipv6);
        assert_eq!((steps[0].1, steps[1].1), (Step::Probe(3), Step::Settled(3)));
        assert_eq!(steps[1].0 - steps[0].0, 1000);
    }

    #[test]
    fn the_quick_claim_takes_a_quarter_of_a_second() {
        for probing in [DadConfig::QUICK.ipv4, DadConfig::QUICK.ipv6] {
            let settled = steps(probing).into_iter().find(|(_, step)| *step == Step::Settled(3));
            assert_eq!(settled.map(|(at, _)| at), Some(250));
        }
        assert_eq!(DadConfig::QUICK.longest(), Duration::from_millis(250));
    }

    #[test]
    fn a_conflict_ends_the_claim() {
        // RFC 4862 §5.4.5
        let mut entries = DadTable::new(7);
        entries.begin(NOW, 3, DadConfig::QUICK.ipv6);
        assert_eq!(entries.poll(NOW), Some(Step::Probe(3)));
        assert!(!entries.is_settled());
        entries.give_up(3);
        assert_eq!((entries.next_deadline(), entries.is_settled()), (None, true));
    }
}

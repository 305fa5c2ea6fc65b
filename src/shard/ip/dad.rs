//! An address before it is ours: asked for under nobody's name, and used only when nobody has answered
//! (duplicate address detection, RFC 4862 §5.4; address conflict detection, RFC 5227).
//!
//! Owns the stages and their times. Refuses to know packets: it says what to send ([`Step`]), and is told
//! of a conflict.

use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// How often and how long it is asked whether somebody has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probing {
    /// The first question waits for a time drawn below this, so that hosts that start together do not
    /// ask together.
    pub delay_max: Duration,
    /// Questions.
    pub probes: u8,
    /// Between two of them, at least …
    pub interval: Duration,
    /// … and a time drawn below this.
    pub spread: Duration,
    /// From the last one until the address is ours.
    pub wait: Duration,
}

/// How addresses are claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DadConfig {
    /// RFC 5227 §2.1.1.
    pub ipv4: Probing,
    /// RFC 4862 §5.4.
    pub ipv6: Probing,
}

impl DadConfig {
    /// A quarter of a second: a host on the same link answers within milliseconds. One that sleeps, or
    /// sits behind a bridge port that has just come up, is missed.
    pub const QUICK: Self = {
        let zero = Duration::ZERO;
        let ms = Duration::from_millis;
        Self {
            ipv4: Probing {
                delay_max: zero,
                probes: 2,
                interval: ms(100),
                spread: zero,
                wait: ms(150),
            },
            ipv6: Probing {
                delay_max: zero,
                probes: 1,
                interval: zero,
                spread: zero,
                wait: ms(250),
            },
        }
    };

    /// The times of the RFCs: IPv4 up to seven seconds (RFC 5227 §1.1), IPv6 up to two (`RETRANS_TIMER` and
    /// `MAX_RTR_SOLICITATION_DELAY`, RFC 4861 §10).
    pub const THOROUGH: Self = {
        let s = Duration::from_secs(1);
        Self {
            ipv4: Probing { delay_max: s, probes: 3, interval: s, spread: s, wait: s.times(2) },
            ipv6: Probing { delay_max: s, probes: 1, interval: s, spread: Duration::ZERO, wait: s },
        }
    };

    /// The longest that a claim takes.
    pub fn longest(&self) -> Duration {
        let of = |p: &Probing| {
            p.delay_max
                + (p.interval + p.spread).times(u64::from(p.probes.saturating_sub(1)))
                + p.wait
        };
        of(&self.ipv4).max(of(&self.ipv6))
    }
}

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
struct Claim {
    number: u8,
    probing: Probing,
    stage: Stage,
    due_at: Instant,
}

/// All claims under way.
pub(in crate::shard) struct Claims {
    claims: Vec<Claim>,
    rng: Rng,
}

impl Claims {
    pub(in crate::shard) const fn new(seed: u64) -> Self {
        Self { claims: Vec::new(), rng: Rng::new(seed) }
    }

    /// Begins to claim an address.
    pub(in crate::shard) fn begin(&mut self, now: Instant, number: u8, probing: Probing) {
        let due_at = now + self.drawn(probing.delay_max);
        let stage = Stage::Probe(probing.probes);
        self.claims.push(Claim { number, probing, stage, due_at });
    }

    /// Somebody has it.
    pub(in crate::shard) fn give_up(&mut self, number: u8) {
        self.claims.retain(|claim| claim.number != number);
    }

    /// Whether no address waits for its claim.
    pub(in crate::shard) fn is_settled(&self) -> bool {
        !self.claims.iter().any(|claim| matches!(claim.stage, Stage::Probe(_)))
    }

    /// When to [`poll`](Self::poll) next.
    pub(in crate::shard) fn next_deadline(&self) -> Option<Instant> {
        self.claims.iter().map(|claim| claim.due_at).min()
    }

    /// What is to be done by now, one thing a call.
    pub(in crate::shard) fn poll(&mut self, now: Instant) -> Option<Step> {
        let at = self.claims.iter().position(|claim| claim.due_at <= now)?;
        let drawn = self.drawn(self.claims[at].probing.spread);
        let claim = &mut self.claims[at];
        let number = claim.number;
        let Probing { interval, wait, .. } = claim.probing;
        match claim.stage {
            Stage::Probe(0) => {
                claim.stage = Stage::Announce(ANNOUNCEMENTS - 1);
                claim.due_at = now + ANNOUNCE_INTERVAL;
                Some(Step::Settled(number))
            }
            Stage::Probe(left) => {
                claim.stage = Stage::Probe(left - 1);
                claim.due_at = now + if left == 1 { wait } else { interval + drawn };
                Some(Step::Probe(number))
            }
            Stage::Announce(left) => {
                if left > 1 {
                    claim.stage = Stage::Announce(left - 1);
                    claim.due_at = now + ANNOUNCE_INTERVAL;
                } else {
                    self.claims.swap_remove(at);
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

    const NOW: Instant = Instant::from_millis(1000);

    /// The steps with their times in milliseconds from the start.
    fn steps(probing: Probing) -> Vec<(u64, Step)> {
        let mut claims = Claims::new(7);
        claims.begin(NOW, 3, probing);
        let mut steps = Vec::new();
        while let Some(at) = claims.next_deadline() {
            let step = claims.poll(at).expect("it is due");
            steps.push((at.since(NOW).as_millis(), step));
        }
        steps
    }

    #[test]
    fn the_times_of_rfc_5227_are_kept_when_asked_for() {
        // RFC 5227 §1.1, §2.1.1: three probes, one to two seconds apart, two seconds of silence; then two
        // announcements two seconds apart (§2.3).
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
        let mut claims = Claims::new(7);
        claims.begin(NOW, 3, DadConfig::QUICK.ipv6);
        assert_eq!(claims.poll(NOW), Some(Step::Probe(3)));
        assert!(!claims.is_settled());
        claims.give_up(3);
        assert_eq!((claims.next_deadline(), claims.is_settled()), (None, true));
    }
}

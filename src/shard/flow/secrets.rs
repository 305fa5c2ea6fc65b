//! The secrets of a shard, all derived from one seed of the operating system.
//!
//! The flow's part of initial sequence numbers (F of RFC 6528 §3) and of timestamps derives from
//! the keyed flow hash, so that each costs one multiplication. The hash is a pseudorandom function
//! of the flow, and so is any fixed function of it. The multipliers are secret as well, since the
//! values that peers see must reveal nothing about the hash itself: an attacker who knew it could
//! choose flows that collide in the flow table.

use crate::tcp::{FlowSecrets, IsnGenerator};

/// A secret linear map of hashes. Its upper half is the result.
#[derive(Clone, Copy)]
struct LinearMap {
    factor: u64,
    addend: u64,
}

impl LinearMap {
    #[inline]
    const fn of(self, hash: u64) -> u32 {
        (hash.wrapping_mul(self.factor).wrapping_add(self.addend) >> 32) as u32
    }
}

/// The secret that derives IPv6 flow labels.
#[derive(Clone, Copy)]
pub(in crate::shard) struct FlowLabels(LinearMap);

impl FlowLabels {
    /// Returns the label of a flow, derived from its keyed hash.
    ///
    /// RFC 6437 §3:
    /// > Flow Label values should be chosen such that their bits exhibit a high degree of
    /// > variability, making them suitable for use as part of the input to a hash function [...]
    /// > third parties should be unlikely to be able to guess the next value
    #[inline]
    pub(in crate::shard) const fn flow_label(self, hash: u64) -> u32 {
        let label = self.0.of(hash) >> 12;
        // RFC 6437 §2:
        //   > A Flow Label of zero is used to indicate packets that have not been labeled.
        if label == 0 { 1 } else { label }
    }
}

/// The secrets of a shard.
#[derive(Clone, Copy)]
pub(in crate::shard) struct Secrets {
    /// Keys the flow hash and other tables.
    pub(in crate::shard) hash: [u8; 16],
    /// Keys SYN cookies.
    pub(in crate::shard) cookie: [u8; 16],
    /// Keys the random limits of reply rates.
    pub(in crate::shard) limits: [u8; 16],
    /// Keys the cookies of Fast Open.
    pub(in crate::shard) fast_open: [u8; 16],
    isn: LinearMap,
    timestamp: LinearMap,
    /// Derives the flow labels.
    pub(in crate::shard) labels: FlowLabels,
}

impl Secrets {
    /// Derives all secrets from `seed`. The first half keys the flow hash, the second draws the
    /// others, so that knowing one secret reveals nothing about another.
    pub(in crate::shard) fn new(seed: &[u8; 32]) -> Self {
        let half = |from: usize| core::array::from_fn::<u8, 16, _>(|at| seed[from + at]);
        let source = IsnGenerator::new(half(16));
        let draw = |label: &[u8]| {
            let drawn = source.secrets(&[label, &seed[..16]].concat());
            u64::from(drawn.isn_offset) << 32 | u64::from(drawn.timestamp_offset)
        };
        let key = |halves: [&[u8]; 2]| {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&draw(halves[0]).to_le_bytes());
            key[8..].copy_from_slice(&draw(halves[1]).to_le_bytes());
            key
        };
        Self {
            hash: half(0),
            cookie: key([b"cookie 0", b"cookie 1"]),
            limits: key([b"limits 0", b"limits 1"]),
            fast_open: key([b"fast open 0", b"fast open 1"]),
            isn: LinearMap { factor: draw(b"isn 0") | 1, addend: draw(b"isn 1") },
            timestamp: LinearMap { factor: draw(b"timestamp 0") | 1, addend: draw(b"timestamp 1") },
            labels: FlowLabels(LinearMap {
                factor: draw(b"label 0") | 1,
                addend: draw(b"label 1"),
            }),
        }
    }

    /// Returns a seed for random numbers that need not be secret.
    pub(in crate::shard) const fn seed(&self) -> u64 {
        self.labels.0.factor ^ self.timestamp.addend
    }

    /// Derives the secrets of a flow from its hash.
    #[inline]
    pub(in crate::shard) const fn of_flow(&self, hash: u64) -> FlowSecrets {
        FlowSecrets { isn_offset: self.isn.of(hash), timestamp_offset: self.timestamp.of(hash) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_the_seed_changes_every_key() {
        let whole = |s: &Secrets| {
            (s.cookie, s.isn.factor, s.isn.addend, s.timestamp.factor, s.timestamp.addend)
        };
        let first = Secrets::new(&[7; 32]);
        for byte in 0..32 {
            let mut seed = [7; 32];
            seed[byte] ^= 1;
            let other = Secrets::new(&seed);
            let (a, b) = (whole(&first), whole(&other));
            assert!(a.0 != b.0 && a.1 != b.1 && a.2 != b.2 && a.3 != b.3 && a.4 != b.4);
            assert_eq!(first.hash != other.hash, byte < 16);
        }
    }

    #[test]
    fn flow_labels_are_well_distributed_and_never_zero() {
        // RFC 6437 §2, §3
        let secrets = Secrets::new(&[1; 32]);
        let mut hash = 1u64;
        let mut counts = [0; 16];
        for _ in 0..16_000 {
            hash = hash.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let label = secrets.labels.flow_label(hash);
            assert!((1..1 << 20).contains(&label));
            counts[(label >> 16) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn adjacent_hashes_have_different_offsets() {
        let secrets = Secrets::new(&[1; 32]);
        let mut seen = std::collections::HashSet::new();
        for hash in 0..1000 {
            let FlowSecrets { isn_offset, timestamp_offset } = secrets.of_flow(hash);
            assert!(seen.insert(isn_offset) && seen.insert(timestamp_offset));
        }
    }
}

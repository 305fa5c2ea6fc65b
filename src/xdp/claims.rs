//! Traffic that the program claims from the kernel: policy, addresses and ports, changeable at run
//! time.
//!
//! Owns the maps that hold them. The kernel has the only copy: nothing is cached here, so nothing
//! can become inconsistent.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, MapError};

use super::layout;
use super::maps::{absent_is_ok, errno, take_map};
use crate::role::Role;

/// Destination of IP fragments to a claimed address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fragments {
    /// The kernel.
    #[default]
    Pass,
    /// The stack, for fragments of TCP, and in [`Role::Exclusive`] also of ICMP. Only a first
    /// fragment has ports, so in [`Role::Shared`] this also claims fragments of the kernel's own
    /// TCP connections.
    Stack,
}

/// Destination of router advertisements in [`Role::Exclusive`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Routers {
    /// The kernel.
    #[default]
    Kernel,
    /// The stack. The kernel then receives no advertisements sent to all nodes.
    Stack,
}

/// Treatment of traffic to claimed addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Owner of the addresses.
    pub role: Role,
    /// Destination of fragments.
    pub fragments: Fragments,
    /// Destination of router advertisements.
    pub routers: Routers,
}

/// Error of changing a running program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SteerError {
    /// The table of addresses is full.
    #[error(
        "claiming {address}: the XDP program holds at most {} addresses of a family; \
         unclaim one first",
        layout::ADDRESSES_MAX
    )]
    TooManyAddresses {
        /// The address that does not fit.
        address: IpAddr,
    },
    /// The queue number exceeds the limit of the program.
    #[error(
        "adding a socket to queue {queue}: the XDP program serves queues 0 to {}; \
         use a lower queue (ethtool -L IF combined N reduces their number)",
        layout::QUEUES_MAX - 1
    )]
    QueueOutOfRange {
        /// The requested queue.
        queue: u32,
    },
    /// The kernel returned an error.
    #[error(
        "{operation}: the kernel returned an error: {source}; check that the process still has \
         CAP_BPF (or root)"
    )]
    Kernel {
        /// Operation that failed.
        operation: String,
        /// The kernel's error.
        source: MapError,
    },
}

impl SteerError {
    pub(super) fn kernel(operation: impl Into<String>) -> impl FnOnce(MapError) -> Self {
        let operation = operation.into();
        move |source| Self::Kernel { operation, source }
    }
}

/// The maps that hold the claims.
pub(super) struct Claims {
    config: Array<MapData, u32>,
    addresses_v4: HashMap<MapData, [u8; 4], u8>,
    addresses_v6: HashMap<MapData, [u8; 16], u8>,
    ports: Array<MapData, u64>,
}

impl Claims {
    /// Takes the maps out of a loaded program.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, MapError> {
        Ok(Self {
            config: take_map(ebpf, "config")?,
            addresses_v4: take_map(ebpf, "addresses_v4")?,
            addresses_v6: take_map(ebpf, "addresses_v6")?,
            ports: take_map(ebpf, "ports")?,
        })
    }

    pub(super) fn set_policy(&mut self, policy: Policy) -> Result<(), SteerError> {
        let role = match policy.role {
            Role::Shared => layout::ROLE_SHARED,
            Role::Exclusive => layout::ROLE_EXCLUSIVE,
        };
        let fragments = match policy.fragments {
            Fragments::Pass => layout::FRAGMENTS_PASS,
            Fragments::Stack => layout::FRAGMENTS_STACK,
        };
        let routers = match policy.routers {
            Routers::Kernel => layout::ROUTERS_KERNEL,
            Routers::Stack => layout::ROUTERS_STACK,
        };
        self.config
            .set(layout::CONFIG_ROLE, role, 0)
            .and_then(|()| self.config.set(layout::CONFIG_FRAGMENTS, fragments, 0))
            .and_then(|()| self.config.set(layout::CONFIG_ROUTERS, routers, 0))
            .map_err(SteerError::kernel("setting the policy of the XDP program"))
    }

    pub(super) fn claim_address(&mut self, address: IpAddr) -> Result<(), SteerError> {
        let inserted = match address {
            IpAddr::V4(v4) => self.addresses_v4.insert(v4.octets(), 1, 0),
            IpAddr::V6(v6) => self.addresses_v6.insert(v6.octets(), 1, 0),
        };
        inserted.map_err(|error| match errno(&error) {
            Some(libc::E2BIG) => SteerError::TooManyAddresses { address },
            _ => SteerError::kernel(format!("claiming {address}"))(error),
        })
    }

    pub(super) fn unclaim_address(&mut self, address: IpAddr) -> Result<(), SteerError> {
        let removed = match address {
            IpAddr::V4(v4) => self.addresses_v4.remove(&v4.octets()),
            IpAddr::V6(v6) => self.addresses_v6.remove(&v6.octets()),
        };
        absent_is_ok(removed).map_err(SteerError::kernel(format!("unclaiming {address}")))
    }

    pub(super) fn set_ports(
        &mut self,
        range: RangeInclusive<u16>,
        to: Claim,
    ) -> Result<(), SteerError> {
        for (word, mask) in words(range.clone()) {
            self.set_word(word, mask, to).map_err(SteerError::kernel(format!(
                "{} TCP ports {} to {}",
                match to {
                    Claim::Claimed => "claiming",
                    Claim::Unclaimed => "unclaiming",
                },
                range.start(),
                range.end()
            )))?;
        }
        Ok(())
    }

    fn set_word(&mut self, word: u32, mask: u64, to: Claim) -> Result<(), MapError> {
        let bits = if mask == u64::MAX { 0 } else { self.ports.get(&word, 0)? };
        let bits = match to {
            Claim::Claimed => bits | mask,
            Claim::Unclaimed => bits & !mask,
        };
        self.ports.set(word, bits, 0)
    }
}

/// New state of a range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Claimed,
    Unclaimed,
}

/// Returns the words of the port map that a range touches, each with a mask of the bits in the
/// range.
fn words(range: RangeInclusive<u16>) -> impl Iterator<Item = (u32, u64)> {
    const BITS: u32 = layout::PORT_WORD_BITS;
    let (first, last) = (u32::from(*range.start()), u32::from(*range.end()));
    let all = first / BITS..=last / BITS;
    // An empty range within one word would still select that word.
    all.filter(move |_| first <= last).map(move |word| {
        let low = first.max(word * BITS) % BITS;
        let high = last.min(word * BITS + BITS - 1) % BITS;
        (word, (u64::MAX >> (BITS - 1 - high)) & (u64::MAX << low))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports_of(range: RangeInclusive<u16>) -> Vec<u32> {
        words(range)
            .flat_map(|(word, mask)| {
                (0..64).filter(move |bit| mask >> bit & 1 == 1).map(move |bit| word * 64 + bit)
            })
            .collect()
    }

    #[test]
    fn a_range_covers_exactly_its_ports() {
        for (low, high) in
            [(0, 0), (80, 80), (63, 64), (1, 200), (64, 127), (65535, 65535), (0, 65535)]
        {
            let wanted: Vec<u32> = (u32::from(low)..=u32::from(high)).collect();
            assert_eq!(ports_of(low..=high), wanted, "{low}..={high}");
        }
    }

    #[test]
    fn an_empty_range_touches_nothing() {
        #[allow(clippy::reversed_empty_ranges)]
        let empty = 90..=80;
        assert!(ports_of(empty).is_empty());
    }
}

//! What the program takes from the kernel: policy, addresses and ports, changeable while it runs.
//!
//! Owns the maps that hold them. The kernel's copy is the only one: nothing is cached here, so that there
//! is nothing to fall out of step.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, MapError};

use super::layout;
use crate::role::Role;

/// Where IP fragments to a claimed address go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fragments {
    /// To the kernel.
    #[default]
    Pass,
    /// To the stack, those of TCP, and in [`Role::Exclusive`] of ICMP too. Only a first fragment has
    /// ports, so in [`Role::Shared`] this takes fragments of the kernel's own TCP connections as well.
    Stack,
}

/// To whom routers speak, in [`Role::Exclusive`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Routers {
    /// To the kernel.
    #[default]
    Kernel,
    /// To the stack: what they say to all nodes does not reach the kernel.
    Stack,
}

/// What the program does with the traffic of claimed addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whose the addresses are.
    pub role: Role,
    /// Where fragments go.
    pub fragments: Fragments,
    /// Who hears routers.
    pub routers: Routers,
}

/// A change to a running program that was refused.
#[derive(Debug, thiserror::Error)]
pub enum SteerError {
    /// No room for another address.
    #[error(
        "claiming {address}: the XDP program holds {} addresses of a family at most; unclaim one first",
        layout::ADDRESSES_MAX
    )]
    TooManyAddresses {
        /// The one too many.
        address: IpAddr,
    },
    /// A queue number beyond what the program can hold.
    #[error(
        "putting a socket on queue {queue}: the XDP program serves queues 0 to {}; \
         use a lower queue (ethtool -L IF combined N reduces them)",
        layout::QUEUES_MAX - 1
    )]
    QueueOutOfRange {
        /// The queue asked for.
        queue: u32,
    },
    /// The kernel refused.
    #[error("{tried}: the kernel refused: {source}; check that the process kept CAP_BPF (or root)")]
    Kernel {
        /// What was being done.
        tried: String,
        /// What the kernel said.
        source: MapError,
    },
}

impl SteerError {
    pub(super) fn kernel(tried: impl Into<String>) -> impl FnOnce(MapError) -> Self {
        let tried = tried.into();
        move |source| Self::Kernel { tried, source }
    }
}

/// The errno behind a refusal, where there is one.
pub(super) fn errno(error: &MapError) -> Option<i32> {
    match error {
        MapError::SyscallError(call) => call.io_error.raw_os_error(),
        MapError::IoError(io) => io.raw_os_error(),
        _ => None,
    }
}

/// The maps behind the claims.
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
            config: super::program::take_map(ebpf, "config")?,
            addresses_v4: super::program::take_map(ebpf, "addresses_v4")?,
            addresses_v6: super::program::take_map(ebpf, "addresses_v6")?,
            ports: super::program::take_map(ebpf, "ports")?,
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
        absent_is_done(removed).map_err(SteerError::kernel(format!("giving {address} back")))
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
                    Claim::Unclaimed => "giving back",
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

/// Whether ports are being taken or given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Claimed,
    Unclaimed,
}

/// What is not there needs no removing.
pub(super) fn absent_is_done(removed: Result<(), MapError>) -> Result<(), MapError> {
    match removed {
        Err(MapError::KeyNotFound | MapError::ElementNotFound) => Ok(()),
        Err(error) if errno(&error) == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

/// The words of the port map that a range touches, each with the bits it touches there.
fn words(range: RangeInclusive<u16>) -> impl Iterator<Item = (u32, u64)> {
    const BITS: u32 = layout::PORT_WORD_BITS;
    let (first, last) = (u32::from(*range.start()), u32::from(*range.end()));
    let all = first / BITS..=last / BITS;
    // An empty range within one word would still name that word.
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

//! One neighbour: its cache entry, and the types of the cache's interface.

use core::net::IpAddr;

use crate::shard::flow::id::NeighbourId;
use crate::shard::ip::held::Queue;
use crate::time::{Duration, Instant};
use crate::wire::ethernet::MacAddr;

/// The timers of the cache (RFC 4861 §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NeighbourTimers {
    /// `RETRANS_TIMER`: time between two solicitations.
    pub retransmit: Duration,
    /// `REACHABLE_TIME`: mean time for which a reply is valid.
    pub reachable: Duration,
    /// `DELAY_FIRST_PROBE_TIME`: time in which TCP may confirm a stale entry before it is probed.
    pub delay: Duration,
    /// `MAX_MULTICAST_SOLICIT` and `MAX_UNICAST_SOLICIT`: solicitations before resolution fails.
    pub solicits_max: u8,
}

impl Default for NeighbourTimers {
    fn default() -> Self {
        Self {
            retransmit: Duration::from_secs(1),
            reachable: Duration::from_secs(30),
            delay: Duration::from_secs(5),
            solicits_max: 3,
        }
    }
}

/// The result of a lookup by handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Resolution {
    /// Send to this MAC address.
    Known(MacAddr),
    /// Resolution is in progress: hold the frame, or try later.
    Pending,
    /// The entry was evicted: resolve the address again.
    Evicted,
}

/// The destination of frames to a neighbour: its MAC address, or its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) struct LinkTarget {
    /// The neighbour's MAC address; zero while it is unknown.
    pub(in crate::shard) mac: MacAddr,
    /// The neighbour whose queue holds the frame until the address is known.
    pub(in crate::shard) held_for: Option<NeighbourId>,
}

impl LinkTarget {
    #[inline]
    pub(in crate::shard) const fn new(resolution: Resolution, neighbour: NeighbourId) -> Self {
        match resolution {
            Resolution::Known(mac) => Self { mac, held_for: None },
            Resolution::Pending | Resolution::Evicted => {
                Self { mac: MacAddr::ZERO, held_for: Some(neighbour) }
            }
        }
    }
}

/// The destination of a solicitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Solicit {
    /// All hosts: a broadcast ARP request, or a solicitation to the solicited-node group.
    Multicast,
    /// The neighbour itself, to verify that it is still reachable.
    Unicast(MacAddr),
}

/// An action that the cache requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action<F> {
    /// Send an ARP request or a neighbour solicitation.
    Solicit {
        /// The address to resolve.
        address: IpAddr,
        /// The destination.
        to: Solicit,
    },
    /// The neighbour does not answer. Discard its frames
    /// ([`take_held`](crate::shard::ip::neighbours::Neighbours::take_held)).
    Failed {
        /// The neighbour.
        id: NeighbourId,
        /// Its address.
        address: IpAddr,
    },
    /// Discard this frame: the entry for which it waited was evicted.
    Discard(F),
}

/// The flags of an advertisement (RFC 4861 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AdvertFlags {
    /// It replies to a solicitation.
    pub solicited: bool,
    /// It should override the cached address.
    pub overrides: bool,
}

impl AdvertFlags {
    /// An ARP reply addressed to us.
    pub(crate) const ARP_REPLY: Self = Self { solicited: true, overrides: true };
    /// An ARP announcement (RFC 5227 §3): a request or reply for the sender's own address.
    pub(crate) const ARP_ANNOUNCEMENT: Self = Self { solicited: false, overrides: true };
}

/// The effect of a received packet on the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Learned {
    /// Nothing to do.
    Nothing,
    /// The neighbour's address is now known: send the frames held for it.
    Resolved(NeighbourId),
}

/// The target of an ARP request or neighbour solicitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A local address.
    Local,
    /// The address of another host.
    Other,
}

/// The states of RFC 4861 §7.3.2 and three more, in the order of eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum State {
    Vacant,
    /// Did not answer. Resolution restarts with the next packet.
    Failed,
    Incomplete,
    Stale,
    Reachable,
    Delay,
    Probe,
    /// Set by the operator or the kernel.
    Permanent,
}

/// The cache entry of a neighbour.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Entry {
    pub(in crate::shard) address: IpAddr,
    pub(in crate::shard) mac: MacAddr,
    pub(in crate::shard) state: State,
    /// Solicitations sent in the current state.
    pub(in crate::shard) solicits: u8,
    /// On the list of entries to solicit in this turn.
    pub(in crate::shard) urgent: bool,
    pub(in crate::shard) generation: u16,
    pub(in crate::shard) held: Queue,
    /// Time of the next transition of its state; for `Reachable`, the time at which it becomes
    /// stale.
    pub(in crate::shard) due_at: Instant,
    pub(in crate::shard) solicited_at: Instant,
    pub(in crate::shard) used_at: Instant,
}

impl Entry {
    /// Creates the entry of a neighbour whose MAC address is unknown.
    pub(in crate::shard) const fn new(now: Instant, address: IpAddr) -> Self {
        Self {
            address,
            mac: MacAddr::ZERO,
            state: State::Stale,
            solicits: 0,
            urgent: false,
            generation: 0,
            held: Queue::EMPTY,
            due_at: now,
            solicited_at: Instant::ZERO,
            used_at: now,
        }
    }
}

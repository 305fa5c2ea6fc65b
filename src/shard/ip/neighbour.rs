//! One neighbour: its entry in the cache, and the words in which the cache is talked to.

use core::net::IpAddr;

use crate::shard::flow::id::NeighbourId;
use crate::shard::ip::held::Queue;
use crate::time::{Duration, Instant};
use crate::wire::ethernet::MacAddr;

/// How long the cache waits and believes (RFC 4861 §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourTimers {
    /// `RETRANS_TIMER`: between two questions.
    pub retransmit: Duration,
    /// `REACHABLE_TIME`: how long an answer is good for, on average.
    pub reachable: Duration,
    /// `DELAY_FIRST_PROBE_TIME`: how long TCP has to confirm a stale entry before it is probed.
    pub delay: Duration,
    /// `MAX_MULTICAST_SOLICIT` and `MAX_UNICAST_SOLICIT`: questions until it is given up.
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

/// How to reach a neighbour now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Resolution {
    /// Send to this address.
    Known(MacAddr),
    /// It was asked and has not answered: hold the frame, or come again.
    Pending,
    /// The entry was evicted: resolve the address again.
    Evicted,
}

/// Where frames to a neighbour go.
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

/// Whom to ask for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Solicit {
    /// Everyone: an ARP request by broadcast, a solicitation to the solicited-node group.
    Multicast,
    /// The neighbour itself, whether it is still there.
    Unicast(MacAddr),
}

/// What the cache wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<F> {
    /// Solicit for an address.
    Solicit {
        /// Whose.
        address: IpAddr,
        /// Asking whom.
        to: Solicit,
    },
    /// The neighbour does not answer: its frames
    /// ([`crate::shard::ip::neighbours::Neighbours::take_held`]) are to be discarded.
    Failed {
        /// Which one.
        id: NeighbourId,
        /// Its address.
        address: IpAddr,
    },
    /// The entry this frame waited for was evicted.
    Discard(F),
}

/// What an advertisement claims: the flags of RFC 4861 §4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdvertFlags {
    /// It answers a question.
    pub solicited: bool,
    /// It should replace what is known.
    pub overrides: bool,
}

impl AdvertFlags {
    /// An ARP reply addressed to us.
    pub const ARP_REPLY: Self = Self { solicited: true, overrides: true };
    /// An ARP announcement (RFC 5227 §3): a request or reply for the sender's own address.
    pub const ARP_ANNOUNCEMENT: Self = Self { solicited: false, overrides: true };
}

/// What came of what a neighbour said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Learned {
    /// Nothing to do.
    Nothing,
    /// The neighbour's address is known now: send what was held for it.
    Resolved(NeighbourId),
}

/// Whether a question was for one of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// It was.
    Local,
    /// It was for another's.
    Other,
}

/// The states of RFC 4861 §7.3.2 and three more, in the order in which they may be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum State {
    Vacant,
    /// Gave no answer; asked again when needed.
    Failed,
    Incomplete,
    Stale,
    Reachable,
    Delay,
    Probe,
    /// Set by the operator or the kernel.
    Permanent,
}

/// What the cache keeps of a neighbour.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Entry {
    pub(in crate::shard) address: IpAddr,
    pub(in crate::shard) mac: MacAddr,
    pub(in crate::shard) state: State,
    pub(in crate::shard) solicits: u8,
    /// In the list of those to be asked in this turn.
    pub(in crate::shard) urgent: bool,
    pub(in crate::shard) generation: u16,
    pub(in crate::shard) held: Queue,
    /// When its state has the next thing to do; for `Reachable`, when it becomes stale.
    pub(in crate::shard) due_at: Instant,
    pub(in crate::shard) solicited_at: Instant,
    pub(in crate::shard) used_at: Instant,
}

impl Entry {
    /// A neighbour of which nothing is known but its address.
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

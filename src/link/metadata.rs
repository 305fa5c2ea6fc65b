//! Metadata of received frames.

/// Metadata of a received frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// Time of arrival.
    pub stamp: Option<Stamp>,
    /// The hash by which the NIC chose the queue, and its inputs as bits of the kernel's `enum
    /// xdp_rss_hash_type` ([`HASH_OF_PORTS`]).
    pub hash: Option<(u32, u32)>,
}

/// Hash type bit: the hash includes ports (include/net/xdp.h, `XDP_RSS_L4`).
pub const HASH_OF_PORTS: u32 = 1 << 3;

/// Time of arrival of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub nanos: u64,
    /// The driver provided the time; otherwise the XDP program did, when it saw the frame.
    pub by_driver: bool,
    /// The driver's timestamp was from another clock and is not used.
    pub driver_is_foreign: bool,
}

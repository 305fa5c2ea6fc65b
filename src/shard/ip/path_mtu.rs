//! Path MTUs per destination, reported by routers (RFC 1191, RFC 8201) or found by probes of
//! connections (RFC 4821 §5.2).
//!
//! Holds an entry for each destination whose path MTU is lower than the link's, for ten minutes
//! after it was last lowered. Refuses to know connections: the caller has verified that an error
//! quotes one of our segments (RFC 5927 §4), and asks whenever it sends. The test whether any entry
//! exists is cheap.

use std::collections::HashMap;

use core::net::IpAddr;

use crate::shard::mem::keyed::Keyed;
use crate::tcp::{PathMtuEvent, PathSizes};
use crate::time::{Duration, Instant};
use crate::wire::ipv6;

/// Lifetime of an entry. RFC 8201 §4:
/// > An attempt to detect an increase [...] must not be done less than 5 minutes after a Packet Too
/// > Big message has been received for the given path. The recommended setting for this timer is
/// > twice its minimum value (10 minutes).
///
/// RFC 1191 §3 says the same.
const LIFETIME: Duration = Duration::from_secs(600);

/// Lowest path MTU accepted for IPv4, bytes; the value that other hosts use. RFC 1191 §3 allows 68,
/// with which a forged error would force a packet for every 28 bytes. No link in use has a lower
/// MTU than this.
const IPV4_MIN: u32 = 552;

/// Plateaus of RFC 1191 §7.1, for routers that report no MTU.
const PLATEAUS: [u32; 9] = [65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, IPV4_MIN];

/// The path MTU of one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PathEntry {
    mtu: u16,
    /// Upper bound of the search, if the MTU was found by probes.
    search_high: Option<u16>,
    /// Time at which the MTU was last lowered.
    since: Instant,
}

/// The path MTU of a connection, and its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Limit {
    /// Reported by a router.
    Reported(u16),
    /// Found by probes.
    Probed(PathSizes),
}

/// The effect of an ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::shard) enum PathMtuUpdate {
    /// The path MTU was lowered to this many bytes.
    Lowered(u16),
    /// The reported MTU is implausible, or not lower than the known one.
    Ignored,
}

/// The table of path MTUs.
pub(in crate::shard) struct PathMtus {
    paths: HashMap<IpAddr, PathEntry, Keyed>,
    capacity: usize,
    /// MTU of the link for IPv6, if a router advertises one (RFC 4861 §4.6.4).
    link_v6: Option<u16>,
}

impl PathMtus {
    /// Creates a table for `capacity` destinations. `secret` keys its hash.
    pub(in crate::shard) fn new(capacity: usize, secret: [u8; 16]) -> Self {
        let capacity = capacity.max(1);
        let paths = HashMap::with_capacity_and_hasher(capacity, Keyed::new(secret));
        Self { paths, capacity, link_v6: None }
    }

    /// Returns true if no path MTU is lower than the interface's.
    #[inline]
    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.link_v6.is_none()
    }

    /// Sets the link MTU for IPv6 that a router advertises; `None` is the interface's (RFC 4861
    /// §6.3.4).
    pub(in crate::shard) fn set_link_v6(&mut self, mtu: Option<u16>) {
        self.link_v6 = mtu;
    }

    /// Returns the path MTU of a destination, bytes, if it is lower than the interface's.
    pub(in crate::shard) fn of(&mut self, now: Instant, destination: IpAddr) -> Option<u16> {
        let link = self.link_v6.filter(|_| destination.is_ipv6());
        let known = self.known(now, destination).map(|known| known.mtu);
        [known, link].into_iter().flatten().min()
    }

    /// Returns the path MTU of a destination with its source.
    pub(in crate::shard) fn limit(&mut self, now: Instant, destination: IpAddr) -> Option<Limit> {
        let mtu = self.of(now, destination)?;
        let known = self.known(now, destination).filter(|known| known.mtu == mtu);
        Some(match known.and_then(|known| known.search_high) {
            Some(search_high) => {
                Limit::Probed(PathSizes { eff_pmtu: mtu, search_low: mtu, search_high })
            }
            None => Limit::Reported(mtu),
        })
    }

    fn known(&mut self, now: Instant, destination: IpAddr) -> Option<PathEntry> {
        let known = self.paths.get(&destination).copied()?;
        if is_expired(known, now) {
            self.paths.remove(&destination);
            return None;
        }
        Some(known)
    }

    /// Stores the result of a connection's search. A lower MTU reported by a router is kept.
    pub(in crate::shard) fn on_found(
        &mut self,
        now: Instant,
        destination: IpAddr,
        event: &PathMtuEvent,
    ) {
        let known = self.known(now, destination);
        let PathSizes { eff_pmtu: mtu, search_high, .. } = event.sizes;
        if known.is_some_and(|known| known.search_high.is_none() && known.mtu <= mtu) {
            return;
        }
        // RFC 4821 §7.3: ten minutes from the time at which the MTU was last lowered.
        let lowered = event.black_holes > 0 || known.is_none();
        let since = known.filter(|_| !lowered).map_or(now, |known| known.since);
        self.insert(destination, PathEntry { mtu, search_high: Some(search_high), since });
    }

    /// Processes an ICMP error about a packet of `length` bytes that we sent. `reported` is the
    /// next-hop MTU in the error, 0 from routers that report none.
    pub(in crate::shard) fn on_too_big(
        &mut self,
        now: Instant,
        destination: IpAddr,
        reported: u32,
        length: u32,
    ) -> PathMtuUpdate {
        let Some(mtu) = plausible(destination, reported, length) else {
            return PathMtuUpdate::Ignored;
        };
        // RFC 8201 §4: > A node must not increase its estimate of the Path MTU in response to the
        // contents
        // > of a Packet Too Big message.
        if self.of(now, destination).is_some_and(|known| known <= mtu) {
            return PathMtuUpdate::Ignored;
        }
        self.insert(destination, PathEntry { mtu, search_high: None, since: now });
        PathMtuUpdate::Lowered(mtu)
    }

    fn insert(&mut self, destination: IpAddr, known: PathEntry) {
        if self.paths.len() == self.capacity && !self.paths.contains_key(&destination) {
            self.evict_oldest();
        }
        self.paths.insert(destination, known);
    }

    fn evict_oldest(&mut self) {
        let oldest = self.paths.iter().min_by_key(|(_, known)| known.since);
        if let Some(destination) = oldest.map(|(destination, _)| *destination) {
            self.paths.remove(&destination);
        }
    }
}

fn is_expired(known: PathEntry, now: Instant) -> bool {
    now.since(known.since) >= LIFETIME
}

/// Returns the MTU that an error means, if it is plausible: lower than the packet that was too big
/// (RFC 5927 §7.2), and no lower than the minimum of the address family.
fn plausible(destination: IpAddr, reported: u32, length: u32) -> Option<u16> {
    let mtu = match destination {
        // RFC 8201 §4:
        //   > If a node receives a Packet Too Big message reporting a next-hop MTU that is less
        //   > than the IPv6 minimum link MTU, it must discard it.
        IpAddr::V6(_) => Some(reported).filter(|reported| *reported >= ipv6::MTU_MIN as u32),
        // RFC 1191 §5: the search for the next lower plateau.
        IpAddr::V4(_) if reported == 0 => PLATEAUS.into_iter().find(|plateau| *plateau < length),
        IpAddr::V4(_) => Some(reported.max(IPV4_MIN)),
    };
    mtu.filter(|mtu| *mtu < length).and_then(|mtu| u16::try_from(mtu).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_millis(1000);

    fn v4(n: u8) -> IpAddr {
        IpAddr::from([198, 51, 100, n])
    }

    fn v6() -> IpAddr {
        "2001:db8::7".parse().expect("an address")
    }

    fn paths() -> PathMtus {
        PathMtus::new(4, [1; 16])
    }

    #[test]
    fn a_reported_path_mtu_expires_after_ten_minutes() {
        // RFC 8201 §4, RFC 1191 §3
        let mut paths = paths();
        assert!(paths.is_empty());
        assert_eq!(paths.on_too_big(NOW, v4(1), 1400, 1500), PathMtuUpdate::Lowered(1400));
        let at = |secs| NOW + Duration::from_secs(secs);
        assert_eq!((paths.of(at(599), v4(1)), paths.of(at(599), v4(2))), (Some(1400), None));
        // Lowering it again restarts the ten minutes.
        assert_eq!(paths.on_too_big(at(500), v4(1), 1300, 1400), PathMtuUpdate::Lowered(1300));
        assert_eq!(paths.of(at(1099), v4(1)), Some(1300));
        assert_eq!(paths.of(at(1100), v4(1)), None);
        assert!(paths.is_empty());
    }

    #[test]
    fn an_error_never_raises_the_path_mtu() {
        // RFC 8201 §4
        let mut paths = paths();
        assert_eq!(paths.on_too_big(NOW, v6(), 1300, 1500), PathMtuUpdate::Lowered(1300));
        for reported in [1300, 1400, 1499] {
            assert_eq!(paths.on_too_big(NOW, v6(), reported, 1500), PathMtuUpdate::Ignored);
        }
        assert_eq!(paths.of(NOW, v6()), Some(1300));
    }

    #[test]
    fn an_mtu_below_the_ipv6_minimum_is_discarded() {
        // RFC 8201 §4
        for reported in [0, 68, 1279] {
            assert_eq!(paths().on_too_big(NOW, v6(), reported, 1500), PathMtuUpdate::Ignored);
        }
        assert_eq!(paths().on_too_big(NOW, v6(), 1280, 1500), PathMtuUpdate::Lowered(1280));
    }

    #[test]
    fn a_router_that_names_no_mtu_means_the_next_plateau() {
        // RFC 1191 §5, §7
        for (length, mtu) in [(9000, 8166), (1500, 1492), (1492, 1006), (1006, 552)] {
            assert_eq!(paths().on_too_big(NOW, v4(1), 0, length), PathMtuUpdate::Lowered(mtu));
        }
        assert_eq!(paths().on_too_big(NOW, v4(1), 0, 552), PathMtuUpdate::Ignored);
    }

    #[test]
    fn an_mtu_that_the_quoted_packet_would_have_fitted_is_ignored() {
        // RFC 5927 §7.2
        for reported in [1500, 1501, 65_535, u32::MAX] {
            assert_eq!(paths().on_too_big(NOW, v4(1), reported, 1500), PathMtuUpdate::Ignored);
        }
    }

    #[test]
    fn an_ipv4_path_mtu_is_never_lowered_below_552_bytes() {
        // RFC 1191 §3: never below 68.
        assert_eq!(paths().on_too_big(NOW, v4(1), 68, 1500), PathMtuUpdate::Lowered(552));
        assert_eq!(paths().on_too_big(NOW, v4(1), 68, 500), PathMtuUpdate::Ignored);
    }

    #[test]
    fn a_probed_path_mtu_is_shared_and_expires_like_a_reported_one() {
        // RFC 4821 §5.2
        let found = |eff_pmtu, black_holes| PathMtuEvent {
            sizes: PathSizes { eff_pmtu, search_low: eff_pmtu, search_high: 1500 },
            black_holes,
            arrived: 1,
            lost: 0,
        };
        let mut paths = paths();
        paths.on_found(NOW, v4(1), &found(1200, 1));
        let at = |secs| NOW + Duration::from_secs(secs);
        paths.on_found(at(100), v4(1), &found(1350, 0));
        let sizes = found(1350, 0).sizes;
        assert_eq!(paths.limit(at(599), v4(1)), Some(Limit::Probed(sizes)));
        assert_eq!(paths.limit(at(600), v4(1)), None);
        // A lower MTU reported by a router replaces it.
        paths.on_found(NOW, v4(1), &found(1350, 1));
        assert_eq!(paths.on_too_big(NOW, v4(1), 1300, 1350), PathMtuUpdate::Lowered(1300));
        paths.on_found(NOW, v4(1), &found(1300, 0));
        assert_eq!(paths.limit(NOW, v4(1)), Some(Limit::Reported(1300)));
    }

    #[test]
    fn the_link_mtu_that_a_router_advertises_holds_for_ipv6_only() {
        // RFC 4861 §6.3.4
        let mut paths = paths();
        paths.set_link_v6(Some(1400));
        assert!(!paths.is_empty());
        assert_eq!((paths.of(NOW, v6()), paths.of(NOW, v4(1))), (Some(1400), None));
        assert_eq!(paths.on_too_big(NOW, v6(), 1300, 1400), PathMtuUpdate::Lowered(1300));
        assert_eq!(paths.limit(NOW, v6()), Some(Limit::Reported(1300)));
        paths.set_link_v6(None);
        assert_eq!(paths.of(NOW, v6()), Some(1300));
    }

    #[test]
    fn the_oldest_path_is_evicted_when_the_table_is_full() {
        // RFC 8201 §5.2
        let mut paths = paths();
        for n in 0..6 {
            let now = NOW + Duration::from_secs(n.into());
            assert_eq!(paths.on_too_big(now, v4(n), 1400, 1500), PathMtuUpdate::Lowered(1400));
        }
        let known: Vec<_> = (0..6).map(|n| paths.of(NOW, v4(n)).is_some()).collect();
        assert_eq!(known, [false, false, true, true, true, true]);
    }
}

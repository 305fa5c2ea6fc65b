//! What is known of the paths: the largest packet that reaches each destination, as routers tell
//! (RFC 1191, RFC 8201) or as connections find out by probes (RFC 4821 §5.2).
//!
//! Owns an entry for each destination whose path takes less than the link, for ten minutes after it
//! was last lowered. Refuses to know connections: who calls has made sure that an error quotes one
//! of ours (RFC 5927 §4), and asks whenever it sends. Empty where every path takes what the link
//! takes, which is one flag to test.

use std::collections::HashMap;

use core::net::IpAddr;

use crate::shard::mem::keyed::Keyed;
use crate::tcp::{PathMtuEvent, PathSizes};
use crate::time::{Duration, Instant};
use crate::wire::ipv6;

/// RFC 8201 §4:
/// > An attempt to detect an increase [...] must not be done less than 5 minutes after a Packet Too
/// > Big message has been received for the given path. The recommended setting for this timer is
/// > twice its minimum value (10 minutes).
///
/// RFC 1191 §3 says the same.
const HOLDS: Duration = Duration::from_secs(600);

/// The least that is believed of an IPv4 path. RFC 1191 §3 allows 68, with which a forger could
/// have us send a packet for every 28 bytes; no link of today takes less than this (what other
/// hosts use).
const IPV4_MIN: u32 = 552;

/// RFC 1191 §7.1: the MTUs of links, for routers that name none.
const PLATEAUS: [u32; 9] = [65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, IPV4_MIN];

/// What is known of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    mtu: u16,
    /// The most that the path may take, where it was found by probes.
    search_high: Option<u16>,
    since: Instant,
}

/// How a path limits a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Limit {
    /// A router has said so.
    Reported(u16),
    /// Probes have found it.
    Probed(PathSizes),
}

/// What came of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::shard) enum PathMtuUpdate {
    /// The path takes this many bytes.
    Lowered(u16),
    /// It says nothing that could be true, or nothing new.
    Ignored,
}

/// The paths.
pub(in crate::shard) struct PathMtus {
    paths: HashMap<IpAddr, Known, Keyed>,
    capacity: usize,
    /// What a router has said of the link for IPv6 (RFC 4861 §4.6.4).
    link_v6: Option<u16>,
}

impl PathMtus {
    /// Room for so many destinations.
    pub(in crate::shard) fn new(capacity: usize, secret: [u8; 16]) -> Self {
        let capacity = capacity.max(1);
        let paths = HashMap::with_capacity_and_hasher(capacity, Keyed::new(secret));
        Self { paths, capacity, link_v6: None }
    }

    /// Whether every path takes what the link takes.
    #[inline]
    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.link_v6.is_none()
    }

    /// A router has told the MTU of the link for IPv6, or that it is the interface's (RFC 4861
    /// §6.3.4).
    pub(in crate::shard) fn set_link_v6(&mut self, mtu: Option<u16>) {
        self.link_v6 = mtu;
    }

    /// The largest packet for a destination, if it is less than what the interface takes.
    pub(in crate::shard) fn of(&mut self, now: Instant, destination: IpAddr) -> Option<u16> {
        let link = self.link_v6.filter(|_| destination.is_ipv6());
        let known = self.known(now, destination).map(|known| known.mtu);
        [known, link].into_iter().flatten().min()
    }

    /// The same, with where it is from.
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

    fn known(&mut self, now: Instant, destination: IpAddr) -> Option<Known> {
        let known = self.paths.get(&destination).copied()?;
        if is_over(known, now) {
            self.paths.remove(&destination);
            return None;
        }
        Some(known)
    }

    /// A connection has searched the path. What a router told of it stays.
    pub(in crate::shard) fn on_found(
        &mut self,
        now: Instant,
        destination: IpAddr,
        news: &PathMtuEvent,
    ) {
        let known = self.known(now, destination);
        let PathSizes { eff_pmtu: mtu, search_high, .. } = news.sizes;
        if known.is_some_and(|known| known.search_high.is_none() && known.mtu <= mtu) {
            return;
        }
        // RFC 4821 §7.3: ten minutes from when the path was last found to take less.
        let lowered = news.black_holes > 0 || known.is_none();
        let since = known.filter(|_| !lowered).map_or(now, |known| known.since);
        self.insert(destination, Known { mtu, search_high: Some(search_high), since });
    }

    /// An error about a packet of `length` bytes of ours: some link on the way takes `told` (0 from
    /// routers that name none).
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
        self.insert(destination, Known { mtu, search_high: None, since: now });
        PathMtuUpdate::Lowered(mtu)
    }

    fn insert(&mut self, destination: IpAddr, known: Known) {
        if self.paths.len() == self.capacity && !self.paths.contains_key(&destination) {
            self.forget_oldest();
        }
        self.paths.insert(destination, known);
    }

    fn forget_oldest(&mut self) {
        let oldest = self.paths.iter().min_by_key(|(_, known)| known.since);
        if let Some(destination) = oldest.map(|(destination, _)| *destination) {
            self.paths.remove(&destination);
        }
    }
}

fn is_over(known: Known, now: Instant) -> bool {
    now.since(known.since) >= HOLDS
}

/// The MTU that an error can mean, if it can be true: less than the packet that was too big
/// (RFC 5927 §7.2), and what links of that family take at least.
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
    fn what_a_router_tells_holds_for_ten_minutes() {
        // RFC 8201 §4, RFC 1191 §3
        let mut paths = paths();
        assert!(paths.is_empty());
        assert_eq!(paths.on_too_big(NOW, v4(1), 1400, 1500), PathMtuUpdate::Lowered(1400));
        let at = |secs| NOW + Duration::from_secs(secs);
        assert_eq!((paths.of(at(599), v4(1)), paths.of(at(599), v4(2))), (Some(1400), None));
        // Lowered again, it holds for ten minutes from then.
        assert_eq!(paths.on_too_big(at(500), v4(1), 1300, 1400), PathMtuUpdate::Lowered(1300));
        assert_eq!(paths.of(at(1099), v4(1)), Some(1300));
        assert_eq!(paths.of(at(1100), v4(1)), None);
        assert!(paths.is_empty());
    }

    #[test]
    fn an_error_never_raises_what_is_known() {
        // RFC 8201 §4
        let mut paths = paths();
        assert_eq!(paths.on_too_big(NOW, v6(), 1300, 1500), PathMtuUpdate::Lowered(1300));
        for reported in [1300, 1400, 1499] {
            assert_eq!(paths.on_too_big(NOW, v6(), reported, 1500), PathMtuUpdate::Ignored);
        }
        assert_eq!(paths.of(NOW, v6()), Some(1300));
    }

    #[test]
    fn less_than_ipv6_links_take_is_discarded() {
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
    fn an_mtu_that_the_quoted_packet_would_have_fitted_is_a_lie() {
        // RFC 5927 §7.2
        for reported in [1500, 1501, 65_535, u32::MAX] {
            assert_eq!(paths().on_too_big(NOW, v4(1), reported, 1500), PathMtuUpdate::Ignored);
        }
    }

    #[test]
    fn no_path_of_ipv4_is_believed_to_take_less_than_552_bytes() {
        // RFC 1191 §3: never below 68.
        assert_eq!(paths().on_too_big(NOW, v4(1), 68, 1500), PathMtuUpdate::Lowered(552));
        assert_eq!(paths().on_too_big(NOW, v4(1), 68, 500), PathMtuUpdate::Ignored);
    }

    #[test]
    fn what_probes_find_is_kept_for_all_and_ends_as_what_routers_tell() {
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
        // A router knows better, if it says less.
        paths.on_found(NOW, v4(1), &found(1350, 1));
        assert_eq!(paths.on_too_big(NOW, v4(1), 1300, 1350), PathMtuUpdate::Lowered(1300));
        paths.on_found(NOW, v4(1), &found(1300, 0));
        assert_eq!(paths.limit(NOW, v4(1)), Some(Limit::Reported(1300)));
    }

    #[test]
    fn the_mtu_that_a_router_tells_holds_for_ipv6_alone() {
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
    fn the_oldest_path_is_forgotten_when_there_are_too_many() {
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

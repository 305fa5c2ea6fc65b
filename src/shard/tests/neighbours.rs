//! The neighbour cache: the states of an entry (RFC 4861 §7.2, §7.3) and resistance to abuse.

use std::net::IpAddr;

use super::raw::Raw;
use crate::shard::flow::id::NeighbourId;
use crate::shard::ip::neighbour::{
    Action, AdvertFlags, Learned, NeighbourTimers, Resolution, Solicit, Target,
};
use crate::shard::ip::neighbours::Neighbours;
use crate::time::{Duration, Instant};
use crate::wire::ethernet::MacAddr;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const ANSWER: AdvertFlags = AdvertFlags { solicited: true, overrides: false };

/// A cache and a clock.
struct TestCache {
    cache: Neighbours<u32>,
    now: Instant,
}

impl TestCache {
    fn new(capacity: usize) -> Self {
        let now = Instant::from_millis(1000);
        Self { cache: Neighbours::new(capacity, NeighbourTimers::default(), [1; 16], now), now }
    }

    fn after_ms(&mut self, millis: u64) -> &mut Self {
        self.now += Duration::from_millis(millis);
        self
    }

    fn resolve(&mut self, n: u32) -> NeighbourId {
        self.cache.resolve(self.now, ip(n)).expect("room")
    }

    fn resolution(&mut self, id: NeighbourId) -> Resolution {
        self.cache.resolution(self.now, id)
    }

    fn actions(&mut self) -> Vec<Action<u32>> {
        core::iter::from_fn(|| self.cache.poll(self.now)).collect()
    }

    fn advert(&mut self, n: u32, mac: MacAddr, flags: AdvertFlags) -> Learned {
        self.cache.on_advert(self.now, ip(n), Some(mac), flags)
    }

    /// Resolves a neighbour and lets it answer.
    fn reachable(&mut self, n: u32) -> NeighbourId {
        let id = self.resolve(n);
        self.actions();
        assert_eq!(self.advert(n, MAC, ANSWER), Learned::Resolved(id));
        id
    }
}

fn ip(n: u32) -> IpAddr {
    IpAddr::V4(core::net::Ipv4Addr::from_bits(0x0a00_0000 + n))
}

fn solicit(n: u32, to: Solicit) -> Action<u32> {
    Action::Solicit { address: ip(n), to }
}

#[test]
fn a_new_neighbour_is_solicited_immediately_and_its_frames_wait() {
    let mut w = TestCache::new(8);
    let id = w.resolve(1);
    assert_eq!(w.cache.next_deadline(), Some(Instant::ZERO));
    assert_eq!(w.resolution(id), Resolution::Pending);
    assert_eq!((w.cache.hold(id, 7), w.cache.hold(id, 8)), (None, None));
    assert_eq!(w.actions(), [solicit(1, Solicit::Multicast)]);
    assert_eq!(w.actions(), []);
    assert_eq!(w.advert(1, MAC, ANSWER), Learned::Resolved(id));
    assert_eq!((w.cache.take_held(id), w.cache.take_held(id)), (Some(7), Some(8)));
    assert_eq!((w.cache.take_held(id), w.resolution(id)), (None, Resolution::Known(MAC)));
}

#[test]
fn resolution_fails_after_three_solicitations_one_second_apart() {
    let mut w = TestCache::new(8);
    let id = w.resolve(1);
    assert_eq!(w.cache.hold(id, 7), None);
    assert_eq!(w.actions(), [solicit(1, Solicit::Multicast)]);
    for _ in 0..2 {
        assert_eq!(w.after_ms(999).actions(), []);
        assert_eq!(w.after_ms(2).actions(), [solicit(1, Solicit::Multicast)]);
    }
    assert_eq!(w.after_ms(1001).actions(), [Action::Failed { id, address: ip(1) }]);
    assert_eq!(w.cache.take_held(id), Some(7));
    assert_eq!(w.cache.next_deadline(), None);
    assert_eq!(w.resolution(id), Resolution::Pending, "the next packet restarts resolution");
    assert_eq!(w.actions(), [solicit(1, Solicit::Multicast)]);
}

#[test]
fn a_stale_neighbour_in_use_is_probed_after_the_delay() {
    let mut w = TestCache::new(8);
    let id = w.reachable(1);
    assert_eq!(w.after_ms(46_000).actions(), [], "the entry is not in use");
    assert_eq!(w.resolution(id), Resolution::Known(MAC));
    assert_eq!(w.after_ms(4_999).actions(), []);
    assert_eq!(w.after_ms(2).actions(), [solicit(1, Solicit::Unicast(MAC))]);
    assert_eq!(w.resolution(id), Resolution::Known(MAC));
    assert_eq!(w.advert(1, MAC, ANSWER), Learned::Nothing);
    assert_eq!(w.after_ms(5_000).actions(), []);
}

#[test]
fn unanswered_unicast_probes_lead_to_a_multicast_solicitation() {
    let mut w = TestCache::new(8);
    let id = w.reachable(1);
    w.after_ms(46_000);
    assert_eq!(w.resolution(id), Resolution::Known(MAC));
    assert_eq!(w.after_ms(5_001).actions(), [solicit(1, Solicit::Unicast(MAC))]);
    for _ in 0..2 {
        assert_eq!(w.after_ms(1_001).actions(), [solicit(1, Solicit::Unicast(MAC))]);
    }
    assert_eq!(w.after_ms(1_001).actions(), [Action::Failed { id, address: ip(1) }]);
    assert_eq!(w.resolution(id), Resolution::Pending);
    assert_eq!(w.actions(), [solicit(1, Solicit::Multicast)]);
}

#[test]
fn tcp_progress_confirms_reachability() {
    let mut w = TestCache::new(8);
    let id = w.reachable(1);
    for _ in 0..10 {
        w.after_ms(20_000);
        w.cache.on_confirmed(w.now, id);
        assert_eq!(w.resolution(id), Resolution::Known(MAC));
        assert_eq!(w.after_ms(5_001).actions(), []);
    }
    let unknown = w.resolve(2);
    w.cache.on_confirmed(w.now, unknown);
    assert_eq!(w.resolution(unknown), Resolution::Pending, "but it provides no address");
}

#[test]
fn an_unsolicited_advertisement_is_used_and_then_verified() {
    let mut w = TestCache::new(8);
    let id = w.reachable(1);
    assert_eq!(w.advert(1, OTHER, AdvertFlags::ARP_REPLY), Learned::Nothing);
    assert_eq!(w.resolution(id), Resolution::Known(OTHER));
    assert_eq!(w.after_ms(5_001).actions(), [solicit(1, Solicit::Unicast(OTHER))]);
    assert_eq!(w.advert(9, OTHER, AdvertFlags::ARP_REPLY), Learned::Nothing);
    assert_eq!(w.cache.find(ip(9)), None, "it creates no entry");
}

#[test]
fn a_different_address_without_override_makes_the_entry_stale() {
    let mut w = TestCache::new(8);
    let id = w.reachable(1);
    assert_eq!(w.advert(1, OTHER, ANSWER), Learned::Nothing);
    assert_eq!(w.resolution(id), Resolution::Known(MAC));
    assert_eq!(w.after_ms(5_001).actions(), [solicit(1, Solicit::Unicast(MAC))]);
    assert_eq!(w.cache.on_advert(w.now, ip(1), None, ANSWER), Learned::Nothing);
    assert_eq!(
        w.after_ms(1_001).actions(),
        [],
        "an answer without the option confirms reachability"
    );
}

#[test]
fn only_solicitations_for_local_addresses_create_entries() {
    let mut w = TestCache::new(8);
    assert_eq!(w.cache.on_source_mac(w.now, ip(1), MAC, Target::Other), Learned::Nothing);
    assert_eq!(w.cache.find(ip(1)), None);
    assert_eq!(w.cache.on_source_mac(w.now, ip(1), MAC, Target::Local), Learned::Nothing);
    let id = w.resolve(1);
    assert_eq!((w.resolution(id), w.actions()), (Resolution::Known(MAC), vec![]));
    let waiting = w.resolve(2);
    let learned = w.cache.on_source_mac(w.now, ip(2), OTHER, Target::Other);
    assert_eq!(
        (learned, w.resolution(waiting)),
        (Learned::Resolved(waiting), Resolution::Known(OTHER))
    );
}

#[test]
fn a_flood_of_solicitations_evicts_no_neighbour_in_use() {
    let mut w = TestCache::new(32);
    let ids: Vec<_> = (0..32).map(|n| w.reachable(n)).collect();
    for n in 100..1_000 {
        assert_eq!(w.cache.on_source_mac(w.now, ip(n), OTHER, Target::Local), Learned::Nothing);
    }
    assert!(ids.into_iter().all(|id| w.resolution(id) == Resolution::Known(MAC)));
}

#[test]
fn a_full_cache_evicts_entries_and_returns_their_frames() {
    let mut w = TestCache::new(4);
    let mut frames = 0;
    let first = w.resolve(0);
    for n in 0..50 {
        let id = w.after_ms(1).resolve(n);
        assert_eq!(w.cache.hold(id, n), None);
        let discarded = |a: &Action<u32>| matches!(a, Action::Discard(_));
        frames += w.actions().iter().filter(|a| discarded(a)).count();
        assert!(w.cache.len() <= 4);
    }
    assert_eq!(frames, 46);
    assert_eq!((w.resolution(first), w.cache.hold(first, 9)), (Resolution::Evicted, Some(9)));
    assert_eq!(w.resolution(NeighbourId::NONE), Resolution::Evicted);
}

#[test]
fn a_permanent_neighbour_is_never_solicited_changed_or_evicted() {
    let mut w = TestCache::new(1);
    let id = w.resolve(1);
    assert_eq!(w.cache.hold(id, 5), None);
    assert_eq!(w.cache.set_permanent(w.now, ip(1), MAC), Learned::Resolved(id));
    assert_eq!(w.cache.take_held(id), Some(5));
    assert_eq!(w.advert(1, OTHER, AdvertFlags::ARP_ANNOUNCEMENT), Learned::Nothing);
    assert_eq!(w.cache.on_source_mac(w.now, ip(1), OTHER, Target::Local), Learned::Nothing);
    assert_eq!(w.after_ms(100_000).actions(), []);
    assert_eq!(w.resolution(id), Resolution::Known(MAC));
    assert_eq!(w.cache.resolve(w.now, ip(2)), None);
    w.cache.forget(ip(1));
    assert_eq!((w.resolution(id), w.cache.len()), (Resolution::Evicted, 0));
    assert!(w.cache.resolve(w.now, ip(2)).is_some());
}

#[test]
fn every_timeout_past_r1_probes_the_neighbour() {
    // RFC 9293 §3.8.3 (b), MUST-20: "reaches or exceeds threshold R1".
    let mut t = Raw::new(|_| {});
    t.accept();
    // The entry learned from the peer's own request is probed once.
    t.after_ms(10_000);
    let requests = t.arp_requests;
    let conn = t.conn();
    t.with_io(move |io| assert_eq!(io.write(conn, b"no reply"), 8));
    t.after_ms(35_000);
    // From the third timeout on, each leads to a probe after 5 s without an answer.
    assert!(t.arp_requests >= requests + 3, "{} requests", t.arp_requests - requests);
}

#[test]
fn advertised_neighbour_timers_are_applied() {
    // RFC 4861 §6.3.4
    let mut w = TestCache::new(8);
    let seconds = |n| Some(Duration::from_secs(n));
    w.cache.set_timers(seconds(3), seconds(100));
    w.cache.set_timers(None, None);
    w.resolve(1);
    w.actions();
    assert_eq!(w.after_ms(2990).actions(), []);
    assert_eq!(w.after_ms(20).actions(), [solicit(1, Solicit::Multicast)]);
    let id = w.reachable(2);
    // Between 0.5 and 1.5 times the advertised value (§6.3.2).
    w.after_ms(49_000);
    assert_eq!(w.resolution(id), Resolution::Known(MAC));
    w.actions();
    w.after_ms(101_000);
    assert_eq!(w.resolution(id), Resolution::Known(MAC));
    assert!(w.after_ms(5100).actions().contains(&solicit(2, Solicit::Unicast(MAC))));
}

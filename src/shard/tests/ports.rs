//! Local port selection: unpredictable, divided between workers, and fast when few ports are free.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use crate::shard::Config;
use crate::shard::flow::key::FlowHasher;
use crate::shard::flow::ports::{Destination, PortUse, Ports};
use crate::wire::MacAddr;

/// The default range of Linux.
const PORTS: RangeInclusive<u16> = 32_768..=60_999;

fn destination(secret: u8, remote: &str, local: u8) -> Destination {
    let remote: SocketAddr = remote.parse().expect("an address and a port");
    Destination::new(&FlowHasher::new([secret; 16]), remote, local)
}

fn target() -> Destination {
    destination(1, "192.0.2.1:80", 0)
}

/// Chooses a port. Returns it, and the number of ports examined.
fn choose(
    ports: &mut Ports,
    to: Destination,
    port_use: impl Fn(u16) -> PortUse,
) -> (Option<u16>, u32) {
    let mut examined = 0;
    let chosen = ports.choose(to, |port| {
        examined += 1;
        port_use(port)
    });
    (chosen.map(|c| c.port), examined)
}

#[test]
fn every_port_is_chosen_once_before_any_repeats() {
    // RFC 6056 §3.1, §3.3.4
    let mut ports = Ports::new(PORTS);
    let mut seen = HashSet::new();
    for _ in PORTS {
        let chosen = ports.choose(target(), |_| PortUse::Free).expect("all are free");
        assert!(PORTS.contains(&chosen.port) && !chosen.reuses && seen.insert(chosen.port));
    }
    let repeated = ports.choose(target(), |_| PortUse::Reusable).expect("reusable");
    assert!(repeated.reuses && seen.contains(&repeated.port));
}

#[test]
fn the_first_port_depends_on_the_secret_and_the_destination() {
    // RFC 6056 §3.1, §3.3.4
    let first = |to| Ports::new(PORTS).choose(to, |_| PortUse::Free).map(|c| c.port);
    let firsts: HashSet<_> = [
        target(),
        destination(2, "192.0.2.1:80", 0),
        destination(1, "192.0.2.1:81", 0),
        destination(1, "192.0.2.2:80", 0),
        destination(1, "192.0.2.1:80", 1),
        destination(1, "[2001:db8::1]:80", 0),
    ]
    .into_iter()
    .map(first)
    .collect();
    assert_eq!(firsts.len(), 6);
}

#[test]
fn workers_share_the_range_without_overlap_or_gap() {
    let shares: Vec<Ports> = (0..3).map(|worker| Ports::share(PORTS, worker, 3)).collect();
    for port in 0..=u16::MAX {
        let owners = shares.iter().filter(|share| share.contains(port)).count();
        assert_eq!(owners, usize::from(PORTS.contains(&port)), "{port}");
    }
    let mut last = Ports::share(PORTS, 2, 3);
    let chosen = last.choose(target(), |_| PortUse::Free).expect("all are free");
    assert!(last.contains(chosen.port));
}

#[test]
fn the_only_free_port_is_found_and_then_none() {
    let mut ports = Ports::new(PORTS);
    let only = |port| if port == 45_000 { PortUse::Free } else { PortUse::InUse };
    assert_eq!(choose(&mut ports, target(), only).0, Some(45_000));
    assert_eq!(choose(&mut ports, target(), |_| PortUse::InUse).0, None);
}

#[test]
fn an_exhausted_destination_fails_at_once_until_a_port_is_released() {
    let mut ports = Ports::new(PORTS);
    assert_eq!(choose(&mut ports, target(), |_| PortUse::InUse), (None, 28_232));
    assert_eq!(choose(&mut ports, target(), |_| PortUse::InUse), (None, 64));
    let other = destination(1, "192.0.2.9:80", 0);
    assert!(
        ports.choose(other, |_| PortUse::Free).is_some(),
        "other destinations are not exhausted"
    );
    ports.on_released(target(), 40_000);
    ports.on_released(target(), 1);
    assert_eq!(choose(&mut ports, target(), |_| PortUse::Free), (Some(40_000), 1));
}

#[test]
fn a_port_that_becomes_reusable_is_found_quickly() {
    let mut ports = Ports::new(PORTS);
    let order: Vec<u16> =
        PORTS.filter_map(|_| ports.choose(target(), |_| PortUse::Free).map(|c| c.port)).collect();
    assert_eq!(choose(&mut ports, target(), |_| PortUse::Waiting).0, None);
    let mut old = HashSet::new();
    let port_use = |old: &HashSet<u16>, port: u16| match port {
        _ if old.contains(&port) => PortUse::Reusable,
        // Some connections stay open.
        _ if port.is_multiple_of(50) => PortUse::InUse,
        _ => PortUse::Waiting,
    };
    for port in order.iter().filter(|port| !port.is_multiple_of(50)).take(5_000) {
        let (none, examined) = choose(&mut ports, target(), |port| port_use(&old, port));
        assert!(none.is_none() && examined <= 2);
        old.insert(*port);
        let (chosen, examined) = choose(&mut ports, target(), |port| port_use(&old, port));
        assert!(chosen == Some(*port) && examined <= 2);
        old.remove(port);
    }
}

#[test]
fn choosing_a_port_stays_fast_with_nearly_all_in_time_wait() {
    let mut ports = Ports::new(PORTS);
    let taken: Vec<u16> = PORTS
        .filter_map(|_| ports.choose(target(), |_| PortUse::Free).map(|chosen| chosen.port))
        .collect();
    assert_eq!(choose(&mut ports, target(), |_| PortUse::InUse).0, None);
    // The ports leave TIME-WAIT in the order in which they entered it, a hundred at a time.
    let mut examined = 0;
    for batch in taken.chunks(100) {
        let mut free: HashSet<u16> = batch.iter().copied().collect();
        for port in batch {
            ports.on_released(target(), *port);
        }
        while !free.is_empty() {
            let is_free = |port| if free.contains(&port) { PortUse::Free } else { PortUse::InUse };
            let (port, n) = choose(&mut ports, target(), is_free);
            free.remove(&port.expect("some are free"));
            examined += n;
        }
    }
    assert!(examined < 3 * PORTS.len() as u32, "{examined}");
}

#[test]
fn an_empty_range_has_no_port() {
    #[allow(clippy::reversed_empty_ranges)]
    let mut ports = Ports::new(10..=9);
    assert_eq!(ports.choose(target(), |_| PortUse::Free), None);
    ports.on_released(target(), 9);
    let mut zero = Ports::new(0..=0);
    assert_eq!(zero.choose(target(), |_| PortUse::Free), None);
}

#[test]
fn ports_are_chosen_from_the_whole_range() {
    // RFC 6056 §3.2
    let config = Config::new(MacAddr::ZERO, Vec::new(), [0; 32]);
    assert_eq!(config.ports, 1024..=65535);
}

//! Routes, source address selection, and classification of addresses.

use std::net::IpAddr;

use crate::shard::ip::routes::{Cast, NoRoute, Prefix, Route, Routes};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn local_addresses() -> Vec<(IpAddr, u8)> {
    vec![
        (ip("10.1.0.5"), 24),
        (ip("10.2.0.5"), 16),
        (ip("2001:db8:1::5"), 64),
        (ip("fe80::5"), 64),
        (ip("2001:db8:2::5"), 64),
    ]
}

fn routes() -> Routes {
    Routes::of_addresses(&local_addresses(), &[ip("10.1.0.1"), ip("fe80::1")])
}

#[test]
fn the_longest_prefix_wins_and_then_the_lowest_metric() {
    let mut routes = routes();
    let slow =
        Route { metric: 9, ..Route::through(Prefix::new(ip("10.2.3.4"), 24), ip("10.1.0.8")) };
    routes.add(slow);
    assert_eq!(routes.via(ip("10.2.3.77")), Some(ip("10.1.0.8")));
    routes.add(Route { metric: 1, gateway: Some(ip("10.1.0.9")), ..slow });
    assert_eq!(routes.via(ip("10.2.3.77")), Some(ip("10.1.0.9")));
    assert_eq!(routes.via(ip("10.2.4.77")), Some(ip("10.2.4.77")));
    assert_eq!(routes.via(ip("8.8.8.8")), Some(ip("10.1.0.1")));
    routes.remove(slow.prefix, Some(ip("10.1.0.9")), 1);
    assert_eq!(routes.via(ip("10.2.3.77")), Some(ip("10.1.0.8")));
    routes.remove(Prefix::ALL_IPV4, Some(ip("10.1.0.1")), 0);
    assert_eq!(routes.via(ip("8.8.8.8")), None);
}

#[test]
fn the_source_address_is_in_the_network_of_the_next_hop() {
    for (to, via, source) in [
        ("10.2.9.9", "10.2.9.9", "10.2.0.5"),
        ("8.8.8.8", "10.1.0.1", "10.1.0.5"),
        ("2001:db8:2::9", "2001:db8:2::9", "2001:db8:2::5"),
        ("2600::1", "fe80::1", "2001:db8:1::5"),
        ("fe80::9", "fe80::9", "fe80::5"),
    ] {
        let hop = routes().next_hop(ip(to), None, local_addresses()).expect("a route");
        assert_eq!((hop.via, hop.source), (ip(via), ip(source)), "{to}");
    }
}

#[test]
fn a_requested_source_address_is_used_or_refused() {
    let routes = routes();
    let hop = |wanted| {
        routes.next_hop(ip("8.8.8.8"), Some(ip(wanted)), local_addresses()).map(|h| h.source)
    };
    assert_eq!(hop("10.2.0.5"), Ok(ip("10.2.0.5")));
    assert_eq!(hop("10.2.0.6"), Err(NoRoute::NoSource));
    assert_eq!(hop("2001:db8:1::5"), Err(NoRoute::NoSource));
    let alone = Routes::of_addresses(&local_addresses()[..1], &[]);
    assert_eq!(alone.next_hop(ip("8.8.8.8"), None, local_addresses()), Err(NoRoute::NoRoute));
    assert_eq!(alone.next_hop(ip("2600::1"), None, local_addresses()), Err(NoRoute::NoRoute));
}

#[test]
fn addresses_are_classified_by_cast() {
    for (address, cast) in [
        ("10.1.0.255", Cast::Broadcast),
        ("10.2.0.255", Cast::Unicast),
        ("10.2.255.255", Cast::Broadcast),
        ("255.255.255.255", Cast::Broadcast),
        ("224.0.0.1", Cast::Multicast),
        ("ff02::1", Cast::Multicast),
        ("0.0.0.0", Cast::Invalid),
        ("::", Cast::Invalid),
        ("127.0.0.1", Cast::Invalid),
        ("::1", Cast::Invalid),
        ("2001:db8::1", Cast::Unicast),
    ] {
        assert_eq!(Cast::of(ip(address), local_addresses()), cast, "{address}");
    }
}

#[test]
fn a_prefix_contains_the_addresses_that_share_its_bits() {
    assert!(Prefix::ALL_IPV4.contains(ip("1.2.3.4")) && !Prefix::ALL_IPV4.contains(ip("::1")));
    assert!(Prefix::ALL_IPV6.contains(ip("ffff::1")));
    let host = Prefix::new(ip("1.2.3.4"), 200);
    assert!(host.contains(ip("1.2.3.4")) && !host.contains(ip("1.2.3.5")));
    assert_eq!((host.length(), host.address(), host.broadcast()), (32, ip("1.2.3.4"), None));
    assert_eq!(Prefix::new(ip("2001:db8::1"), 255).length(), 128);
}

//! Neighbour Discovery: emitted messages parse back, and messages invalid by RFC 4861 are rejected.

use super::*;
use crate::wire::checksum::PseudoHeader;
use crate::wire::error::{Error, NoRoom};
use crate::wire::ethernet::MacAddr;
use crate::wire::icmp;
use crate::wire::ipv6::{self, HeaderOut};
use crate::wire::protocol::{Protocol, TrafficClass};
use core::net::Ipv6Addr;
use proptest::prelude::*;

const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const TARGET: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// The header of a message from `src` to `dst`.
fn header(src: Ipv6Addr, dst: Ipv6Addr) -> ipv6::Header {
    let header = HeaderOut {
        src,
        dst,
        protocol: Protocol::ICMPV6,
        hop_limit: HOP_LIMIT,
        traffic_class: TrafficClass(0),
        flow_label: 0,
    };
    let mut bytes = [0; 40];
    assert_eq!(header.emit(0, &mut bytes), Ok(40));
    ipv6::parse(&bytes).expect("just written").0
}

fn emitted(message: Message<'_>) -> Vec<u8> {
    let mut bytes = [0xaa; 300];
    let len = message.emit(PseudoHeader::v6(LINK_LOCAL, TARGET), &mut bytes).expect("room for all");
    bytes[..len].to_vec()
}

fn mac() -> impl Strategy<Value = Option<MacAddr>> {
    prop::option::of(any::<[u8; 6]>().prop_map(MacAddr))
}

fn unicast() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from).prop_filter("no group", |a| !a.is_multicast())
}

fn prefix() -> impl Strategy<Value = Prefix> {
    (any::<(u128, bool, bool, u32, u32)>(), 0u8..=128).prop_map(|(rest, len)| {
        let (prefix, on_link, autonomous, valid_s, preferred_s) = rest;
        let prefix = Ipv6Addr::from(prefix);
        Prefix { prefix, len, on_link, autonomous, valid_s, preferred_s }
    })
}

/// Returns true if removing these bytes leaves the 16-bit checksum, which also covers the length,
/// unchanged: a chance of one in 65,535.
fn adds_nothing(bytes: &[u8]) -> bool {
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    (words.sum::<u32>() + bytes.len() as u32).is_multiple_of(0xffff)
}

/// Parses the emitted message, whole and truncated at every length.
fn round_trip(message: Message<'_>) {
    let ip = header(LINK_LOCAL, TARGET);
    let bytes = emitted(message);
    let pseudo = PseudoHeader::v6(LINK_LOCAL, TARGET);
    assert_eq!(
        icmp::v6::parse(pseudo, &bytes),
        Ok(icmp::v6::Message::NeighbourDiscovery(&bytes)),
        "the sum fits",
    );
    assert_eq!(parse(&ip, &bytes), Ok(message));
    for cut in 0..bytes.len() {
        // Truncated between two options, the rest is a valid shorter message; only the checksum
        // detects it.
        match parse(&ip, &bytes[..cut]) {
            Err(error) => assert_eq!(error, Error::Truncated),
            Ok(_) if adds_nothing(&bytes[cut..]) => {}
            Ok(_) => assert_eq!(
                icmp::v6::parse(pseudo, &bytes[..cut]),
                Err(Error::Checksum),
                "{cut} of {bytes:?}",
            ),
        }
        assert_eq!(message.emit(pseudo, &mut vec![0; cut]), Err(NoRoom));
    }
}

proptest! {
    #[test]
    fn solicitations_round_trip(target in unicast(), source_mac in mac()) {
        round_trip(Message::NeighbourSolicitation(NeighbourSolicitation { target, source_mac }));
        round_trip(Message::RouterSolicitation(RouterSolicitation { source_mac }));
    }

    #[test]
    fn neighbour_advertisements_round_trip(
        target in unicast(), target_mac in mac(), (router, solicited, overrides) in any::<(bool, bool, bool)>(),
    ) {
        round_trip(Message::NeighbourAdvertisement(NeighbourAdvertisement {
            target, router, solicited, overrides, target_mac,
        }));
    }

    #[test]
    fn router_advertisements_round_trip(
        source_mac in mac(),
        mtu in prop::option::of(any::<u32>()),
        prefixes in prop::collection::vec(prefix(), 0..4),
        (hop_limit, managed, other, lifetime_s, reachable_ms, retransmit_ms)
            in any::<(u8, bool, bool, u16, u32, u32)>(),
        preference in prop_oneof![
            Just(Preference::High), Just(Preference::Medium), Just(Preference::Low),
        ],
    ) {
        round_trip(Message::RouterAdvertisement(RouterAdvertisement {
            hop_limit, managed, other, preference, lifetime_s, reachable_ms, retransmit_ms, source_mac,
            mtu,
            prefixes: Prefixes::new(&prefixes),
        }));
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(
        kind in 133u8..=137,
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..6], 0..100),
    ) {
        let ip = header(LINK_LOCAL, TARGET);
        let _ = parse(&ip, &bytes);
        let message = [&[kind, 0, 0, 0][..], &bytes].concat();
        if let Ok(message) = parse(&ip, &message) {
            let _ = format!("{message:?}");
        }
    }
}

#[test]
fn a_solicited_node_group_has_the_low_bits_of_the_address() {
    assert_eq!(solicited_node(TARGET), "ff02::1:ff12:3456".parse::<Ipv6Addr>().expect("a literal"));
}

#[test]
fn a_message_forwarded_by_a_router_is_rejected() {
    let bytes = emitted(Message::RouterSolicitation(RouterSolicitation { source_mac: None }));
    let mut ip = header(LINK_LOCAL, ALL_ROUTERS);
    assert!(parse(&ip, &bytes).is_ok());
    ip.hop_limit = 254;
    assert_eq!(parse(&ip, &bytes), Err(Error::Malformed));
}

#[test]
fn a_code_other_than_zero_is_rejected() {
    let mut bytes = emitted(Message::RouterSolicitation(RouterSolicitation { source_mac: None }));
    bytes[1] = 1;
    assert_eq!(parse(&header(LINK_LOCAL, ALL_ROUTERS), &bytes), Err(Error::Malformed));
}

#[test]
fn an_unspecified_source_carries_no_link_layer_address() {
    let probe = |source_mac| {
        emitted(Message::NeighbourSolicitation(NeighbourSolicitation {
            target: TARGET,
            source_mac,
        }))
    };
    let ip = header(Ipv6Addr::UNSPECIFIED, solicited_node(TARGET));
    assert!(parse(&ip, &probe(None)).is_ok());
    assert_eq!(parse(&ip, &probe(Some(MAC))), Err(Error::Malformed));
    let to_the_target = header(Ipv6Addr::UNSPECIFIED, TARGET);
    assert_eq!(parse(&to_the_target, &probe(None)), Err(Error::Malformed));

    let ask = |source_mac| emitted(Message::RouterSolicitation(RouterSolicitation { source_mac }));
    let ip = header(Ipv6Addr::UNSPECIFIED, ALL_ROUTERS);
    assert!(parse(&ip, &ask(None)).is_ok());
    assert_eq!(parse(&ip, &ask(Some(MAC))), Err(Error::Malformed));
}

#[test]
fn a_multicast_advertisement_is_not_solicited() {
    let mut advertisement = NeighbourAdvertisement {
        target: TARGET,
        router: false,
        solicited: true,
        overrides: true,
        target_mac: Some(MAC),
    };
    let ip = header(LINK_LOCAL, ALL_NODES);
    let bytes = emitted(Message::NeighbourAdvertisement(advertisement));
    assert_eq!(parse(&ip, &bytes), Err(Error::Malformed));
    advertisement.solicited = false;
    assert!(parse(&ip, &emitted(Message::NeighbourAdvertisement(advertisement))).is_ok());
}

#[test]
fn a_target_is_not_a_multicast_address() {
    let target = ALL_NODES;
    let bytes = emitted(Message::NeighbourSolicitation(NeighbourSolicitation {
        target,
        source_mac: Some(MAC),
    }));
    assert_eq!(parse(&header(LINK_LOCAL, TARGET), &bytes), Err(Error::Malformed));
}

#[test]
fn a_router_advertisement_needs_a_link_local_source() {
    let bytes = emitted(Message::RouterAdvertisement(RouterAdvertisement::default()));
    assert!(parse(&header(LINK_LOCAL, ALL_NODES), &bytes).is_ok());
    assert_eq!(parse(&header(TARGET, ALL_NODES), &bytes), Err(Error::Malformed));
}

#[test]
fn an_option_of_length_zero_makes_the_message_invalid_and_unknown_ones_do_not() {
    let ip = header(LINK_LOCAL, ALL_ROUTERS);
    let ask = |options: &[u8]| [&[133, 0, 0, 0, 0, 0, 0, 0][..], options].concat();
    assert_eq!(parse(&ip, &ask(&[1, 0, 0, 0, 0, 0, 0, 0])), Err(Error::Malformed));
    assert_eq!(parse(&ip, &ask(&[1, 2, 0, 0, 0, 0, 0, 0])), Err(Error::Truncated));
    let unknown = ask(&[14, 1, 9, 9, 9, 9, 9, 9, 1, 1, 2, 0, 0, 0, 0, 1]);
    let expected = Message::RouterSolicitation(RouterSolicitation { source_mac: Some(MAC) });
    assert_eq!(parse(&ip, &unknown), Ok(expected));
}

#[test]
fn a_prefix_longer_than_an_address_is_ignored() {
    let prefix = Prefix {
        prefix: TARGET,
        len: 64,
        on_link: true,
        autonomous: false,
        valid_s: 1,
        preferred_s: 1,
    };
    let list = [Prefix { len: 129, ..prefix }, prefix];
    let bytes = emitted(Message::RouterAdvertisement(RouterAdvertisement {
        prefixes: Prefixes::new(&list),
        ..RouterAdvertisement::default()
    }));
    let Ok(Message::RouterAdvertisement(read)) = parse(&header(LINK_LOCAL, ALL_NODES), &bytes)
    else {
        panic!("a valid advertisement");
    };
    assert_eq!(read.prefixes, Prefixes::new(&list[1..]));
}

#[test]
fn a_redirect_is_from_a_router_for_a_unicast_destination() {
    // RFC 4861 §8.1
    let good = Redirect { target: LINK_LOCAL, destination: TARGET, target_mac: Some(MAC) };
    let read = |src, redirect| {
        let bytes = emitted(Message::Redirect(redirect));
        parse(&header(src, TARGET), &bytes).map(|message| message == Message::Redirect(redirect))
    };
    assert_eq!(read(LINK_LOCAL, good), Ok(true));
    assert_eq!(read(LINK_LOCAL, Redirect { target: TARGET, ..good }), Ok(true), "on the link");
    assert_eq!(read(TARGET, good), Err(Error::Malformed));
    assert_eq!(
        read(LINK_LOCAL, Redirect { destination: ALL_NODES, ..good }),
        Err(Error::Malformed)
    );
    let other = "2001:db8::99".parse().expect("an address");
    assert_eq!(read(LINK_LOCAL, Redirect { target: other, ..good }), Err(Error::Malformed));
    let short = &emitted(Message::Redirect(good))[..39];
    assert_eq!(parse(&header(LINK_LOCAL, TARGET), short), Err(Error::Truncated));
}

#[test]
fn a_reserved_preference_is_medium() {
    // RFC 4191 §2.2
    let mut bytes = emitted(Message::RouterAdvertisement(RouterAdvertisement::default()));
    for (bits, preference) in [
        (0b00, Preference::Medium),
        (0b01, Preference::High),
        (0b10, Preference::Medium),
        (0b11, Preference::Low),
    ] {
        bytes[5] = bits << 3;
        let read = parse(&header(LINK_LOCAL, ALL_NODES), &bytes);
        assert!(
            matches!(read, Ok(Message::RouterAdvertisement(ra)) if ra.preference == preference)
        );
    }
}

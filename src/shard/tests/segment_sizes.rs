//! The segment sizes that are announced follow the interface (RFC 9293 §3.7.1).

use core::net::{IpAddr, SocketAddr};

use super::raw::{Raw, syn};
use crate::shard::ConnectOptions;

#[test]
fn the_mss_announced_is_what_the_interface_can_receive() {
    // RFC 9293 §3.7.1, MUST-67 (MMS_R - 20), SHLD-6 (the smallest MTU of the interface)
    for (mtu, mss) in [(1500, 1460), (1280, 1240), (576, 536), (9000, 1460)] {
        let mut t = Raw::new(|config| config.mtu = mtu);
        assert_eq!(t.opens().mss, Some(mss), "of our SYN at {mtu}");
        t.hears(&syn(), &[]);
        assert_eq!(t.got()[0].mss, Some(mss), "of our SYN-ACK at {mtu}");
    }
}

#[test]
fn an_open_needs_a_route_of_its_family() {
    // RFC 9293 §3.9.1.1, MUST-44: IP is asked for an address, and has none.
    let mut t = Raw::new(|_| {});
    t.orders(|io| {
        let remote: IpAddr = "2001:db8::9".parse().expect("an address");
        let open = ConnectOptions { remote: SocketAddr::new(remote, 80), local: None, user: 0 };
        assert!(io.connect(&open).is_err());
    });
}

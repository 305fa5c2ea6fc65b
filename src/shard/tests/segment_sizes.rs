//! The announced MSS follows the MTU of the interface (RFC 9293 §3.7.1).

use core::net::{IpAddr, SocketAddr};

use super::raw::{Raw, syn};
use crate::shard::ConnectOptions;

#[test]
fn the_announced_mss_follows_the_interface_mtu() {
    // RFC 9293 §3.7.1, MUST-67 (MMS_R - 20), SHLD-6 (the smallest MTU of the interface)
    for (mtu, mss) in [(1500, 1460), (1280, 1240), (576, 536), (9000, 1460)] {
        let mut t = Raw::new(|config| config.mtu = mtu);
        assert_eq!(t.connect().mss, Some(mss), "in the SYN at MTU {mtu}");
        t.receives(&syn(), &[]);
        assert_eq!(t.sent()[0].mss, Some(mss), "in the SYN-ACK at MTU {mtu}");
    }
}

#[test]
fn a_connect_needs_a_route_of_its_address_family() {
    // RFC 9293 §3.9.1.1, MUST-44: TCP asks IP for a local address, and IP has none.
    let mut t = Raw::new(|_| {});
    t.with_io(|io| {
        let remote: IpAddr = "2001:db8::9".parse().expect("an address");
        let open = ConnectOptions { remote: SocketAddr::new(remote, 80), local: None, user: 0 };
        assert!(io.connect(&open).is_err());
    });
}

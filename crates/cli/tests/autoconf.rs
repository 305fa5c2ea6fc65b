//! IPv6 autoconfiguration (RFC 4861 §6.3.4, RFC 4862 §5.5.3) over a veth pair. The test sends the
//! router advertisements, and the kernel is the peer.

mod support;

use std::io::Read;
use std::net::{Ipv6Addr, SocketAddrV6, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use support::{Net, inside, linerate_json, sh};

/// Builds a router advertisement (RFC 4861 §4.2, §4.6.2): a default router for half an hour and a
/// prefix for autoconfiguration. The kernel fills in the checksum.
fn advertisement(prefix: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    message.extend([3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0]);
    message.extend(prefix.octets());
    message
}

/// Sends the advertisement to all nodes five times per second until `stop` is set.
fn advertise(prefix: Ipv6Addr, stop: &AtomicBool) {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)).expect("root");
    let index = nix::net::if_::if_nametoindex("veth0").expect("the interface exists");
    socket.set_multicast_if_v6(index).expect("an option of IPv6");
    socket.set_multicast_hops_v6(255).expect("an option of IPv6");
    let all_nodes = SocketAddrV6::new(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), 0, 0, index);
    while !stop.load(Ordering::Relaxed) {
        // Fails while the kernel's link-local address is tentative.
        let _ = socket.send_to(&advertisement(prefix), &all_nodes.into());
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_router_gives_an_address_with_which_the_kernel_is_reached() {
    let net = Net::new();
    let prefix: Ipv6Addr = "2001:db8:77::".parse().expect("a prefix");
    let right = net.right();
    sh(&format!("ip -n {right} addr add 2001:db8:77::1/64 dev veth0 nodad"));
    let stop = Arc::new(AtomicBool::new(false));
    let router_stop = Arc::clone(&stop);
    let router = inside(&right, move || advertise(prefix, &router_stop));
    let server = inside(&right, || {
        let listener = TcpListener::bind("[2001:db8:77::1]:9000").expect("the address is set");
        for _ in 0..20 {
            let (mut stream, peer) = listener.accept().expect("a connection");
            assert!(peer.ip().to_string().starts_with("2001:db8:77:0:"), "{peer}");
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let report = linerate_json(
        &net.left(),
        "load --interface veth0 --slaac --target [2001:db8:77::1]:9000 --pattern connect \
         --connections 20 --concurrency 1 --json",
    );
    stop.store(true, Ordering::Relaxed);
    router.join().expect("the router ends");
    assert_eq!(report["connections_completed"], 20, "{report}");
    server.join().expect("the server ends");
}

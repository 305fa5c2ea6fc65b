//! Runs the XDP program in the kernel, frame by frame. BPF_PROG_TEST_RUN needs no interface.
//!
//! Needs root (or CAP_BPF and CAP_NET_ADMIN). Builds its frames by hand rather than by `wire`, so
//! that one mistake cannot hide another.

#[path = "xdp_program/frames.rs"]
mod frames;

use std::net::IpAddr;
use std::os::fd::AsRawFd as _;

use frames::*;
use linerate::xdp::{
    Counters, Fragments, Policy, Program, Role, Routers, SteerError, TestRun, Verdict,
};
use socket2::{Domain, Socket, Type};

const PORT: u16 = 8080;

/// A loaded program with `OURS4`, `OURS6` and `PORT` claimed and a socket on queue 0.
struct Bench {
    program: Program,
    _socket: Socket,
}

impl Bench {
    fn new(role: Role, fragments: Fragments) -> Self {
        let mut program = Program::load()
            .unwrap_or_else(|error| panic!("these tests need root, as in scripts/test: {error}"));
        program
            .set_policy(Policy { role, fragments, ..Policy::default() })
            .expect("the policy is a plain map entry");
        for address in [IpAddr::from(OURS4), IpAddr::from(OURS6)] {
            program.claim_address(address).expect("two addresses fit");
        }
        program.claim_ports(PORT..=PORT).expect("every port has its bit");
        let socket = xdp_socket();
        program.insert_socket(0, socket.as_raw_fd()).expect("an AF_XDP socket fits the map");
        Self { program, _socket: socket }
    }

    fn shared() -> Self {
        Self::new(Role::Shared, Fragments::Pass)
    }

    fn exclusive() -> Self {
        Self::new(Role::Exclusive, Fragments::Pass)
    }

    fn counters(&self) -> Counters {
        self.program.counters().expect("the loader may read the counters")
    }

    /// Returns the verdict on one frame: the counter that increased. Asserts that the action
    /// agrees.
    fn verdict(&self, frame: &[u8]) -> Verdict {
        let before = self.counters();
        let action =
            self.program.test_run(frame).expect("the kernel accepts any complete Ethernet header");
        let after = self.counters();
        let increased: Vec<Verdict> =
            Verdict::ALL.into_iter().filter(|&v| after.of(v) != before.of(v)).collect();
        let [verdict] = increased[..] else { panic!("one counter per frame, not {increased:?}") };
        let expected = if verdict.redirects() { TestRun::Redirected } else { TestRun::Passed };
        assert_eq!(action, expected, "{verdict:?}");
        assert_eq!(after.of(verdict), before.of(verdict) + 1);
        verdict
    }
}

/// Creates an unbound AF_XDP socket, which is enough for the map.
fn xdp_socket() -> Socket {
    const AF_XDP: i32 = 44;
    Socket::new(Domain::from(AF_XDP), Type::RAW, None).expect("the kernel has AF_XDP")
}

fn check(bench: &Bench, cases: &[(&str, Vec<u8>, Verdict)]) {
    for (name, frame, expected) in cases {
        assert_eq!(bench.verdict(frame), *expected, "{name}");
    }
}

#[test]
fn a_fresh_program_passes_everything() {
    let program = Program::load().expect("these tests need root, as in scripts/test");
    for (name, frame) in corpus() {
        assert_eq!(program.test_run(&frame).expect("test run"), TestRun::Passed, "{name}");
    }
    assert_eq!(program.counters().expect("counters").redirected(), 0);
}

#[test]
fn shared_mode_redirects_claimed_ports_and_passes_the_rest() {
    use Verdict::*;
    check(
        &Bench::shared(),
        &[
            ("claimed port, IPv4", v4(tcp(PORT)), Tcp),
            ("claimed port, IPv6", v6(tcp(PORT)), Tcp),
            ("port next to it", v4(tcp(PORT + 1)), PassPort),
            ("port next to it, IPv6", v6(tcp(PORT - 1)), PassPort),
            ("other address", eth(IP4, ipv4(PEER4, [10, 0, 0, 9], TCP, 0, tcp(PORT))), PassAddress),
            ("other address, IPv6", eth(IP6, ipv6(PEER6, PEER6, TCP, tcp(PORT))), PassAddress),
            ("UDP to the same port", v4_of(UDP, tcp(PORT)), PassProtocol),
            ("UDP, IPv6", v6_of(UDP, tcp(PORT)), PassProtocol),
            ("echo request", v4_of(ICMP, icmp(8, vec![0; 8])), PassProtocol),
            ("echo request, IPv6", v6_of(ICMP6, icmp(128, vec![0; 8])), PassProtocol),
            ("ARP for our address", eth(ARP, arp(OURS4)), PassProtocol),
            ("neighbour solicitation", solicitation(solicited_node(OURS6), OURS6), PassAddress),
            ("unicast solicitation", solicitation(OURS6, OURS6), PassProtocol),
            ("LLDP", eth(0x88cc, vec![0; 50]), PassEthertype),
        ],
    );
}

#[test]
fn exclusive_mode_redirects_all_tcp_icmp_and_address_resolution() {
    use Verdict::*;
    check(
        &Bench::exclusive(),
        &[
            ("any port, IPv4", v4(tcp(1)), Tcp),
            ("any port, IPv6", v6(tcp(65535)), Tcp),
            ("echo request", v4_of(ICMP, icmp(8, vec![0; 8])), Icmp),
            ("echo request, IPv6", v6_of(ICMP6, icmp(128, vec![0; 8])), Icmp),
            ("error", v4_of(ICMP, icmp(3, vec![])), Icmp),
            ("ARP for our address", eth(ARP, arp(OURS4)), Arp),
            ("ARP for another", eth(ARP, arp([10, 0, 0, 9])), PassAddress),
            (
                "solicitation to the multicast group",
                solicitation(solicited_node(OURS6), OURS6),
                Ndp,
            ),
            ("same group, another target", solicitation(solicited_node(OURS6), TWIN6), PassAddress),
            ("unicast solicitation", solicitation(OURS6, OURS6), Ndp),
            ("advertisement to us", neighbour(136, OURS6, PEER6), Ndp),
            ("another target, to all nodes", neighbour(136, ALL_NODES, PEER6), PassAddress),
            // RFC 4862 §5.4.4, RFC 5227 §2.1.1: a conflicting host announces our address to all
            // nodes or to one.
            ("our address, to all nodes", neighbour(136, ALL_NODES, OURS6), Ndp),
            ("a router, to all nodes", neighbour(134, ALL_NODES, PEER6), PassProtocol),
            ("ARP as our address", eth(ARP, arp_of(OURS4, [0; 4])), Arp),
            (
                "TCP to a multicast group",
                eth(IP6, ipv6(PEER6, ALL_NODES, TCP, tcp(1))),
                PassAddress,
            ),
            ("UDP", v4_of(UDP, tcp(PORT)), PassProtocol),
            (
                "TCP to another address",
                eth(IP4, ipv4(PEER4, PEER4, TCP, 0, tcp(PORT))),
                PassAddress,
            ),
        ],
    );
}

#[test]
fn icmp_errors_reach_the_stack_in_shared_mode_only_when_they_quote_a_claimed_flow() {
    use Verdict::*;
    let quote4 =
        |source, port, fragment| ipv4_with(source, PEER4, TCP, 0, fragment, ports(port, 443));
    let error4 = |kind, quote| v4_of(ICMP, icmp(kind, quote));
    let quote6 = |source, port| ipv6(source, PEER6, TCP, ports(port, 443));
    let error6 = |kind, quote| v6_of(ICMP6, icmp(kind, quote));
    let with_options = ipv4(OURS4, PEER4, TCP, 40, ports(PORT, 443));
    let mut quoted_udp = ipv4(OURS4, PEER4, UDP, 0, ports(PORT, 443));
    check(
        &Bench::shared(),
        &[
            ("fragmentation needed", error4(3, quote4(OURS4, PORT, 0)), IcmpError),
            ("time exceeded", error4(11, quote4(OURS4, PORT, 0)), IcmpError),
            ("parameter problem", error4(12, quote4(OURS4, PORT, 0)), IcmpError),
            ("quote with IP options", error4(3, with_options), IcmpError),
            ("first fragment quoted", error4(3, quote4(OURS4, PORT, 0x2000)), IcmpError),
            ("redirect is the kernel's", error4(5, quote4(OURS4, PORT, 0)), PassProtocol),
            ("unclaimed port quoted", error4(3, quote4(OURS4, 22, 0)), PassPort),
            ("another's packet quoted", error4(3, quote4(PEER4, PORT, 0)), PassAddress),
            ("later fragment quoted", error4(3, quote4(OURS4, PORT, 100)), PassProtocol),
            ("UDP quoted", error4(3, std::mem::take(&mut quoted_udp)), PassProtocol),
            (
                "quote without ports",
                error4(3, quote4(OURS4, PORT, 0)[..22].to_vec()),
                PassMalformed,
            ),
            ("no quote", error4(3, vec![]), PassMalformed),
            ("packet too big", error6(2, quote6(OURS6, PORT)), IcmpError),
            ("unreachable", error6(1, quote6(OURS6, PORT)), IcmpError),
            ("parameter problem, IPv6", error6(4, quote6(OURS6, PORT)), IcmpError),
            ("unclaimed port quoted, IPv6", error6(2, quote6(OURS6, 22)), PassPort),
            ("another's packet quoted, IPv6", error6(2, quote6(PEER6, PORT)), PassAddress),
            ("type 0 is no error", error6(0, quote6(OURS6, PORT)), PassProtocol),
            ("type 5 is no error of today", error6(5, quote6(OURS6, PORT)), PassProtocol),
            ("no quote, IPv6", error6(2, vec![]), PassMalformed),
        ],
    );
}

#[test]
fn up_to_two_vlan_tags_are_parsed() {
    use Verdict::*;
    let packet = || ipv4(PEER4, OURS4, TCP, 0, tcp(PORT));
    let tag = |outer, inner: Vec<u8>| [&outer_type(outer)[..], &inner].concat();
    let single = |kind| eth(kind, tag(IP4, packet()));
    check(
        &Bench::shared(),
        &[
            ("802.1Q", single(VLAN), Tcp),
            ("802.1ad", single(SERVICE_VLAN), Tcp),
            ("802.1ad around 802.1Q", eth(SERVICE_VLAN, tag(VLAN, tag(IP4, packet()))), Tcp),
            ("802.1Q twice", eth(VLAN, tag(VLAN, tag(IP4, packet()))), Tcp),
            ("IPv6 tagged", eth(VLAN, tag(IP6, ipv6(PEER6, OURS6, TCP, tcp(PORT)))), Tcp),
            ("three tags", eth(VLAN, tag(VLAN, tag(VLAN, tag(IP4, packet())))), PassEthertype),
            ("a tag cut off", eth(VLAN, vec![0, 1]), PassMalformed),
        ],
    );
}

#[test]
fn ipv4_options_of_any_length_are_skipped() {
    let bench = Bench::shared();
    for options in (0..=40).step_by(4) {
        let frame = eth(IP4, ipv4(PEER4, OURS4, TCP, options, tcp(PORT)));
        assert_eq!(bench.verdict(&frame), Verdict::Tcp, "{options} bytes of options");
    }
    for words in 0..5 {
        let mut frame = v4(tcp(PORT));
        frame[14] = 0x40 | words;
        assert_eq!(bench.verdict(&frame), Verdict::PassMalformed, "header of {words} words");
    }
}

#[test]
fn router_messages_reach_the_stack_with_autoconfiguration() {
    // RFC 4862 §5.5
    use Verdict::*;
    let mut bench = Bench::exclusive();
    let policy = Policy { role: Role::Exclusive, routers: Routers::Stack, ..Policy::default() };
    bench.program.set_policy(policy).expect("the policy is a plain map entry");
    check(
        &bench,
        &[
            ("to all nodes", neighbour(134, ALL_NODES, PEER6), Ndp),
            ("to us", neighbour(134, OURS6, PEER6), Icmp),
            ("a neighbour, to all nodes", neighbour(136, ALL_NODES, PEER6), PassAddress),
            ("a router solicitation", neighbour(133, ALL_NODES, PEER6), PassProtocol),
        ],
    );
}

#[test]
fn a_version_that_contradicts_the_ethertype_is_malformed() {
    let bench = Bench::exclusive();
    let mut four = v4(tcp(PORT));
    four[14] = 0x65;
    let mut six = v6(tcp(PORT));
    six[14] = 0x40;
    assert_eq!(bench.verdict(&four), Verdict::PassMalformed);
    assert_eq!(bench.verdict(&six), Verdict::PassMalformed);
}

#[test]
fn extension_headers_are_walked_in_any_order_up_to_a_bound() {
    use Verdict::*;
    let chain =
        |kinds: &[u8], length: u8| v6_of(kinds[0], extensions(kinds, length, TCP, tcp(PORT)));
    let past_the_end = v6_of(HOP_BY_HOP, vec![TCP, 200, 0, 0, 0, 0, 0, 0]);
    let solicited =
        extensions(&[HOP_BY_HOP], 0, ICMP6, icmp(2, ipv6(OURS6, PEER6, TCP, ports(PORT, 1))));
    check(
        &Bench::shared(),
        &[
            ("hop-by-hop", chain(&[HOP_BY_HOP], 0), Tcp),
            ("routing", chain(&[ROUTING], 2), Tcp),
            ("destination options", chain(&[DESTINATION], 5), Tcp),
            ("all of them", chain(&[HOP_BY_HOP, DESTINATION, ROUTING, DESTINATION], 1), Tcp),
            ("eight", chain(&[DESTINATION; 8], 0), Tcp),
            ("nine", chain(&[DESTINATION; 9], 0), PassProtocol),
            ("one of 2048 bytes", chain(&[DESTINATION], 255), Tcp),
            ("running past the end", past_the_end, PassMalformed),
            ("an ICMP error behind one", v6_of(HOP_BY_HOP, solicited), IcmpError),
            ("no next header", v6_of(59, vec![0; 20]), PassProtocol),
            ("ESP", v6_of(50, vec![0; 20]), PassProtocol),
        ],
    );
}

#[test]
fn fragments_follow_the_policy() {
    use Verdict::*;
    let fragment4 =
        |protocol, fragment| eth(IP4, ipv4_with(PEER4, OURS4, protocol, 0, fragment, tcp(PORT)));
    let fragment6 = |next, offset| v6_of(FRAGMENT, fragment_header(next, offset, tcp(PORT)));
    let first4 = fragment4(TCP, 0x2000);
    let later4 = fragment4(TCP, 185);
    check(
        &Bench::shared(),
        &[
            ("first", first4.clone(), PassFragment),
            ("later", later4.clone(), PassFragment),
            ("do not fragment is no fragment", fragment4(TCP, 0x4000), Tcp),
            ("IPv6", fragment6(TCP, 1), PassFragment),
            ("IPv6, atomic", fragment6(TCP, 0), Tcp),
        ],
    );
    check(
        &Bench::new(Role::Shared, Fragments::Stack),
        &[
            ("first", first4.clone(), Fragment),
            ("later", later4.clone(), Fragment),
            ("UDP", fragment4(UDP, 0x2000), PassProtocol),
            ("ICMP", fragment4(ICMP, 0x2000), PassProtocol),
            ("IPv6 first", fragment6(TCP, 1), Fragment),
            ("IPv6 last", fragment6(TCP, 1480), Fragment),
            ("IPv6 UDP", fragment6(UDP, 1), PassProtocol),
        ],
    );
    check(
        &Bench::new(Role::Exclusive, Fragments::Stack),
        &[
            ("TCP", first4, Fragment),
            ("ICMP", fragment4(ICMP, 0x2000), Fragment),
            ("ICMPv6", fragment6(ICMP6, 1), Fragment),
            ("UDP", fragment4(UDP, 185), PassProtocol),
            ("destination options", fragment6(60, 1), Fragment),
        ],
    );
}

#[test]
fn truncated_and_damaged_frames_are_passed_or_redirected_and_counted() {
    for role in [Role::Shared, Role::Exclusive] {
        let bench = Bench::new(role, Fragments::Stack);
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as usize
        };
        for (name, frame) in corpus() {
            let whole = bench.verdict(&frame);
            for len in 14..frame.len() {
                // A truncated frame may lose the fields of the verdict, but never gain a redirect.
                let cut = bench.verdict(&frame[..len]);
                assert!(cut == whole || !cut.redirects(), "{name} cut to {len}: {cut:?}");
            }
            for _ in 0..100 {
                let mut damaged = frame.clone();
                for _ in 0..1 + next() % 4 {
                    let at = 12 + next() % (damaged.len() - 12);
                    damaged[at] = next() as u8;
                }
                bench.verdict(&damaged);
            }
        }
    }
}

#[test]
fn a_multi_buffer_frame_is_classified_by_its_headers() {
    let mut segment = tcp(PORT);
    segment.resize(9000, 0x55);
    assert_eq!(Bench::shared().verdict(&v4(segment)), Verdict::Tcp);
}

#[test]
fn a_queue_without_a_socket_passes() {
    let mut bench = Bench::exclusive();
    bench.program.remove_socket(0).expect("the queue has a socket");
    for frame in [v4(tcp(PORT)), v6(tcp(PORT)), eth(ARP, arp(OURS4))] {
        assert_eq!(bench.verdict(&frame), Verdict::PassNoSocket);
    }
    bench.program.remove_socket(0).expect("removing a socket twice is harmless");
    let socket = xdp_socket();
    bench.program.insert_socket(0, socket.as_raw_fd()).expect("the map entry is free again");
    assert_eq!(bench.verdict(&v4(tcp(PORT))), Verdict::Tcp);
    drop(socket);
    assert_eq!(
        bench.verdict(&v4(tcp(PORT))),
        Verdict::PassNoSocket,
        "closed sockets leave the map"
    );
}

#[test]
fn claims_can_change_at_run_time() {
    let mut bench = Bench::shared();
    let (four, six) = (v4(tcp(PORT)), v6(tcp(PORT)));
    bench.program.unclaim_ports(PORT..=PORT).expect("unclaim");
    assert_eq!(bench.verdict(&four), Verdict::PassPort);
    bench
        .program
        .set_policy(Policy { role: Role::Exclusive, ..Policy::default() })
        .expect("policy");
    assert_eq!(bench.verdict(&four), Verdict::Tcp);
    bench.program.unclaim_address(IpAddr::from(OURS4)).expect("unclaim");
    bench.program.unclaim_address(IpAddr::from(OURS4)).expect("repeating the call is harmless");
    assert_eq!(bench.verdict(&four), Verdict::PassAddress);
    assert_eq!(bench.verdict(&six), Verdict::Tcp);
    bench.program.claim_address(IpAddr::from(OURS4)).expect("claim");
    bench.program.claim_address(IpAddr::from(OURS4)).expect("repeating the call is harmless");
    assert_eq!(bench.verdict(&four), Verdict::Tcp);
}

#[test]
fn port_ranges_are_exact_at_their_edges() {
    let mut bench = Bench::shared();
    bench.program.unclaim_ports(0..=65535).expect("unclaim");
    bench.program.claim_ports(32768..=60999).expect("claim");
    bench.program.unclaim_ports(40000..=40127).expect("unclaim");
    let claimed = [32768, 32769, 39999, 40128, 60998, 60999];
    let unclaimed = [0, 1, 32767, 40000, 40064, 40127, 61000, 65535];
    for port in claimed {
        assert_eq!(bench.verdict(&v4(tcp(port))), Verdict::Tcp, "port {port}");
    }
    for port in unclaimed {
        assert_eq!(bench.verdict(&v4(tcp(port))), Verdict::PassPort, "port {port}");
    }
    bench.program.claim_ports(0..=65535).expect("claim");
    for port in unclaimed {
        assert_eq!(bench.verdict(&v4(tcp(port))), Verdict::Tcp, "port {port}");
    }
}

#[test]
fn excess_claims_are_refused_with_their_cause() {
    let mut program = Program::load().expect("these tests need root, as in scripts/test");
    for last in 0..=255 {
        program.claim_address(IpAddr::from([10, 0, 0, last])).expect("256 addresses fit");
    }
    let error = program.claim_address(IpAddr::from([10, 0, 1, 0])).expect_err("one too many");
    assert!(matches!(error, SteerError::TooManyAddresses { .. }), "{error}");
    let queue = linerate::xdp::QUEUES_MAX;
    let error = program.insert_socket(queue, xdp_socket().as_raw_fd()).expect_err("no such queue");
    assert!(matches!(error, SteerError::QueueOutOfRange { .. }), "{error}");
    let file = std::fs::File::open("/dev/null").expect("/dev/null");
    let error = program.insert_socket(0, file.as_raw_fd()).expect_err("not a socket");
    assert!(matches!(error, SteerError::Kernel { .. }), "{error}");
}

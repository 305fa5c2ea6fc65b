//! The TAP link to the kernel of this host. Needs no privilege: each test runs a second time, in a
//! process of its own with its own user and network namespaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use linerate::link::tap::{BringUpError, Config, OpenError, TapLink, bring_up};
use linerate::link::{Frame, Link, State};
use linerate::time::Instant;

const NOW: Instant = Instant::ZERO;
const TAP: &str = "tap7";
const KERNEL: Ipv4Addr = Ipv4Addr::new(10, 9, 8, 1);
const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 9, 8, 2);
const KERNEL_V6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1);
const LOCAL_V6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 2);
const PORT: u16 = 4000;
const PATIENCE: Duration = Duration::from_secs(20);

/// Set in the process in the namespaces.
const INSIDE: &str = "LINERATE_TEST_INSIDE";

/// Runs `test`, which has the name `name`, in namespaces of its own.
fn in_namespaces(name: &str, test: impl FnOnce()) {
    in_namespaces_as(name, &[], test);
}

/// As [`in_namespaces`]; `prefix` is a command that runs the test there.
fn in_namespaces_as(name: &str, prefix: &[&str], test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let itself = std::env::current_exe().expect("the path of this test");
    let mut command = Command::new("unshare");
    command.arg("-rn").args(prefix).arg(itself).args([name, "--exact", "--nocapture"]);
    let output = command.env(INSIDE, "1").output().expect("util-linux is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("`ip` is installed");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ip {arguments}: {stderr}");
}

/// Opens `queues` links to a kernel that knows both sides' addresses.
fn links(queues: usize) -> Vec<TapLink> {
    let links = TapLink::open_queues(&Config::new(TAP), queues).expect("the device opens");
    let addresses = [(IpAddr::V4(KERNEL), 24), (IpAddr::V6(KERNEL_V6), 64)];
    bring_up(TAP, &addresses).expect("the kernel's side comes up");
    for local in [IpAddr::V4(LOCAL), IpAddr::V6(LOCAL_V6)] {
        ip(&format!("neigh replace {local} lladdr 02:00:00:00:00:02 dev {TAP} nud permanent"));
    }
    links
}

fn kernel_socket(address: impl Into<IpAddr>) -> UdpSocket {
    let socket = UdpSocket::bind((address.into(), 0)).expect("binds");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

/// Returns the offset of the UDP header of a datagram to [`PORT`]. The kernel sends other frames as
/// well (router solicitations, multicast reports).
fn datagram(frame: &[u8]) -> Option<usize> {
    let udp = match (frame.get(12..14)?, frame.get(23)?, frame.get(20)?) {
        ([0x08, 0x00], 17, _) => 34,
        ([0x86, 0xdd], _, 17) => 54,
        _ => return None,
    };
    (frame.get(udp + 2..udp + 4)? == PORT.to_be_bytes()).then_some(udp)
}

/// Receives until a datagram arrives. Returns it with the number of its link.
fn await_datagram(links: &mut [TapLink]) -> (usize, Frame) {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let mut frames = Vec::new();
        for (number, link) in links.iter_mut().enumerate() {
            link.receive(NOW, 1, &mut frames);
            for frame in frames.drain(..) {
                if datagram(&frame).is_some() {
                    return (number, frame);
                }
                link.release(frame);
            }
        }
        assert!(std::time::Instant::now() < until, "no datagram arrived");
        std::thread::yield_now();
    }
}

/// Turns a datagram into one to its sender. Swapping the two ends leaves all checksums valid, if
/// they are.
fn turn_round(frame: &mut [u8]) {
    let udp = datagram(frame).expect("a datagram");
    let (addresses, len) = if udp == 34 { (26, 4) } else { (22, 16) };
    for (at, len) in [(0, 6), (addresses, len), (udp, 2)] {
        let (first, second) = frame[at..at + 2 * len].split_at_mut(len);
        first.swap_with_slice(second);
    }
}

#[test]
fn datagrams_cross_both_ways_with_full_checksums_and_no_frame_is_lost() {
    in_namespaces("datagrams_cross_both_ways_with_full_checksums_and_no_frame_is_lost", || {
        let mut links = links(1);
        let total = links[0].accounting().total();
        for (from, to) in
            [(IpAddr::V4(KERNEL), IpAddr::V4(LOCAL)), (KERNEL_V6.into(), LOCAL_V6.into())]
        {
            let socket = kernel_socket(from);
            for number in 0..2000_usize {
                let sent = vec![number as u8; 1 + number * 7 % 1400];
                socket.send_to(&sent, (to, PORT)).expect("sends");
                let (_, received) = await_datagram(&mut links);
                let udp = datagram(&received).expect("a datagram");
                assert_eq!(received[udp + 8..], sent);
                let link = &mut links[0];
                let mut reply = link.reserve().expect("a free frame");
                reply.fill(&received);
                turn_round(&mut reply);
                link.transmit(NOW, reply);
                assert_eq!((link.accounting().held, link.accounting().tx_posted), (1, 1));
                link.release(received);
                link.flush(NOW);
                assert_eq!((link.accounting().free, link.deadline()), (total, None));
                // The kernel checks the checksums that it computed itself.
                let mut buffer = [0; 2048];
                let (len, sender) = socket.recv_from(&mut buffer).expect("the datagram returns");
                assert_eq!((&buffer[..len], sender.ip(), sender.port()), (&sent[..], to, PORT));
            }
        }
        let statistics = links[0].statistics();
        assert_eq!((statistics.tx_frames, statistics.tx_dropped), (4000, 0));
        assert_eq!((statistics.rx_dropped, links[0].state()), (0, State::Up));
    });
}

#[test]
fn a_flow_arrives_on_the_queue_that_last_sent_for_it() {
    in_namespaces("a_flow_arrives_on_the_queue_that_last_sent_for_it", || {
        let mut links = links(2);
        let socket = kernel_socket(KERNEL);
        let mut expected = None;
        for _ in 0..20 {
            socket.send_to(b"ping", (LOCAL, PORT)).expect("sends");
            let (queue, received) = await_datagram(&mut links);
            assert_eq!(expected.unwrap_or(queue), queue);
            let other = &mut links[1 - queue];
            let mut reply = other.reserve().expect("a free frame");
            reply.fill(&received);
            turn_round(&mut reply);
            other.transmit(NOW, reply);
            other.flush(NOW);
            links[queue].release(received);
            socket.recv_from(&mut [0; 64]).expect("the datagram returns");
            expected = Some(1 - queue);
        }
    });
}

#[test]
fn a_removed_device_is_down_and_is_not_waited_for() {
    in_namespaces("a_removed_device_is_down_and_is_not_waited_for", || {
        let mut link = links(1).remove(0);
        assert!(link.state() == State::Up && link.wait_fd().is_some());
        ip(&format!("link del {TAP}"));
        let mut frames = Vec::new();
        link.receive(NOW, 64, &mut frames);
        frames.drain(..).for_each(|frame| link.release(frame));
        link.receive(NOW, 64, &mut frames);
        assert!(link.state() == State::Down && link.wait_fd().is_none());
        let total = link.accounting().total();
        let frame = link.reserve().expect("a free frame");
        link.transmit(NOW, frame);
        link.flush(NOW);
        assert_eq!((link.statistics().tx_dropped, link.accounting().free), (1, total));
    });
}

#[test]
fn writes_that_the_kernel_refuses_are_counted_and_an_interface_may_come_up_again() {
    in_namespaces(
        "writes_that_the_kernel_refuses_are_counted_and_an_interface_may_come_up_again",
        || {
            let mut link = links(1).remove(0);
            let mut send = |bytes: &[u8]| {
                let mut frame = link.reserve().expect("a free frame");
                frame.fill(bytes);
                link.transmit(NOW, frame);
                link.flush(NOW);
                (link.statistics().tx_frames, link.statistics().tx_dropped, link.state())
            };
            // Shorter than an Ethernet header.
            assert_eq!(send(&[0; 10]), (0, 1, State::Up));
            assert_eq!(send(&[0; 60]), (1, 1, State::Up));
            ip(&format!("link set {TAP} down"));
            assert_eq!(send(&[0; 60]), (1, 2, State::Down));
            ip(&format!("link set {TAP} up"));
            assert_eq!(send(&[0; 60]), (2, 2, State::Up));
        },
    );
}

#[test]
fn the_device_vanishes_with_its_link() {
    in_namespaces("the_device_vanishes_with_its_link", || {
        drop(links(1));
        let gone = bring_up(TAP, &[]).unwrap_err();
        assert!(matches!(gone, BringUpError::NoInterface { .. }), "{gone}");
        let named = TapLink::open(&Config::new("lr%d")).expect("the device opens");
        assert_eq!(named.interface(), "lr0");
    });
}

#[test]
fn a_name_in_use_is_refused_and_so_is_one_of_another_kind() {
    in_namespaces("a_name_in_use_is_refused_and_so_is_one_of_another_kind", || {
        let _first = links(1);
        let second = TapLink::open(&Config::new(TAP)).unwrap_err();
        assert!(matches!(second, OpenError::InUse { .. }), "{second}");
        let loopback = TapLink::open(&Config::new("lo")).unwrap_err();
        assert!(matches!(loopback, OpenError::OtherKind { .. }), "{loopback}");
    });
}

#[test]
fn without_privilege_the_error_names_unshare() {
    let prefix = ["setpriv", "--bounding-set=-net_admin"];
    in_namespaces_as("without_privilege_the_error_names_unshare", &prefix, || {
        let refused = TapLink::open(&Config::new(TAP)).unwrap_err();
        assert!(matches!(refused, OpenError::NoPrivilege { .. }), "{refused}");
        assert!(refused.to_string().contains("unshare -rn"), "{refused}");
        let refused = bring_up("lo", &[]).unwrap_err();
        assert!(matches!(refused, BringUpError::NoPrivilege { .. }), "{refused}");
    });
}

#[test]
fn the_kernels_side_comes_up_twice_and_says_where_ipv6_is_disabled() {
    in_namespaces("the_kernels_side_comes_up_twice_and_says_where_ipv6_is_disabled", || {
        let _links = links(1);
        let addresses = [(IpAddr::V4(KERNEL), 24), (IpAddr::V6(KERNEL_V6), 64)];
        bring_up(TAP, &addresses).expect("it is up already");
        // Usable at once: not tentative.
        kernel_socket(KERNEL_V6);
        let knob = format!("/proc/sys/net/ipv6/conf/{TAP}/disable_ipv6");
        std::fs::write(knob, "1").expect("IPv6 can be disabled");
        let refused = bring_up(TAP, &addresses).unwrap_err();
        assert!(matches!(refused, BringUpError::NoIpv6 { .. }), "{refused}");
    });
}

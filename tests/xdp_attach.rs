//! Attaches the XDP program to real interfaces, and checks that nothing remains after its process
//! has ended.
//!
//! Needs root, and creates veth pairs in its own namespaces. Each test runs a second time as a
//! process inside its namespace.

#[path = "xdp_attach/namespace.rs"]
mod namespace;

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant as Clock};

use linerate::link::Link as _;
use linerate::link::xsk::{Config, XskLink};
use linerate::time::Instant;
use linerate::xdp::{
    AttachError, AttachedMode, Policy, ProbeError, Program, Role, Verdict, XdpMode, check_queues,
    probe,
};
use namespace::{ip, ip_of_far, knock, reaches, test_in_namespace, xdp_of};
use socket2::{Domain, Socket, Type};

/// Addresses of `near`, where the tests run, and `far`, in the namespace next to it.
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

fn attach(interface: &str, mode: XdpMode) -> Program {
    Program::load_and_attach(interface, mode).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn native_mode_attaches_to_a_veth_and_leaves_with_the_program() {
    test_in_namespace("native_mode_attaches_to_a_veth_and_leaves_with_the_program", || {
        let mut program = attach("near", XdpMode::Native);
        let attachment = program.attachment().expect("attached");
        assert_eq!((attachment.mode, attachment.fallback.as_deref()), (AttachedMode::Native, None));
        assert_eq!(xdp_of("near").as_deref(), Some("xdp"));
        program.detach();
        assert_eq!((xdp_of("near"), program.attachment()), (None, None));
        program.attach("near", XdpMode::Native).expect("the interface is free again");
        drop(program);
        assert_eq!(xdp_of("near"), None);
    });
}

#[test]
fn generic_mode_attaches_on_request() {
    test_in_namespace("generic_mode_attaches_on_request", || {
        let program = attach("near", XdpMode::Generic);
        assert_eq!(program.attachment().expect("attached").mode, AttachedMode::Generic);
        assert_eq!(xdp_of("near").as_deref(), Some("xdpgeneric"));
    });
}

#[test]
fn auto_mode_is_native_if_the_driver_supports_it() {
    test_in_namespace("auto_mode_is_native_if_the_driver_supports_it", || {
        let program = attach("near", XdpMode::Auto);
        let attachment = program.attachment().expect("attached");
        assert_eq!((attachment.mode, attachment.fallback.as_deref()), (AttachedMode::Native, None));
    });
}

#[test]
fn auto_mode_falls_back_to_generic_and_gives_the_reason() {
    test_in_namespace("auto_mode_falls_back_to_generic_and_gives_the_reason", || {
        ip("link add bridge0 type bridge");
        let program = attach("bridge0", XdpMode::Auto);
        let attachment = program.attachment().expect("attached").clone();
        assert_eq!(attachment.mode, AttachedMode::Generic);
        let reason = attachment.fallback.expect("a reason");
        assert!(reason.contains("bridge0") && reason.contains("does not support"), "{reason}");
        drop(program);
        let error =
            Program::load_and_attach("bridge0", XdpMode::Native).expect_err("no native mode");
        assert!(matches!(error, AttachError::NotSupported { .. }), "{error}");
    });
}

#[test]
fn a_veth_with_fewer_queues_than_its_peer_has_its_own_error() {
    test_in_namespace("a_veth_with_fewer_queues_than_its_peer_has_its_own_error", || {
        ip(
            "link add narrow numrxqueues 1 numtxqueues 1 type veth peer wide numrxqueues 2 numtxqueues 2",
        );
        ip("link set narrow up");
        ip("link set wide up");
        let error =
            Program::load_and_attach("narrow", XdpMode::Native).expect_err("too few queues");
        assert!(matches!(error, AttachError::TooFewQueues { .. }), "{error}");
        let program = attach("narrow", XdpMode::Auto);
        let attachment = program.attachment().expect("attached");
        assert_eq!(attachment.mode, AttachedMode::Generic);
        assert!(attachment.fallback.as_ref().is_some_and(|reason| reason.contains("queues")));
    });
}

#[test]
fn a_frags_aware_program_attaches_to_a_veth_with_jumbo_frames() {
    test_in_namespace("a_frags_aware_program_attaches_to_a_veth_with_jumbo_frames", || {
        ip("link set near mtu 9000");
        ip_of_far("link set far mtu 9000");
        assert_eq!(
            attach("near", XdpMode::Native).attachment().expect("attached").mode,
            AttachedMode::Native
        );
    });
}

#[test]
fn an_interface_in_use_is_reported_as_busy() {
    test_in_namespace("an_interface_in_use_is_reported_as_busy", || {
        let _first = attach("near", XdpMode::Native);
        for mode in [XdpMode::Native, XdpMode::Auto, XdpMode::Generic] {
            let error = Program::load_and_attach("near", mode).expect_err("in use");
            assert!(matches!(error, AttachError::Busy { .. }), "{mode:?}: {error}");
        }
    });
}

#[test]
fn a_missing_interface_is_reported() {
    test_in_namespace("a_missing_interface_is_reported", || {
        for name in ["none0", "", "with\0nul", "a-name-that-is-far-too-long"] {
            let error =
                Program::load_and_attach(name, XdpMode::Auto).expect_err("no such interface");
            assert!(matches!(error, AttachError::NoSuchInterface { .. }), "{error}");
        }
    });
}

#[test]
fn missing_privileges_are_named() {
    const ROLE: &str = "LINERATE_TEST_UNPRIVILEGED";
    const NAME: &str = "missing_privileges_are_named";
    if std::env::var_os(ROLE).is_some() {
        let error = Program::load().expect_err("root in a user namespace may not load programs");
        assert!(matches!(error, AttachError::NoPrivilege { .. }), "{error}");
        assert!(error.to_string().contains("CAP_BPF"), "{error}");
        return;
    }
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .arg(std::env::current_exe().expect("the test binary"))
        .args(["--exact", NAME, "--nocapture"])
        .env(ROLE, "1")
        .status()
        .expect("unshare (util-linux) starts");
    assert!(status.success(), "{status}");
}

#[test]
fn after_a_kill_the_program_is_gone_and_the_kernel_gets_its_traffic() {
    const NAME: &str = "after_a_kill_the_program_is_gone_and_the_kernel_gets_its_traffic";
    test_in_namespace(NAME, || {
        if std::env::var_os("LINERATE_TEST_HOLD").is_some() {
            hold_traffic();
        }
        let listener = TcpListener::bind((NEAR, 7000)).expect("listen");
        let address = listener.local_addr().expect("bound");
        assert!(reaches(address), "the pair works before the test");
        let mut holder = Command::new(std::env::current_exe().expect("the test binary"))
            .args(["--exact", NAME, "--nocapture"])
            .env("LINERATE_TEST_HOLD", "1")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test binary starts");
        let lines = BufReader::new(holder.stdout.take().expect("piped")).lines();
        let held = lines.map_while(Result::ok).any(|line| line.contains("holding"));
        let attached = xdp_of("near");
        let blackholed = !reaches(address);
        holder.kill().expect("SIGKILL");
        holder.wait().expect("reaped");
        assert!(held && blackholed, "held {held}, blackholed {blackholed}");
        assert_eq!(attached.as_deref(), Some("xdp"));
        let killed = Clock::now();
        while xdp_of("near").is_some() {
            assert!(killed.elapsed() < Duration::from_secs(5), "the program outlives its process");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(reaches(address), "the kernel has its traffic back");
    });
}

/// Redirects all traffic to `NEAR` into a socket without a reader, until killed.
fn hold_traffic() -> ! {
    let socket = Socket::new(Domain::from(44), Type::RAW, None).expect("AF_XDP");
    let mut program = attach("near", XdpMode::Native);
    program.set_policy(Policy { role: Role::Exclusive, ..Policy::default() }).expect("policy");
    program.claim_address(IpAddr::from(NEAR)).expect("claim");
    for queue in 0..2 {
        program.insert_socket(queue, socket.as_raw_fd()).expect("insert");
    }
    println!("holding");
    loop {
        std::thread::park();
    }
}

#[test]
fn without_a_socket_the_kernel_serves_claimed_ports_itself() {
    test_in_namespace("without_a_socket_the_kernel_serves_claimed_ports_itself", || {
        for mode in [XdpMode::Native, XdpMode::Generic] {
            let mut program = attach("near", mode);
            program.claim_address(IpAddr::from(NEAR)).expect("claim");
            program.claim_ports(7000..=7000).expect("claim");
            let listener = TcpListener::bind((NEAR, 7000)).expect("listen");
            assert!(reaches(listener.local_addr().expect("bound")), "{mode:?}");
            let counters = program.counters().expect("counters");
            assert!(counters.of(Verdict::PassNoSocket) >= 2, "{mode:?}: {counters:?}");
            assert_eq!(counters.redirected(), 0);
        }
    });
}

#[test]
fn unclaimed_traffic_reaches_the_kernel_while_the_program_is_attached() {
    test_in_namespace("unclaimed_traffic_reaches_the_kernel_while_the_program_is_attached", || {
        let socket = Socket::new(Domain::from(44), Type::RAW, None).expect("AF_XDP");
        let mut program = attach("near", XdpMode::Native);
        program.claim_address(IpAddr::from(NEAR)).expect("claim");
        program.claim_ports(7000..=7000).expect("claim");
        for queue in 0..2 {
            program.insert_socket(queue, socket.as_raw_fd()).expect("insert");
        }
        let claimed = TcpListener::bind((NEAR, 7000)).expect("listen");
        let unclaimed = TcpListener::bind((NEAR, 7001)).expect("listen");
        assert!(reaches(unclaimed.local_addr().expect("bound")));
        assert!(!reaches(claimed.local_addr().expect("bound")));
        let counters = program.counters().expect("counters");
        assert!(
            counters.of(Verdict::Tcp) >= 1 && counters.of(Verdict::PassPort) >= 2,
            "{counters:?}"
        );
    });
}

#[test]
fn each_queue_delivers_its_frames_to_its_own_socket() {
    test_in_namespace("each_queue_delivers_its_frames_to_its_own_socket", || {
        const KNOCKS: u64 = 64;
        let mut program = attach("near", XdpMode::Native);
        let mut links = [0, 1].map(|queue| {
            XskLink::open(&Config::new("near", queue)).unwrap_or_else(|error| panic!("{error}"))
        });
        for (queue, link) in (0..).zip(&links) {
            program.insert_socket(queue, link.fd().as_raw_fd()).expect("insert");
        }
        program.claim_address(IpAddr::from(NEAR)).expect("claim");
        program.claim_ports(7000..=7000).expect("claim");
        for link in &mut links {
            link.flush(Instant::ZERO);
        }
        knock((NEAR, 7000).into(), KNOCKS);
        let mut received = [0, 0];
        let until = Clock::now() + Duration::from_secs(5);
        while received.iter().sum::<u64>() < KNOCKS && Clock::now() < until {
            for (sum, link) in received.iter_mut().zip(&mut links) {
                let mut frames = Vec::new();
                *sum += link.receive(Instant::ZERO, 64, &mut frames) as u64;
                frames.into_iter().for_each(|frame| link.release(frame));
                link.flush(Instant::ZERO);
            }
        }
        assert!(received.iter().sum::<u64>() >= KNOCKS, "{received:?}");
        assert!(
            received.iter().all(|frames| *frames > 0),
            "one queue received all frames: {received:?}"
        );
        assert!(program.counters().expect("counters").of(Verdict::Tcp) >= KNOCKS);
        program.detach();
    });
}

#[test]
fn a_veth_is_probed_with_its_peer() {
    test_in_namespace("a_veth_is_probed_with_its_peer", || {
        let near = probe("near").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(near.driver.as_deref(), Some("veth"));
        assert_eq!((near.rx_queues, near.tx_queues, near.mtu), (2, 2, 1500));
        assert_eq!(near.mac, [2, 0, 0, 0, 0x77, 1]);
        assert!(near.up && near.carrier);
        assert_eq!(near.tx_checksum_offload, Some(true));
        assert!(near.features.is_some_and(|features| features.native() && !features.zero_copy()));
        assert_eq!(near.program, None);
        let peer = near.peer.expect("a veth has a peer");
        assert_eq!(peer.interface, None, "the peer is in the other namespace");

        ip("link add left type veth peer right");
        let left = probe("left").unwrap_or_else(|error| panic!("{error}"));
        let right = left.peer.expect("a veth has a peer");
        assert_eq!(right.interface.as_deref(), Some("right"));
        assert_eq!(right.tx_checksum_offload, Some(true));
        assert!(!left.up && !left.carrier);

        let _attached = attach("near", XdpMode::Native);
        assert!(probe("near").is_ok_and(|near| near.program.is_some()));
    });
}

#[test]
fn queues_are_counted_before_workers_are_started() {
    test_in_namespace("queues_are_counted_before_workers_are_started", || {
        for wanted in [1, 2] {
            check_queues("near", wanted).unwrap_or_else(|error| panic!("{error}"));
        }
        let error = check_queues("near", 3).expect_err("the interface has two");
        assert!(matches!(error, ProbeError::TooFewQueues { wanted: 3, has: 2, .. }), "{error}");
    });
}

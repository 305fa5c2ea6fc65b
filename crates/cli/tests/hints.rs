//! XDP metadata hints over veth pairs: restored VLAN tags, timestamps and hashes.
//!
//! With `txvlan on`, the default, a veth passes the VLAN tag beside the frame, as a NIC with
//! `rxvlan on` does. Needs root and a kernel with hints in veth (Linux 6.8) that also allows
//! device-bound programs with multi-buffer support. Fails without them.

mod support;

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use linerate::link::xsk::{Config, XskLink};
use linerate::link::{Frame, Link, Metadata};
use linerate::time::Instant;
use linerate::xdp::{Hints, Policy, Program, Role, Verdict, XdpMode};
use nix::sched::{CloneFlags, unshare};
use nix::time::{ClockId, clock_gettime};
use support::{LEFT_OWN, Net, eventually, hardware_address, linerate_json, sh};

/// Destination MAC of frames that are not for a server.
const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The claimed address, and one that is not claimed.
const LOCAL: [u8; 4] = [10, 9, 8, 7];
const OTHER: [u8; 4] = [10, 9, 8, 9];
const HEADERS: usize = 14 + 20 + 20;

/// VLAN tags as they appear in a frame: priority 3, VLAN 5.
const CUSTOMER: [u8; 4] = [0x81, 0x00, 3 << 5, 5];
const SERVICE: [u8; 4] = [0x88, 0xa8, 3 << 5, 5];

/// Creates two veth pairs with a bridge between them, in a new namespace of this thread. Frames
/// from `source` go through the bridge to `linka`. On the way the kernel moves the tags out of the
/// frame.
fn bridged() {
    unshare(CloneFlags::CLONE_NEWNET)
        .expect("this test creates a network namespace: run it as root, as scripts/test does");
    veth("source", "inlet");
    veth("linkb", "linka");
    bridge("bridge0", ["inlet", "linkb"]);
}

fn veth(one: &str, other: &str) {
    let queues = "numrxqueues 1 numtxqueues 1";
    ip(&format!("link add {one} {queues} type veth peer name {other} {queues}"));
    [one, other].into_iter().for_each(up);
}

/// Brings an interface up without IPv6, so that the kernel sends no packets of its own.
fn up(name: &str) {
    let no_ipv6 = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
    std::fs::write(no_ipv6, "1").expect("IPv6 can be disabled");
    ip(&format!("link set {name} up"));
}

fn bridge(name: &str, ports: [&str; 2]) {
    ip(&format!("link add {name} type bridge"));
    ports.iter().for_each(|port| ip(&format!("link set {port} master {name}")));
    up(name);
}

fn ip(arguments: &str) {
    let output =
        Command::new("ip").args(arguments.split_whitespace()).output().expect("`ip` is installed");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ip {arguments}: {stderr}");
}

/// Builds an Ethernet frame with VLAN tags and as much of IPv4 and TCP as the XDP program parses.
fn frame(tags: &[[u8; 4]], to: [u8; 4]) -> Vec<u8> {
    frame_to(OTHER_MAC, tags, to)
}

fn frame_to(mac: [u8; 6], tags: &[[u8; 4]], to: [u8; 4]) -> Vec<u8> {
    let mut headers = [0; HEADERS];
    headers[..6].copy_from_slice(&mac);
    headers[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
    headers[12..14].copy_from_slice(&[0x08, 0x00]);
    headers[14] = 0x45;
    headers[17] = 40;
    headers[22..24].copy_from_slice(&[64, 6]);
    headers[26..30].copy_from_slice(&[10, 9, 8, 6]);
    headers[30..34].copy_from_slice(&to);
    let words = headers[14..34].as_chunks::<2>().0.iter();
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    headers[24..26].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    headers[46] = 0x50;
    [&headers[..12], tags.as_flattened(), &headers[12..]].concat()
}

/// The sending end.
struct Source(XskLink);

impl Source {
    fn open() -> Self {
        Self(XskLink::open(&Config::new("source", 0)).expect("the link opens"))
    }

    fn send(&mut self, bytes: &[u8]) {
        let mut frame = self.0.reserve().expect("a free frame");
        frame.fill(bytes);
        self.0.transmit(Instant::ZERO, frame);
        self.0.flush(Instant::ZERO);
    }
}

/// The receiving end, with the hints that the driver granted.
struct End {
    program: Program,
    link: XskLink,
    hints: Hints,
}

impl End {
    fn open(interface: &str, mode: XdpMode, wanted: Hints) -> Self {
        let config = Config { metadata: true, ..Config::new(interface, 0) };
        let link = XskLink::open(&config).expect("the link opens");
        let mut program = Program::load().expect("loads");
        program.set_policy(Policy { role: Role::Exclusive, ..Policy::default() }).expect("policy");
        program.set_hints(wanted);
        program.claim_address(IpAddr::from(LOCAL)).expect("claim");
        let attachment = program.attach(interface, mode).expect("attaches");
        assert_eq!(attachment.no_hints, None);
        let hints = attachment.hints;
        program.insert_socket(0, link.fd()).expect("socket map");
        Self { program, link, hints }
    }

    /// Returns the next frame with its metadata.
    fn next(&mut self) -> (Vec<u8>, Metadata) {
        let mut frames = Vec::<Frame>::new();
        for _ in 0..1000 {
            if self.link.receive(Instant::ZERO, 1, &mut frames) == 0 {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            let (frame, metadata) = (frames[0].to_vec(), self.link.metadata().to_vec());
            self.link.release(frames.remove(0));
            self.link.flush(Instant::ZERO);
            assert_eq!(metadata.len(), 1, "one entry per frame");
            return (frame, metadata[0]);
        }
        panic!("no frame arrived within a second: {:?}", self.program.counters());
    }
}

const TAGS: Hints = Hints { vlan: true, stamp: false, hash: false };
const ALL: Hints = Hints { vlan: true, stamp: true, hash: true };

fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    u64::try_from(Duration::from(now).as_nanos()).expect("some centuries")
}

#[test]
fn a_stripped_tag_is_restored() {
    bridged();
    let mut end = End::open("linka", XdpMode::Native, TAGS);
    assert_eq!(end.hints, TAGS);
    let mut source = Source::open();
    for tags in [&[CUSTOMER][..], &[SERVICE], &[SERVICE, CUSTOMER], &[]] {
        let sent = frame(tags, LOCAL);
        source.send(&sent);
        assert_eq!(end.next(), (sent, Metadata::default()), "{tags:x?}");
    }
    assert_eq!(end.program.counters().expect("counters").of(Verdict::Tcp), 4);
}

#[test]
fn restored_tags_and_metadata_do_not_interfere() {
    bridged();
    let mut end = End::open("linka", XdpMode::Native, ALL);
    let sent = frame(&[CUSTOMER], LOCAL);
    Source::open().send(&sent);
    let (received, metadata) = end.next();
    assert_eq!(received, sent);
    assert!(metadata.stamp.is_some() && metadata.hash.is_some(), "{metadata:?}");
}

#[test]
fn without_the_hint_a_tag_is_lost() {
    bridged();
    // A generic program sees the frame without its tag.
    let mut end = End::open("linka", XdpMode::Generic, TAGS);
    assert!(end.hints.is_empty());
    Source::open().send(&frame(&[CUSTOMER], LOCAL));
    assert_eq!(end.next().0, frame(&[], LOCAL));
}

#[test]
fn frames_that_pass_to_the_kernel_keep_their_tag() {
    bridged();
    // linka passes frames to the kernel, whose bridge forwards them to a second program.
    veth("onward", "last");
    bridge("bridge1", ["linka", "onward"]);
    let passing = End::open("linka", XdpMode::Native, ALL);
    assert_eq!(passing.hints, ALL);
    let mut last = End::open("last", XdpMode::Native, TAGS);
    last.program.claim_address(IpAddr::from(OTHER)).expect("claim");
    let mut source = Source::open();
    for tags in [&[CUSTOMER][..], &[SERVICE, CUSTOMER], &[]] {
        source.send(&frame(tags, OTHER));
        assert_eq!(last.next().0, frame(tags, OTHER), "no tag is lost or duplicated");
    }
    let counters = passing.program.counters().expect("counters");
    assert_eq!(counters.redirected(), 0);
    assert!(counters.of(Verdict::PassAddress) >= 3, "{counters:?}");
}

#[test]
fn each_frame_has_its_arrival_time_on_the_system_clock() {
    bridged();
    let mut end = End::open("linka", XdpMode::Native, ALL);
    assert_eq!(end.hints, ALL);
    let mut source = Source::open();
    // More frames than chunks: no frame has the timestamp of an earlier frame in the same chunk.
    for _ in 0..10_000 {
        let before = monotonic();
        source.send(&frame(&[], LOCAL));
        let stamp = end.next().1.stamp.expect("a time");
        let after = monotonic();
        assert!((before..=after).contains(&stamp.nanos), "{stamp:?}: {before} to {after}");
        assert!(!stamp.by_driver && !stamp.driver_is_foreign, "a veth has no timestamps");
    }
}

#[test]
fn each_frame_has_its_hash() {
    bridged();
    let mut end = End::open("linka", XdpMode::Native, ALL);
    Source::open().send(&frame(&[], LOCAL));
    let (hash, _) = end.next().1.hash.expect("a veth reports the kernel's hash");
    assert_ne!(hash, 0, "the kernel replaces a hash of 0 by 1");
}

#[test]
fn a_generic_program_has_timestamps_and_no_driver_metadata() {
    bridged();
    let mut end = End::open("linka", XdpMode::Generic, ALL);
    assert_eq!(end.hints, Hints { stamp: true, ..Hints::default() });
    let before = monotonic();
    Source::open().send(&frame(&[], LOCAL));
    let metadata = end.next().1;
    assert!(metadata.stamp.is_some_and(|it| (before..=monotonic()).contains(&it.nanos)));
    assert_eq!(metadata.hash, None);
}

#[test]
fn only_requested_metadata_is_written() {
    bridged();
    let mut end = End::open("linka", XdpMode::Native, TAGS);
    Source::open().send(&frame(&[], LOCAL));
    assert_eq!(end.next().1, Metadata::default());
}

/// Sends a server a frame of VLAN 5 and an untagged one and returns its drops. Both frames are
/// addressed to it and valid except for their TCP checksums.
fn drops_of(mode: &str) -> serde_json::Value {
    let net = Net::new();
    let (left, right) = (net.left(), net.right());
    sh(&format!(
        "ip -n {right} link add source numrxqueues 1 numtxqueues 1 type veth peer name inlet && \
         ip -n {right} link add bridge0 type bridge && \
         ip -n {right} link set inlet master bridge0 && \
         ip -n {right} link set veth0 master bridge0 && \
         for name in source inlet bridge0; do ip -n {right} link set $name up; done"
    ));
    let socket = std::env::temp_dir().join(format!("{left}.sock"));
    let control = format!("--control {}", socket.display());
    let service = format!("--address {LEFT_OWN}/24 --service discard:9 --claim off {mode}");
    let _server = net.serve(&format!("{service} {control}"));
    let mac = hardware_address(&left).0;
    net.on_right(move || {
        let mut source = Source::open();
        source.send(&frame_to(mac, &[CUSTOMER], LEFT_OWN.octets()));
        source.send(&frame_to(mac, &[], LEFT_OWN.octets()));
    });
    let mut drops = serde_json::Value::Null;
    eventually("both frames are counted", || {
        drops = linerate_json(&left, &format!("top --json --interval 1 {control}"))["drops"].take();
        let total = |name: &str| drops[name]["total"].as_u64().unwrap_or(0);
        total("not-ours") + total("tcp-checksum") >= 2
    });
    drops
}

#[test]
fn a_frame_of_a_vlan_is_not_accepted_as_untagged() {
    let drops = drops_of("");
    assert_eq!(drops["not-ours"]["total"], 1, "{drops}");
    assert_eq!(drops["tcp-checksum"]["total"], 1, "the untagged frame was processed: {drops}");
}

#[test]
fn without_the_hint_a_frame_of_a_vlan_looks_untagged() {
    let drops = drops_of("--xdp-mode generic");
    assert_eq!(drops["tcp-checksum"]["total"], 2, "the test above can fail: {drops}");
}

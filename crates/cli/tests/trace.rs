//! `linerate trace`: on a capture that the test builds frame by frame, and live.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Output};

use linerate::link::pcap::{Direction, Recorder};
use linerate::time::Instant;
use linerate::wire::checksum::PseudoHeader;
use linerate::wire::tcp::flag::{ACK, FIN, PSH, SYN};
use linerate::wire::{EtherType, MacAddr, Protocol, TrafficClass, ethernet, ipv4, tcp, vlan};

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// Builds a frame from one end to the other.
fn frame(src: Ipv4Addr, dst: Ipv4Addr, flags: u16, seq: u32, ack: u32, data: &[u8]) -> Vec<u8> {
    let port = |address| if address == CLIENT { 40_000 } else { 7 };
    let segment = tcp::HeaderOut {
        src_port: port(src),
        dst_port: port(dst),
        seq,
        ack,
        window: 1000,
        flags,
        ..tcp::HeaderOut::default()
    };
    let link = ethernet::Header {
        dst: MacAddr([2, 0, 0, 0, 0, 2]),
        src: MacAddr([2, 0, 0, 0, 0, 1]),
        ethertype: EtherType::IPV4,
        vlan: vlan::Tags::NONE,
    };
    let packet = ipv4::HeaderOut {
        src,
        dst,
        protocol: Protocol::TCP,
        ttl: 64,
        traffic_class: TrafficClass::default(),
        ident: 0,
        fragment: ipv4::Fragment::DONT,
    };
    let mut bytes = vec![0; 1514];
    let at = link.emit(&mut bytes).expect("the buffer is large enough");
    let length = segment.byte_len() + data.len();
    let at = at + packet.emit(length, &mut bytes[at..]).expect("the buffer is large enough");
    let pseudo = PseudoHeader::v4(src, dst);
    segment.emit(pseudo, (data, &[]), &mut bytes[at..]).expect("the buffer is large enough");
    bytes.truncate(at + length);
    bytes
}

/// A capture of one connection, removed when dropped.
struct Capture(PathBuf);

impl Capture {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("linerate-{name}-{}.pcap", std::process::id()));
        let recorder = Recorder::create(&path, core::time::Duration::ZERO).expect("it can be made");
        let frames = [
            frame(CLIENT, SERVER, SYN, 100, 0, &[]),
            frame(SERVER, CLIENT, SYN | ACK, 900, 101, &[]),
            frame(CLIENT, SERVER, ACK, 101, 901, &[]),
            frame(CLIENT, SERVER, PSH | ACK, 101, 901, b"hello"),
            frame(CLIENT, SERVER, FIN | ACK, 106, 901, &[]),
            frame(SERVER, CLIENT, PSH | ACK, 901, 107, b"hello"),
            frame(SERVER, CLIENT, FIN | ACK, 906, 107, &[]),
            frame(CLIENT, SERVER, ACK, 107, 907, &[]),
        ];
        for (index, bytes) in frames.iter().enumerate() {
            recorder.record(Instant::from_millis(index as u64), Direction::Out, bytes);
        }
        recorder.flush();
        drop(recorder);
        Self(path)
    }

    fn trace(&self, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_linerate"))
            .args(["trace", "--read"])
            .arg(&self.0)
            .args(more)
            .output()
            .expect("the binary is built")
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_ladder_of_a_capture_is_drawn_as_text() {
    let output = Capture::new("text").trace(&[]);
    let text = String::from_utf8(output.stdout).expect("it is text");
    assert_eq!(output.status.code(), Some(0));
    for word in [
        "three-way handshake",
        "SYN seq=0 (100)",
        "half-close",
        "PSH,ACK seq=1 ack=7 len=5",
        "four-way teardown",
        "TIME-WAIT",
        "LAST-ACK",
        "7.000 ms",
    ] {
        assert!(text.contains(word), "no `{word}` in\n{text}");
    }
    assert!(!text.contains("BAD CHECKSUM") && !text.contains("RETRANSMITTED"));
}

#[test]
fn the_ladder_is_printed_as_json_and_drawn_as_svg() {
    let capture = Capture::new("json");
    let drawing = capture.0.with_extension("svg");
    let output = capture.trace(&["--json", "--svg", drawing.to_str().expect("the path is text")]);
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(
        (&object["left"], &object["right"]),
        (&"10.0.0.1:40000".into(), &"10.0.0.2:7".into())
    );
    let segments = object["segments"].as_array().expect("it is a list");
    assert_eq!(segments.len(), 8);
    assert_eq!(segments[7]["left"], "TIME-WAIT");
    assert_eq!(segments[7]["right"], "CLOSED");
    let svg = std::fs::read_to_string(&drawing).expect("it was written");
    assert!(svg.starts_with("<svg") && svg.contains("four-way teardown"));
    std::fs::remove_file(&drawing).expect("it is ours");
}

#[test]
fn an_unknown_connection_or_an_invalid_capture_is_refused() {
    let capture = Capture::new("wrong");
    assert_eq!(capture.trace(&["--connection", "2"]).status.code(), Some(2));
    std::fs::write(&capture.0, b"not a capture").expect("it is ours");
    let output = capture.trace(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("to do:"));
}

/// Runs a live trace over a temporary veth pair. Needs root.
fn live(peer: &str) -> Vec<serde_json::Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_linerate"))
        .args(["trace", "--json", "--peer", peer])
        .output()
        .expect("the binary is built");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    object["segments"].as_array().expect("it is a list").clone()
}

#[test]
fn a_live_connection_shows_every_section_of_the_ladder() {
    for peer in ["linerate", "kernel"] {
        let segments = live(peer);
        let mut parts: Vec<&str> = segments.iter().filter_map(|it| it["part"].as_str()).collect();
        parts.dedup();
        let expected = ["three-way handshake", "data", "half-close", "four-way teardown"];
        assert_eq!(parts, expected, "{peer}: {segments:#?}");
        assert!(segments.iter().all(|it| it["intact"] == true && it["again"] == false), "{peer}");
        let last = segments.last().expect("it is not empty");
        assert_eq!((&last["left"], &last["right"]), (&"TIME-WAIT".into(), &"CLOSED".into()));
    }
}

//! Path MTU discovery by ICMP through whole shards: which errors are accepted, which connections
//! they affect, and for how long.

use super::raw::{IRS, PEER_PORT, Raw, ack, quoted_segment, syn};
use super::stage::{PORT, Stage, echo, target};
use crate::metrics::{DropReason, Event};
use crate::sim::Plan;
use crate::time::Duration;
use crate::wire::Protocol;
use crate::wire::icmp::v4;
use crate::wire::tcp::HeaderOut;

/// Accepts a connection from the peer's `port`. Returns the shard's initial sequence number.
fn accept(t: &mut Raw, port: u16) -> u32 {
    t.receives(&HeaderOut { src_port: port, ..syn() }, &[]);
    let iss = t.sent().remove(0).seq;
    t.receives(&HeaderOut { src_port: port, ..ack(IRS + 1, iss + 1) }, &[]);
    iss
}

/// Writes 2000 bytes. Returns the payload lengths of the segments that carry them.
fn write(t: &mut Raw) -> Vec<usize> {
    let conn = t.conn();
    t.with_io(move |io| assert_eq!(io.write(conn, &[0; 2000]), 2000));
    lengths(t)
}

/// Returns the payload lengths of the data segments sent since the last call.
fn lengths(t: &mut Raw) -> Vec<usize> {
    t.sent().iter().map(|got| got.len).filter(|len| *len > 0).collect()
}

/// Delivers a router's error: a packet of `length` bytes exceeds the MTU of its next hop.
fn too_big(t: &mut Raw, mtu: u16, port: u16, seq: u32, length: usize) {
    unreachable(t, v4::Unreachable::TooBig { mtu }, port, seq, length);
}

/// Delivers a router's ICMP error about a packet of `length` bytes.
fn unreachable(t: &mut Raw, reason: v4::Unreachable, port: u16, seq: u32, length: usize) {
    let quote = quoted_segment((PORT, port), seq, length - 20);
    let error = v4::Message::Unreachable { reason, quote: &quote };
    t.inject_ip(Protocol::ICMP, |bytes| error.emit(bytes).expect("room"));
    t.run_turns();
}

fn counted(t: &Raw, event: Event) -> u64 {
    t.shard.counters().counted(event)
}

#[test]
fn a_lowered_path_mtu_applies_to_all_connections_to_the_host_for_ten_minutes() {
    // RFC 1191 §6.3, RFC 8201 §5.2, §5.3
    let mut t = Raw::new(|_| {});
    let iss = accept(&mut t, PEER_PORT);
    assert_eq!(write(&mut t), [1000, 1000]);
    too_big(&mut t, 700, PEER_PORT, iss + 1, 1040);
    assert_eq!(lengths(&mut t).iter().max(), Some(&660), "and it is retransmitted");
    assert_eq!(counted(&t, Event::PathMtuLowered), 1);
    // A new connection starts with the known path MTU.
    accept(&mut t, 5001);
    assert_eq!(write(&mut t)[..2], [660, 660]);
    t.after_ms(600_000);
    t.sent();
    accept(&mut t, 5002);
    assert_eq!(write(&mut t)[..2], [1000, 1000], "the path may have changed");
}

#[test]
fn an_error_without_an_mtu_selects_the_next_lower_plateau() {
    // RFC 1191 §5
    let mut t = Raw::new(|_| {});
    let iss = accept(&mut t, PEER_PORT);
    assert_eq!(write(&mut t), [1000, 1000]);
    too_big(&mut t, 0, PEER_PORT, iss + 1, 1040);
    assert_eq!(lengths(&mut t).iter().max(), Some(&966), "1006 is the next lower plateau");
}

#[test]
fn an_error_that_quotes_no_data_in_flight_is_ignored() {
    // RFC 5927 §4.1, §7.2
    let mut t = Raw::new(|_| {});
    let iss = accept(&mut t, PEER_PORT);
    assert_eq!(write(&mut t), [1000, 1000]);
    for (mtu, port, seq) in [
        (700, PEER_PORT, iss),
        (700, PEER_PORT, iss + 2001),
        (700, PEER_PORT, iss.wrapping_sub(1 << 30)),
        (700, 4999, iss + 1),
        (1040, PEER_PORT, iss + 1),
        (1500, PEER_PORT, iss + 1),
    ] {
        too_big(&mut t, mtu, port, seq, 1040);
    }
    assert_eq!(t.shard.counters().dropped(DropReason::IcmpUnmatched), 6);
    assert_eq!((lengths(&mut t), counted(&t, Event::PathMtuLowered)), (vec![], 0));
}

#[test]
fn every_ipv4_packet_sets_dont_fragment() {
    // RFC 1191 §3: > the source host [...] sends all datagrams on that path with the DF bit set
    let mut stage = Stage::new(40, echo);
    let record = stage.world.record();
    let (_, tally) = stage.client(Plan::echo(target(false), 3, 5000));
    stage.finish(&tally, 3, Duration::from_secs(5));
    let frames = record.borrow();
    let packets: Vec<_> = frames.iter().filter(|frame| frame[12..14] == [8, 0]).collect();
    assert!(packets.len() > 30 && packets.iter().all(|frame| frame[20..22] == [0x40, 0]));
}

#[test]
fn unreachable_ends_only_the_handshake_that_it_quotes() {
    // RFC 9293 §3.9.2.2 (SHLD-26), RFC 5927 §4
    let mut t = Raw::new(|_| {});
    t.receives(&syn(), &[]);
    let iss = t.sent().remove(0).seq;
    for (seq, left) in [(iss + 1, 1), (iss, 0)] {
        unreachable(&mut t, v4::Unreachable::Host, PEER_PORT, seq, 44);
        assert_eq!(t.shard.connections(), left);
    }
}

//! Packetization layer path MTU discovery (RFC 4821): behaviour on a path that drops large packets
//! without ICMP.

use super::script::plain;
use super::{Script, ack, syn};
use crate::tcp::{MtuProbing, PathError, PathSizes, Settings};

const RTT_MS: u64 = 100;

/// Payload of packets of 1500, 1350 and 1200 bytes.
const FULL: u32 = 1460;
const MIDDLE: u32 = 1310;
const BASE: u32 = 1160;

fn open(probing: MtuProbing) -> Script {
    let settings =
        Settings { mss: [1460, 1440], mtu_probing: probing, send_buffer: 1 << 20, ..plain() };
    let mut t = Script::open(settings);
    t.sends_syn();
    t.after_ms(RTT_MS).gets(syn().ack(1).mss(1460).permits_sack());
    t.sent();
    t.events();
    t.c.rcv.quick = 0;
    t
}

/// Runs on a path with an MTU of `mtu` bytes: every segment that fits is acknowledged a round trip
/// later, in order, with SACK blocks. Returns the lengths sent and the lengths lost.
fn runs(t: &mut Script, mtu: u32, rounds: usize) -> (Vec<u32>, Vec<u32>) {
    let (mut all, mut lost) = (Vec::new(), Vec::new());
    // Ranges of bytes that have arrived.
    let mut have: Vec<core::ops::Range<u32>> = Vec::new();
    let mut una = t.c.snd.una.distance_from(t.iss());
    for _ in 0..rounds {
        let sent: Vec<_> = t.sent().into_iter().filter(|s| s.len > 0).collect();
        t.after_ms(RTT_MS);
        for segment in sent {
            let (seq, len) = (segment.seq, segment.len);
            all.push(len);
            if len + 40 > mtu {
                lost.push(len);
                continue;
            }
            have.push(seq..seq + len);
            have.sort_by_key(|range| range.start);
            while let Some(at) = have.iter().position(|r| r.start <= una && r.end > una) {
                una = have[at].end;
            }
            have.retain(|range| range.end > una);
            let mut answer = ack(una);
            let mut merged: Vec<core::ops::Range<u32>> = Vec::new();
            for range in &have {
                match merged.last_mut() {
                    Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                    _ => merged.push(range.clone()),
                }
            }
            for range in merged.into_iter().take(3) {
                answer = answer.sack(range);
            }
            t.gets(answer);
        }
    }
    (all, lost)
}

fn cwnd(t: &Script) -> u32 {
    t.c.recovery.controller.cwnd()
}

fn mss(t: &Script) -> u32 {
    t.c.snd.mss.into()
}

#[test]
fn at_r1_segments_shrink_to_the_base_size() {
    // RFC 4821 §7.7, RFC 8899 §5.1.2
    let mut t = open(MtuProbing::BlackHole).write(10 * FULL);
    assert!(t.sent().iter().all(|s| s.len == FULL));
    // The tail loss probe and the first two timeouts.
    while t.c.timeouts() < 3 {
        assert!(t.sent().iter().all(|s| s.len == FULL), "the loss may have another cause");
        t.after_ms(50);
    }
    let retransmitted = t.sent();
    assert!(retransmitted.iter().any(|s| (s.seq, s.len) == (1, BASE)), "{retransmitted:?}");
    assert_eq!(mss(&t), BASE);
    t.after_ms(RTT_MS).gets(ack(1 + FULL));
    let (_, lost) = runs(&mut t, 1200, 20);
    assert_eq!(lost, [0_u32; 0], "no more losses");
    assert_eq!(t.c.snd.una, t.c.snd.end);
    assert_eq!(t.c.take_path_mtu_event().map(|event| event.black_holes), Some(1));
}

#[test]
fn further_timeouts_lower_the_size_to_the_minimum() {
    // RFC 4821 §7.7
    let mut t = open(MtuProbing::BlackHole).write(10 * FULL);
    t.sent();
    t.after_ms(20_000);
    assert_eq!(mss(&t), 552 - 40);
}

#[test]
fn lost_small_segments_are_no_black_hole() {
    let mut t = open(MtuProbing::BlackHole).write(500);
    t.sent();
    t.after_ms(20_000);
    assert_eq!(mss(&t), FULL);
    let mut t = open(MtuProbing::Off).write(10 * FULL);
    t.after_ms(20_000);
    assert_eq!(mss(&t), FULL, "probing is off");
}

#[test]
fn a_search_starts_with_small_packets_and_one_full_size_probe() {
    // RFC 4821 §7.2, §7.6.1
    let mut t = open(MtuProbing::On).write(40 * FULL);
    let lengths: Vec<_> = t.sent().iter().map(|s| s.len).collect();
    assert_eq!(lengths.iter().filter(|len| **len == FULL).count(), 1, "{lengths:?}");
    assert!(lengths.iter().all(|len| [FULL, BASE].contains(len)), "{lengths:?}");
    let end = 1 + lengths.iter().sum::<u32>();
    t.after_ms(RTT_MS).gets(ack(end));
    assert_eq!(mss(&t), FULL);
    assert!(t.sent().iter().all(|s| s.len == FULL));
}

#[test]
fn a_probe_lost_alone_is_retransmitted_in_parts_without_congestion_response() {
    // RFC 4821 §7.6.2
    let mut t = open(MtuProbing::On).write(40 * FULL);
    let sent = t.sent();
    let probe = sent.iter().find(|s| s.len == FULL).expect("a probe").seq;
    assert_eq!(probe, 1);
    let before = cwnd(&t);
    t.after_ms(RTT_MS);
    for segment in &sent[1..5] {
        t.gets(ack(1).sack(probe + FULL..segment.seq + segment.len));
    }
    let retransmitted = t.sent();
    let lengths: Vec<_> = retransmitted.iter().take(2).map(|s| (s.seq, s.len)).collect();
    assert_eq!(lengths, [(1, BASE), (1 + BASE, FULL - BASE)]);
    assert!(cwnd(&t) >= before, "{} from {before}", cwnd(&t));
    assert_eq!(t.c.recovery.stage, crate::tcp::state::Stage::Open);
    let end = sent.last().map_or(0, |s| s.seq + s.len);
    t.after_ms(RTT_MS).gets(ack(end));
    // Not again at once: the wait is as many round trips as there are packets in cwnd (§7.6.2).
    assert!(t.sent().iter().all(|s| s.len <= BASE));
    let news = t.c.take_path_mtu_event().expect("news");
    assert_eq!((news.lost, news.sizes.search_high), (1, 1499));
}

#[test]
fn a_probe_lost_with_others_is_congestion_and_inconclusive() {
    // RFC 4821 §7.6.4
    let mut t = open(MtuProbing::On).write(40 * FULL);
    let sent = t.sent();
    let before = cwnd(&t);
    t.after_ms(RTT_MS);
    for segment in &sent[2..6] {
        t.gets(ack(1).sack(sent[2].seq..segment.seq + segment.len));
    }
    assert!(t.c.recovery.stage != crate::tcp::state::Stage::Open && cwnd(&t) < before);
    let end = sent.last().map_or(0, |s| s.seq + s.len);
    t.sent();
    t.after_ms(RTT_MS).gets(ack(end));
    assert_eq!(t.c.take_path_mtu_event(), None);
    let probed = t.sent().iter().any(|s| s.len == FULL);
    assert!(probed, "the same size is probed again");
}

#[test]
fn the_search_ends_close_below_the_path_mtu() {
    // RFC 4821 §7.3: only probes are lost, whatever the path MTU, and each of them alone.
    for mtu in [1200, 1357, 1499] {
        let mut t = open(MtuProbing::On);
        let mut lost = Vec::new();
        for _ in 0..60 {
            t.writes(40 * FULL);
            lost.extend(runs(&mut t, mtu, 4).1);
        }
        assert!(mtu - (mss(&t) + 40) < 8, "{} of {mtu}, lost {lost:?}", mss(&t) + 40);
        assert!(lost.len() <= 8, "{mtu}: {lost:?}");
        assert_eq!(t.c.timeouts(), 0);
    }
}

#[test]
fn a_probe_needs_data_behind_it_and_room_in_the_window() {
    // RFC 4821 §7.4
    let mut t = open(MtuProbing::On).write(FULL + 2 * BASE);
    assert!(t.sent().iter().all(|s| s.len <= BASE));
    let mut t = open(MtuProbing::On);
    t.gets(ack(1).window(4000));
    t.writes(40 * FULL);
    assert!(t.sent().iter().all(|s| s.len <= BASE));
}

#[test]
fn a_probe_waits_for_acks_to_open_the_window() {
    // RFC 4821 §7.4: > the returning ACKs can be used to prevent the window from falling
    let mut t = open(MtuProbing::Off).write(10 * FULL);
    let sent = t.sent();
    assert_eq!(sent.len(), 10);
    let sizes = PathSizes { eff_pmtu: 1200, search_low: 1200, search_high: 1500 };
    t.c.on_path_sizes(sizes);
    assert_eq!(mss(&t), FULL, "segments in flight may still arrive");
    t.after_ms(RTT_MS).gets(ack(1 + 10 * FULL));
    t.c.on_path_sizes(sizes);
    assert_eq!(mss(&t), BASE);
    let size = cwnd(&t);
    t.writes(60 * FULL);
    let sent = t.sent();
    let flight: u32 = sent.iter().map(|s| s.len).sum();
    assert!(sent.iter().any(|s| s.len == FULL) && flight + FULL > size);
}

#[test]
fn an_icmp_packet_too_big_sets_the_size() {
    // RFC 4821 §7.6.2: > search_high and eff_pmtu MAY be set from the MTU value indicated in the
    // message
    let mut t = open(MtuProbing::On).write(60 * FULL);
    let sent = t.sent();
    t.path_error(PathError::TooBig(1350), 1);
    assert_eq!(mss(&t), BASE, "segments that fit are not retransmitted");
    t.after_ms(RTT_MS);
    for segment in &sent[1..6] {
        t.gets(ack(1).sack(1 + FULL..segment.seq + segment.len));
    }
    let end = sent.last().map_or(0, |s| s.seq + s.len);
    t.sent();
    t.after_ms(RTT_MS).gets(ack(end));
    let (lengths, _) = runs(&mut t, 1350, 4);
    assert!(lengths.contains(&MIDDLE) && lengths.iter().all(|len| *len <= MIDDLE), "{lengths:?}");
}

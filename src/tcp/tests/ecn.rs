//! ECN feedback while data flows: RFC 3168 §6.1.2 to §6.1.6, RFC 9768 §3.2. ECN support itself is
//! SHLD-8 of RFC 9293 §3.8.2.

use super::ecn_opening::{client, responded, server};
use super::{Script, ack, data};
use crate::tcp::{ByteCounters, Codepoint, EcnPolicy, Flags};

use Codepoint::{Ce, Ect0, Ect1, NotEct};

fn classic() -> Script {
    let mut t = client(EcnPolicy::On, 0b001);
    t.sent();
    t
}

/// Returns a client in accurate mode, past its handshake and its first options.
fn accurate() -> Script {
    let first = ByteCounters { e0b: Some(1), ceb: Some(0), e1b: Some(1) };
    let mut t = client(EcnPolicy::Accurate, 0b010);
    assert_eq!(t.writes(100), 100);
    t.sent();
    t.gets(ack(101).ace(5).counts(first));
    t
}

#[test]
fn ect_is_on_new_data_alone() {
    // RFC 3168 §6.1.4, §6.1.5: no ECT on pure ACKs and retransmissions
    let mut t = classic();
    assert_eq!(t.writes(2000), 2000);
    assert!(t.sent().iter().all(|sent| sent.ecn == Ect0));
    t.after_ms(1500);
    assert!(t.sent().iter().all(|sent| sent.len == 0 || sent.ecn == NotEct));
    t.gets(ack(2001)).gets(data(1..11)).after_ms(100);
    assert_eq!(t.sent().last().map(|sent| (sent.len, sent.ecn)), Some((0, NotEct)));
}

#[test]
fn window_probes_carry_no_ect() {
    // RFC 3168 §6.1.6
    let mut t = classic();
    t.gets(ack(1).window(0));
    assert_eq!(t.writes(100), 100);
    t.after_ms(3_000);
    let probes = t.sent();
    assert!(!probes.is_empty() && probes.iter().all(|probe| probe.ecn == NotEct), "{probes:?}");
}

#[test]
fn a_mark_is_echoed_until_the_sender_has_reduced() {
    // RFC 3168 §6.1.3
    let mut t = classic();
    let echoes = |t: &mut Script| {
        t.after_ms(100);
        t.sent().last().map(|sent| sent.flags.contains(Flags::ECE))
    };
    t.gets(data(1..1001).came(Ect0));
    assert_eq!(echoes(&mut t), Some(false));
    t.gets(data(1001..2001).came(Ce));
    assert_eq!(echoes(&mut t), Some(true));
    t.gets(data(2001..3001).came(Ect0));
    assert_eq!(echoes(&mut t), Some(true));
    t.gets(data(3001..4001).came(Ect0).flag(Flags::CWR));
    assert_eq!(echoes(&mut t), Some(false));
    t.gets(data(4001..5001).came(Ce).flag(Flags::CWR));
    assert_eq!(echoes(&mut t), Some(true));
}

#[test]
fn an_echo_reduces_the_window_once_and_is_confirmed_by_cwr() {
    // RFC 3168 §6.1.2
    let mut t = classic();
    assert_eq!(t.writes(10_000), 10_000);
    assert!(t.sent().iter().all(|sent| !sent.flags.contains(Flags::CWR)));
    t.gets(ack(1001).flag(Flags::ECE));
    let first = responded(&t);
    assert_eq!(first, Some(10_001));
    t.gets(ack(2001).flag(Flags::ECE)).gets(ack(9001).flag(Flags::ECE));
    assert_eq!(responded(&t), first, "once for every window of data");
    assert_eq!(t.writes(3_000), 3_000);
    let sent = t.sent();
    let cwr: Vec<bool> = sent.iter().map(|sent| sent.flags.contains(Flags::CWR)).collect();
    assert!(cwr[0] && !cwr[1..].contains(&true), "{cwr:?}");
    t.gets(ack(10_001)).gets(ack(11_001).flag(Flags::ECE));
    assert_eq!(responded(&t), Some(13_001));
}

#[test]
fn cwr_also_follows_a_timeout() {
    // RFC 3168 §6.1.2: "reduces its congestion window for any reason"
    let mut t = classic();
    assert_eq!(t.writes(1000), 1000);
    t.after_ms(1500);
    let retransmitted = t.sent();
    assert!(
        retransmitted.iter().all(|sent| !sent.flags.contains(Flags::CWR)),
        "not on retransmissions"
    );
    t.gets(ack(1001));
    assert_eq!(t.writes(1000), 1000);
    assert!(t.sent()[0].flags.contains(Flags::CWR));
}

#[test]
fn every_mark_is_counted_and_a_change_is_acknowledged_at_once() {
    // RFC 9768 §3.2, §3.2.2.2, §3.2.2.5.1
    let mut t = accurate();
    t.gets(data(1..101).came(Ect0)).quiet();
    t.gets(data(101..201).came(Ce));
    let sent = t.sent();
    assert_eq!(sent.len(), 1, "change-triggered");
    assert_eq!(sent[0].ace(), 6);
    let counters = ByteCounters { e0b: Some(101), ceb: Some(100), e1b: None };
    assert_eq!(sent[0].rare.accecn, Some(counters));
    // Another mark without a change: acknowledged with the second segment at the latest.
    t.gets(data(201..301).came(Ce)).quiet();
    t.gets(data(301..401).came(Ce));
    assert_eq!(t.sent()[0].ace(), 0, "three bits of 8");
}

#[test]
fn marked_acks_are_acknowledged_every_third() {
    // RFC 9768 §3.2.2.5.1: "If there is no unacknowledged data at the receiver, 'n' SHOULD be 3"
    let mut t = accurate();
    t.gets(ack(101).ace(5).came(Ce)).gets(ack(101).ace(5).came(Ce)).quiet();
    t.gets(ack(101).ace(5).came(Ce));
    let sent = t.sent();
    assert_eq!((sent.len(), sent[0].ace(), sent[0].sack.len()), (1, 0, 0));
}

#[test]
fn the_option_carries_changed_counters_in_its_shortest_form() {
    // RFC 9768 §3.2.3.3
    let option = |marks: &[Codepoint]| {
        let mut t = accurate();
        for (at, mark) in (0..).zip(marks) {
            t.gets(data(1 + at * 10..11 + at * 10).came(*mark));
        }
        t.after_ms(100);
        t.sent().last().and_then(|sent| sent.rare.accecn)
    };
    let counters = |e0b, ceb, e1b| Some(ByteCounters { e0b, ceb, e1b });
    assert_eq!(option(&[NotEct]), None);
    assert_eq!(option(&[Ect0]), counters(Some(11), None, None));
    assert_eq!(option(&[Ect1]), counters(None, None, Some(11)));
    assert_eq!(option(&[Ce]), counters(Some(1), Some(10), None));
    assert_eq!(option(&[Ect1, Ce]), counters(None, Some(10), Some(11)));
    assert_eq!(option(&[Ect0, Ect1]), counters(Some(11), Some(0), Some(11)));
}

#[test]
fn sack_has_priority_over_the_option() {
    // RFC 9768 §3.2.3.3: the recovery of losses is more critical
    let mut t = Script::open(crate::tcp::Settings {
        ecn: EcnPolicy::Accurate,
        timestamps: true,
        ..super::script::plain()
    });
    t.sends_syn();
    t.gets(super::syn().mss(1000).permits_sack().stamp(100, 0).ace(0b010).ack(1));
    t.sent();
    for (range, mark) in [(101..201, Ect0), (301..401, Ect1), (501..601, Ce)] {
        t.gets(data(range).stamp(100, 0).came(mark));
    }
    let sent = t.sent();
    let last = sent.last().expect("an ACK");
    assert_eq!((last.sack.len(), last.rare.accecn), (3, None));
    assert_eq!(last.ace(), 6);
}

#[test]
fn reported_marks_reduce_the_window_once_per_round_trip() {
    // RFC 9768 §3.1.5, §3.2.2.2
    let mut t = accurate();
    assert_eq!(t.writes(10_000), 10_000);
    let sent = t.sent();
    assert!(sent.iter().all(|sent| sent.ecn == Ect0));
    t.gets(ack(1101).ace(6).counts(ByteCounters { e0b: Some(101), ceb: Some(1000), e1b: None }));
    let first = responded(&t);
    assert_eq!(first, Some(10_101));
    t.gets(ack(2101).ace(7).counts(ByteCounters { e0b: Some(101), ceb: Some(2000), e1b: None }));
    assert_eq!(responded(&t), first);
    t.gets(ack(10_101).ace(7));
    assert_eq!(t.writes(1000), 1000);
    // "MUST NOT set CWR to indicate that it has received and responded": the field is a count, here
    // 5.
    assert_eq!(t.sent()[0].ace(), 5);
    t.gets(ack(11_101).ace(0).counts(ByteCounters { e0b: Some(101), ceb: Some(3000), e1b: None }));
    assert_eq!(responded(&t), Some(11_101));
}

#[test]
fn a_superseded_ack_is_ignored() {
    // RFC 9768 §3.2.2.2, appendix A.1
    let mut t = accurate();
    assert_eq!(t.writes(3000), 3000);
    t.sent();
    t.gets(ack(2101).ace(5)).gets(ack(1101).ace(4));
    assert_eq!(responded(&t), None);
}

#[test]
fn without_options_a_possible_wrap_of_the_count_is_assumed() {
    // RFC 9768 §3.2.2.5.2, appendix A.2
    let mut t = server(ack(1).ace(0b010));
    assert_eq!(t.writes(10_000), 10_000);
    t.sent();
    t.gets(ack(9001).ace(5));
    assert_eq!(responded(&t), Some(10_001), "eight marks among nine segments look like none");
    let mut t = server(ack(1).ace(0b010));
    assert_eq!(t.writes(10_000), 10_000);
    t.sent();
    t.gets(ack(7001).ace(5));
    assert_eq!(responded(&t), None);
}

#[test]
fn marked_bytes_without_marked_packets_end_ect() {
    // RFC 9768 §3.2.3.2.5
    let mut t = accurate();
    assert_eq!(t.writes(3000), 3000);
    t.sent();
    t.gets(ack(1101).ace(5).counts(ByteCounters { e0b: Some(1), ceb: Some(1000), e1b: None }));
    t.gets(ack(3101).ace(5));
    assert_eq!(t.writes(100), 100);
    assert_eq!(t.sent().last().map(|sent| sent.ecn), Some(NotEct));
}

#[test]
fn retransmissions_carry_no_option() {
    // RFC 9768 §3.2.3.2.2: a path may drop segments with unknown options.
    let mut t = client(EcnPolicy::Accurate, 0b010);
    assert_eq!(t.writes(100), 100);
    let sent = t.sent();
    assert!(sent[1].rare.accecn.is_some());
    t.after_ms(3500);
    let retransmitted = t.sent();
    let data: Vec<_> = retransmitted.iter().filter(|sent| sent.len > 0).collect();
    assert!(!data.is_empty() && data.iter().all(|sent| sent.rare.accecn.is_none()));
}

//! Receiver side of SACK: RFC 2018 and RFC 2883, clause by clause.

use super::script::plain;
use super::{Script, ack, bare, data, fin, syn, text};
use crate::tcp::{Phase, Settings};

/// Returns a connection to a peer that permits SACK and sends timestamps.
fn stamped() -> Script {
    let settings = Settings { timestamps: true, ..plain() };
    Script::open(settings).shake_hands(syn().mss(1000).permits_sack().stamp(100, 0))
}

#[test]
fn a_syn_permits_sack_unless_disabled() {
    // RFC 2018 §2
    assert!(Script::open(plain()).sends_syn().options.sack_permitted);
    let settings = Settings { sack: false, ..plain() };
    let mut t = Script::open(settings);
    assert!(!t.sends_syn().options.sack_permitted);
    t.gets(syn().mss(1000).permits_sack().ack(1)).sends([bare(1)]);
    t.gets(data(11..21)).sends([bare(1).sack([])]);
}

#[test]
fn in_a_simultaneous_open_sack_needs_both_sides() {
    for permits in [true, false] {
        let mut t = Script::open(plain());
        t.sends_syn();
        let theirs = if permits { syn().mss(1000).permits_sack() } else { syn().mss(1000) };
        t.gets(theirs.no_ack()).is(Phase::SynReceived);
        let answer = t.sent();
        assert_eq!(answer[0].options.sack_permitted, permits);
    }
}

#[test]
fn without_permission_no_block_is_sent() {
    // RFC 2018 §4: "If the data receiver has not received a SACK-Permitted option for a given
    // connection, the data receiver MUST NOT send SACK options on that connection."
    let mut t = Script::established();
    t.gets(data(101..201)).sends([bare(1).sack([])]);
    t.gets(data(101..201)).sends([bare(1).sack([])]);
}

#[test]
fn every_ack_past_a_hole_starts_with_the_block_of_its_segment() {
    // RFC 2018 §4, and the example of §5, case 2
    let mut t = Script::selective();
    t.gets(data(501..1001)).sends([bare(1).sack([501..1001])]);
    t.gets(data(1001..1501)).sends([bare(1).sack([501..1501])]);
    t.gets(data(2001..2501)).sends([bare(1).sack([2001..2501, 501..1501])]);
    t.gets(data(3001..3501)).sends([bare(1).sack([3001..3501, 2001..2501, 501..1501])]);
    t.gets(data(1501..1601)).sends([bare(1).sack([501..1601, 3001..3501, 2001..2501])]);
    t.gets(data(1..501)).sends([bare(1601).sack([3001..3501, 2001..2501])]);
    t.gets(data(1601..2001)).sends([bare(2501).sack([3001..3501])]);
    t.gets(data(2501..3001)).sends([bare(3501).sack([])]);
}

#[test]
fn four_blocks_fit_alone_and_three_beside_timestamps() {
    // RFC 2018 §3
    let mut t = Script::selective();
    for start in [101, 301, 501, 701, 901] {
        t.gets(data(start..start + 10));
    }
    let sent = t.sent();
    assert_eq!(sent.last().unwrap().sack, [901..911, 701..711, 501..511, 301..311]);
    let mut t = stamped();
    for start in [101, 301, 501, 701, 901] {
        t.gets(data(start..start + 10).stamp(100, 0));
    }
    let sent = t.sent();
    assert_eq!(sent.last().unwrap().sack, [901..911, 701..711, 501..511]);
}

#[test]
fn data_carries_blocks_only_where_they_fit() {
    // RFC 2018 §4: "If sent at all, SACK options SHOULD be included in all ACKs".
    let mut t = Script::selective();
    t.gets(data(501..1001)).sends([bare(1)]);
    t.writes(980);
    t.sends([text(1..981).ack(1).sack([501..1001])]);
    t.writes(1000);
    t.sends([text(981..1981).ack(1).sack([])]);
    let mut t = stamped();
    t.writes(988);
    t.sends([1..989]);
    t.gets(data(501..1001).stamp(100, 0));
    t.writes(988);
    let (text, bare) = (text(989..1977).sack([]), bare(1).sack([501..1001]));
    t.sends([text, bare]);
}

#[test]
fn a_duplicate_segment_is_reported_once_and_at_once() {
    // RFC 2883 §4.1.1
    let mut t = Script::selective();
    t.gets(data(1..501)).gets(data(501..1001)).sends([bare(1001)]);
    let _ = t.receives(data(501..1001));
    t.sends([bare(1001).sack([501..1001])]);
    t.gets(data(1001..1501)).gets(data(1501..2001)).sends([bare(2001).sack([])]);
}

#[test]
fn a_duplicate_below_a_hole_is_reported_before_the_block_above() {
    // RFC 2883 §4.1.2
    let mut t = Script::selective();
    t.gets(data(1..1001)).gets(data(1001..1501)).sends([bare(1501)]);
    t.gets(data(2001..2501)).sends([bare(1501).sack([2001..2501])]);
    let _ = t.receives(data(1001..1501));
    t.sends([bare(1501).sack([1001..1501, 2001..2501])]);
}

#[test]
fn a_duplicate_past_a_hole_is_followed_by_the_block_that_holds_it() {
    // RFC 2883 §4.1.3, §4.2.1
    let mut t = Script::selective();
    t.gets(data(1501..2001)).gets(data(2001..2501)).gets(data(3001..3501)).sent();
    t.gets(data(2001..2501)).sends([bare(1).sack([2001..2501, 1501..2501, 3001..3501])]);
}

#[test]
fn of_a_partly_duplicate_segment_the_duplicate_part_is_reported() {
    // RFC 2883 §4.2.2
    let mut t = Script::selective();
    t.gets(data(1..501)).gets(data(501..1001)).sends([bare(1001)]);
    t.gets(data(501..1501)).sends([bare(1501).sack([501..1001])]);
    t.gets(data(2001..2501)).sends([bare(1501).sack([2001..2501])]);
    t.gets(data(2301..2801)).sends([bare(1501).sack([2301..2501, 2001..2801])]);
}

#[test]
fn adjacent_duplicates_are_reported_as_one() {
    let mut t = Script::selective();
    t.gets(data(1..1501)).sent();
    let _ = (t.receives(data(1..501)), t.receives(data(501..1001)));
    t.sends([bare(1501).sack([1..1001])]);
}

#[test]
fn a_duplicate_waits_for_a_segment_with_room() {
    let mut t = stamped();
    t.gets(data(1..501).stamp(100, 0)).gets(data(501..1001).stamp(100, 0)).sends([bare(1001)]);
    let _ = t.receives(data(501..1001).stamp(100, 0));
    t.writes(988);
    t.sends([text(1..989).sack([]), bare(1001).sack([501..1001])]);
}

#[test]
fn blocks_wrap_with_the_sequence_numbers() {
    let mut t =
        Script::open_at(plain(), 5, u32::MAX - 1000).shake_hands(syn().mss(1000).permits_sack());
    t.gets(data(501..1501)).sends([bare(1).sack([501..1501])]);
    t.gets(data(1..501)).sends([bare(1501).sack([])]);
    let _ = t.receives(data(801..1501));
    t.sends([bare(1501).sack([801..1501])]);
}

#[test]
fn syn_fin_and_data_past_the_window_are_no_duplicates() {
    let mut t = Script::selective();
    t.gets(data(1..101)).gets(fin(101)).sends([bare(102)]);
    let _ = (t.receives(syn().ack(1)), t.receives(fin(101)), t.receives(data(90_000..90_100)));
    assert!(t.sent().iter().all(|sent| sent.sack.is_empty()));
    t.gets(ack(1));
}

#[test]
fn blocks_without_permission_are_ignored() {
    let mut t = Script::established().write(3000);
    t.sends([1..1001, 1001..2001, 2001..3001]);
    t.gets(ack(1).sack(1001..2001)).gets(ack(1).sack(1001..3001)).quiet();
    t.gets(ack(1).sack(1001..3001)).sends([1..1001]);
}

//! Loss recovery with SACK: RACK-TLP (RFC 8985), PRR (RFC 9937), and undo of spurious recovery
//! (RFC 3522, RFC 5682, RFC 2883).

use super::ack;
use super::flights::{RTT_MS, after_the_first, in_flight, segments, timeouts, undone};
use crate::time::Duration;

#[test]
fn three_segments_past_a_hole_repair_it_at_once() {
    // RFC 8985 §6.2 step 4: "If RACK.segs_sacked >= DupThresh: Return 0".
    let mut t = in_flight(5);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 2)));
    t.gets(ack(1).sack(segments(2, 3))).quiet();
    t.gets(ack(1).sack(segments(2, 4))).sends([segments(1, 1)]);
}

#[test]
fn one_segment_past_a_hole_repairs_it_after_a_quarter_of_a_round_trip() {
    // RFC 8985 §6.2 step 4: "Return min(RACK.reo_wnd_mult * RACK.min_RTT / 4, SRTT)".
    let mut t = in_flight(2);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 2))).quiet();
    t.after_ms(RTT_MS / 4 - 1).quiet();
    t.after_ms(2).sends([segments(1, 1)]);
}

#[test]
fn only_missing_data_is_retransmitted() {
    let mut t = in_flight(8);
    t.after_ms(RTT_MS);
    for upto in 4..=8 {
        t.gets(ack(1).sack(segments(4, upto)).sack(segments(2, 2)));
    }
    t.sends([segments(1, 1), segments(3, 3)]);
    t.after_ms(RTT_MS).gets(ack(8001)).quiet();
    assert_eq!(t.deadline_ms(), None);
}

#[test]
fn a_lost_retransmission_is_repaired_without_a_timeout() {
    // RFC 8985 §3.1: RACK detects lost retransmissions by later data.
    let mut t = in_flight(4);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 4)));
    t = t.write(6000);
    let sent = t.sent();
    assert_eq!((sent[0].seq, sent[0].len), (1, 1000));
    let newest = sent.last().map(|s| s.seq + s.len).filter(|end| *end > 4001);
    let end = newest.expect("new data is sent while the hole is repaired");
    t.after_ms(RTT_MS).gets(ack(1).sack(2..end).sack(segments(2, 4)));
    t.gets(ack(1).sack(4001..end).sack(segments(2, 4)));
    t.after_ms(RTT_MS / 4 + 2);
    assert!(t.sent().iter().any(|s| s.seq == 1), "the hole is retransmitted again");
    assert_eq!(timeouts(&t), 0);
}

#[test]
fn rack_uses_the_rtt_of_the_latest_delivery() {
    // RFC 8985 §6.2 step 2: RACK.rtt is "the RTT of the most recently delivered segment", sent last
    // or not.
    let mut t = in_flight(10);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 2)));
    t.gets(ack(1).sack(segments(2, 3)));
    t.gets(ack(1).sack(segments(2, 3)).sack(segments(9, 9))).sends([segments(1, 1)]);
    // The fourth segment took 220 ms, so the tenth may too: it is not lost yet.
    t.after_ms(RTT_MS + 20).gets(ack(4001).sack(segments(9, 9)));
    let sent = t.sent();
    assert!(sent.iter().all(|s| s.seq < 9001), "{sent:?}");
    assert!(sent.iter().any(|s| s.seq == 4001), "{sent:?}");
}

#[test]
fn the_last_segment_is_probed_after_two_round_trips() {
    // RFC 8985 §7.2: PTO = 2 * SRTT; §7.3: the highest segment is retransmitted.
    let mut t = after_the_first(3);
    t.after_ms(2 * RTT_MS - 1).quiet();
    t.after_ms(1).sends([segments(4, 4)]);
    assert_eq!(timeouts(&t), 0);
    t.after_ms(RTT_MS).gets(ack(4001)).quiet();
}

#[test]
fn the_probe_carries_new_data_if_available() {
    // RFC 8985 §7.3: "Transmit the lowest sequence unsent segment of up to SMSS".
    let mut t = after_the_first(10).write(3000);
    t.quiet();
    t.after_ms(2 * RTT_MS).sends([segments(12, 12)]);
}

#[test]
fn after_the_probe_comes_the_timeout() {
    // RFC 8985 §7.3: one probe, then the RTO timer.
    let mut t = after_the_first(3);
    t.after_ms(2 * RTT_MS).sends([segments(4, 4)]);
    // RFC 6298 (2.3): SRTT = 100, RTTVAR = 37.5 after two round trips of 100: RTO = 250.
    t.after_ms(249).quiet();
    t.after_ms(2000);
    assert_eq!(t.sent().first().map(|s| s.seq), Some(1001));
    assert!(timeouts(&t) > 0);
}

#[test]
fn a_loss_that_the_probe_repairs_reduces_the_window() {
    // RFC 8985 §7.4.2: "invoke a congestion control response equivalent to a fast recovery".
    let mut t = after_the_first(10);
    let before = t.c.recovery.controller.cwnd();
    t.after_ms(2 * RTT_MS).sends([segments(11, 11)]);
    // New data is acknowledged past the flight at the time of the probe, and no duplicate was
    // reported.
    t.gets(ack(3001));
    t.writes(2000);
    t.sends([segments(12, 12), segments(13, 13)]);
    t.gets(ack(12_001));
    assert!(t.c.recovery.controller.cwnd() < before);
    assert!(t.c.recovery.controller.ssthresh() < u32::MAX);
}

#[test]
fn known_reordering_without_loss_causes_no_retransmission() {
    // RFC 8985 §6.2 step 3, step 4.
    let mut t = in_flight(10);
    t.after_ms(RTT_MS);
    // The first is overtaken by two: too few to mark it lost.
    t.gets(ack(1).sack(segments(2, 2))).gets(ack(1).sack(segments(2, 3)));
    t.gets(ack(3001)).quiet();
    // Now reordering is known, and more than three may overtake within a quarter of the round trip.
    for upto in 5..=9 {
        t.gets(ack(3001).sack(segments(5, upto)));
    }
    t.quiet();
    t.after_ms(RTT_MS / 8).gets(ack(10_001)).quiet();
    assert_eq!(t.c.retransmissions(), 0);
}

#[test]
fn a_timeout_marks_overdue_segments_and_sends_only_the_first() {
    // RFC 8985 §6.3, RFC 5681 §3.1.
    let mut t = after_the_first(10);
    t.after_ms(2 * RTT_MS).sends([segments(11, 11)]);
    t.after_ms(300 + RTT_MS * 4);
    let sent = t.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!((sent[0].seq, sent[0].len), (1001, 1000));
    assert_eq!(t.c.recovery.controller.cwnd(), 1000);
    t.gets(ack(2001)).sends([segments(3, 3), segments(4, 4)]);
}

#[test]
fn acks_of_original_segments_undo_a_timeout_caused_by_delay() {
    // RFC 5682 §3.1: the enhanced algorithm for SACK.
    let mut t = after_the_first(10).write(5000);
    t.after_ms(2 * RTT_MS).sends([segments(12, 12)]);
    t.after_ms(400);
    assert_eq!(t.sent().first().map(|s| s.seq), Some(1001));
    let small = t.c.recovery.controller.cwnd();
    t.gets(ack(2001));
    let new = t.sent();
    assert!(new.iter().all(|s| s.seq > 12_000), "step 2 (b): only new data: {new:?}");
    t.gets(ack(3001));
    assert_eq!(undone(&t), 1);
    assert!(small <= 1000);
    assert!(t.sent().iter().all(|s| s.seq > 12_000), "no old data is retransmitted");
}

#[test]
fn recovery_is_undone_when_all_its_segments_were_duplicates() {
    // RFC 2883 §4, RFC 3708: a D-SACK for each retransmission.
    let mut t = in_flight(6);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 4)));
    assert_eq!(t.sent().len(), 1);
    t.gets(ack(4001)).gets(ack(4001).sack(segments(1, 1)));
    assert_eq!(undone(&t), 1);
}

#[test]
fn blocks_of_unsent_data_are_ignored() {
    // RFC 2018 §3: blocks lie within the data sent.
    let mut t = in_flight(4);
    t.after_ms(RTT_MS);
    let backwards = core::ops::Range { start: 3001, end: 2001 };
    t.gets(ack(1).sack(5001..9001)).gets(ack(1).sack(backwards)).quiet();
    assert_eq!(t.c.in_flight(), 4000);
    t.gets(ack(4001)).quiet();
    assert_eq!(t.deadline_ms(), None);
}

#[test]
fn data_that_the_peer_reneges_on_is_retransmitted_after_a_timeout() {
    // RFC 2018 §8: the sender clears the SACKed marks when the timer expires.
    let mut t = in_flight(3);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(1, 3)));
    t.after_ms(5_000);
    assert!(t.sent().iter().any(|s| s.seq == 1));
    t.gets(ack(3001)).quiet();
}

#[test]
fn a_partly_sacked_segment_is_missing_its_rest() {
    // RFC 2018 §3: blocks report bytes, regardless of segment boundaries.
    let mut t = in_flight(3);
    t.after_ms(RTT_MS).gets(ack(1).sack(1501..2501));
    assert_eq!(t.c.in_flight(), 2000);
}

#[test]
fn the_scoreboard_is_released_when_nothing_is_in_flight() {
    let mut t = in_flight(3);
    assert!(t.c.recovery.flight.is_some());
    t.after_ms(RTT_MS).gets(ack(3001));
    assert!(t.c.recovery.flight.is_none());
    let rto = t.c.info(&t.settings).rto;
    assert!(rto >= Duration::from_millis(200));
}

#[test]
fn before_the_first_acknowledgment_the_probe_is_the_first_segment() {
    // RFC 4987 §3.6: a listener without room for the last ACK recognizes a SYN cookie only by that
    // segment.
    let mut t = in_flight(3).write(3000);
    t.sent();
    t.after_ms(2 * RTT_MS).sends([segments(1, 1)]);
    // The arrival of the rest is reported: nothing more is retransmitted.
    t.after_ms(RTT_MS).gets(ack(6001).sack(segments(1, 1))).quiet();
    assert_eq!(timeouts(&t), 0);
    assert_eq!(
        t.c.recovery.controller.ssthresh(),
        u32::MAX,
        "both copies arrived: nothing was lost"
    );
}

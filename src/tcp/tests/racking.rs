//! Losses detected by time, RFC 8985 §6 step by step, and their retransmission, RFC 6675 §5 (C).

use super::ack;
use super::flights::{
    RTT_MS, after_the_first, flight, in_flight, opened, segments, stamped_flight, stamped_segments,
    timeouts,
};
use super::script::plain;

/// Returns segments of 1000 bytes sent 10 ms apart, the last one 10 ms ago.
fn spaced(n: u32) -> super::Script {
    let mut t = opened(plain());
    for _ in 0..n {
        t.writes(1000);
        assert_eq!(t.sent().len(), 1);
        t.after_ms(10);
    }
    t
}

#[test]
fn the_rtt_of_a_spurious_retransmission_is_ignored() {
    // RFC 8985 §6.2 step 2, condition 2: "The segment was last retransmitted less than RACK.min_rtt
    // ago."
    let mut t = in_flight(6);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 4))).sends([segments(1, 1)]);
    t.after_ms(1).gets(ack(4001)).quiet();
    t.after_ms(RTT_MS / 2).quiet();
    assert_eq!(t.c.retransmissions(), 1, "5 and 6 are not marked lost");
}

#[test]
fn a_timestamp_echo_of_the_original_does_not_count_for_the_retransmission() {
    // RFC 8985 §6.2 step 2, condition 1: "The Timestamp Echo Reply field (TSecr) of the ACK's
    // timestamp option [...] indicates the ACK was not acknowledging the last retransmission of the
    // segment."
    let (mut t, first) = stamped_flight(6);
    t.after_ms(RTT_MS).gets(ack(1).sack(stamped_segments(2, 4)).stamp(2, first));
    t.sends([stamped_segments(1, 1)]);
    t.after_ms(RTT_MS).gets(ack(1 + 4 * 988).stamp(3, first)).quiet();
}

#[test]
fn an_original_that_arrives_after_later_ones_is_reordering() {
    // RFC 8985 §6.2 step 3: "If a never-retransmitted segment that's below RACK.fack is
    // (selectively or cumulatively) acknowledged, it has been delivered out of order."
    let mut t = in_flight(4);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(3, 3)));
    assert!(!flight(&t).reordering.seen);
    t.gets(ack(1).sack(segments(2, 3)));
    assert!(flight(&t).reordering.seen, "selectively");
    let mut t = in_flight(4);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 2))).gets(ack(2001));
    assert!(flight(&t).reordering.seen, "cumulatively");
}

#[test]
fn a_late_retransmission_is_no_reordering() {
    // RFC 8985 §6.2 step 3: "Segment.retransmitted is FALSE".
    let mut t = in_flight(6);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 4))).sends([segments(1, 1)]);
    t.after_ms(RTT_MS).gets(ack(4001));
    assert!(!flight(&t).reordering.seen);
}

#[test]
fn a_dsack_widens_the_reordering_window() {
    // RFC 8985 §6.2 step 4: "Receiving an ACK with a DSACK option indicates a possible spurious
    // retransmission, suggesting that RACK.reo_wnd may be too small."
    let mut t = in_flight(6);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 4))).sends([segments(1, 1)]);
    t.gets(ack(4001)).gets(ack(4001).sack(segments(1, 1)));
    t.gets(ack(4001).sack(segments(6, 6)));
    // 5 was sent with 6: (1 + 1) * min_RTT / 4.
    assert_eq!(t.deadline_ms(), Some(RTT_MS / 2));
    t.gets(ack(6001)).quiet();
}

#[test]
fn in_recovery_without_reordering_the_window_is_zero() {
    // RFC 8985 §6.2 step 4: "the RACK.reo_wnd is set to 0 both upon entering and during fast
    // recovery".
    let mut t = in_flight(8);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 4))).sends([segments(1, 1)]);
    t.gets(ack(1).sack(segments(6, 6)).sack(segments(2, 4)));
    assert_eq!(flight(&t).board.waiting(), 1000, "5 is lost at once");
}

#[test]
fn sequence_numbers_break_ties_of_equal_send_times() {
    // RFC 8985 §6.2 step 5: "The algorithm breaks timestamp ties by using the TCP sequence space".
    let mut t = in_flight(8);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(3, 5)));
    let board = &flight(&t).board;
    assert_eq!((board.waiting(), board.pipe()), (2000, 3000), "1 and 2 are lost, 6 to 8 are not");
}

#[test]
fn the_reordering_timer_waits_for_the_last_within_the_window() {
    // RFC 8985 §6.2 step 5: "This timer expires at the earliest moment when RACK would conclude
    // that all the unacknowledged segments within the reordering window were lost."
    let mut t = spaced(3);
    t.after_ms(90).gets(ack(1).sack(segments(3, 3))).quiet();
    // Sent 120 and 110 ms ago; RACK.rtt is 100, the reordering window 25.
    assert_eq!(t.deadline_ms(), Some(15));
    t.after_ms(14).quiet();
    t.after_ms(1).sends([segments(1, 1)]);
    assert_eq!(flight(&t).board.waiting(), 1000, "2 waits");
    t.after_ms(RTT_MS).gets(ack(1001).sack(segments(3, 3))).sends([segments(2, 2)]);
    assert_eq!(timeouts(&t), 0);
}

#[test]
fn an_ack_before_the_timer_detects_losses() {
    // RFC 8985 §6.2 step 5: "When an ACK is received or the RACK reordering timer expires".
    let mut t = spaced(4);
    t.after_ms(70).gets(ack(1).sack(segments(3, 3))).quiet();
    t.after_ms(6).gets(ack(1).sack(segments(3, 4))).sends([segments(1, 1)]);
    assert_eq!(flight(&t).board.waiting(), 0, "2 has 9 ms left");
}

#[test]
fn a_timeout_does_not_mark_recently_sent_segments() {
    // RFC 8985 §6.3: "RACK only marks the segment as lost if the time elapsed since the segment was
    // transmitted is at least the sum of the recent RTT and the reordering window."
    let mut t = after_the_first(2);
    let rto = t.c.info(&t.settings).rto.as_millis();
    t.after_ms(2 * RTT_MS).sends([segments(3, 3)]);
    t.after_ms(rto - 10);
    t.writes(1000);
    t.sends([segments(4, 4)]);
    t.after_ms(10).sends([segments(2, 2)]);
    assert_eq!(timeouts(&t), 1);
    let board = &flight(&t).board;
    assert_eq!((board.waiting(), board.pipe()), (1000, 2000), "3 is lost, 2 and 4 are in flight");
}

#[test]
fn clocks_of_milliseconds_and_microseconds_both_work() {
    // RFC 8985 §4 (2): "microsecond resolution is suitable for intra-data center traffic, and
    // millisecond granularity or finer is suitable for the Internet". A round trip of 200 µs:
    let mut t = opened(plain());
    let step = |t: &mut super::Script, us: u64| {
        t.now += crate::time::Duration::from_micros(us);
        while t.c.poll_deadline().is_some_and(|at| at <= t.now) {
            t.calls(|c, env| c.on_deadline(env));
        }
    };
    for round in 1..50u32 {
        t.writes(1000);
        t.sent();
        step(&mut t, 200);
        t.gets(ack(1 + round * 1000));
    }
    t.writes(3000);
    t.sent();
    step(&mut t, 200);
    t.gets(ack(49_001).sack(50_001..51_001));
    let due = t.c.poll_deadline().map_or(0, |at| at.since(t.now).as_micros());
    assert_eq!(due, 50, "a quarter of 200 µs");
    step(&mut t, 50);
    t.sends([49_001..50_001]);
}

#[test]
fn lost_segments_wait_for_congestion_control() {
    // RFC 8985 §9.3: "A segment marked as lost by RACK-TLP MUST NOT be retransmitted until
    // congestion control deems this appropriate."
    let mut t = in_flight(10);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(8, 10)));
    let sent = t.sent().len();
    assert!((1..=5).contains(&sent), "{sent} of 7");
    assert_eq!(flight(&t).board.waiting() as usize, (7 - sent) * 1000);
}

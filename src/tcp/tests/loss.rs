//! Loss recovery: the timer (RFC 6298), fast retransmit and NewReno (RFC 5681, RFC 6582).

use super::script::plain;
use super::{Script, ack, data, syn};
use crate::tcp::{CloseReason, Disposition, Phase, Settings};

/// Returns four segments in flight after a measured round trip of 100 ms.
fn four_in_flight() -> Script {
    let mut t = Script::established().write(4000);
    t.sends([1..1001, 1001..2001, 2001..3001, 3001..4001]);
    t
}

#[test]
fn the_timer_runs_from_the_first_segment_and_restarts_with_each_ack() {
    // RFC 6298 (5.1), (5.3)
    let mut t = four_in_flight();
    assert_eq!(t.deadline_ms(), Some(200));
    t.after_ms(50).gets(ack(1001));
    assert_eq!(t.deadline_ms(), Some(200));
    t.after_ms(50).gets(ack(4001));
    assert_eq!(t.deadline_ms(), None, "(5.2)");
}

#[test]
fn a_timeout_retransmits_the_first_segment_and_doubles() {
    let mut t = four_in_flight();
    for wait in [200, 400, 800, 1600] {
        t.after_ms(wait - 1).quiet();
        t.after_ms(1).sends([1..1001]);
    }
    assert_eq!(t.c.recovery.controller.cwnd(), 1000);
    assert_eq!(t.c.info(&t.settings).retransmissions, 4);
}

#[test]
fn the_timeout_never_exceeds_its_maximum() {
    let mut t = Script::established_with(|s| {
        s.rto_max = crate::time::Duration::from_secs(1);
        s.give_up_after = crate::time::Duration::from_secs(1000);
    })
    .write(10);
    t.after_ms(60_000).sent();
    assert!(t.deadline_ms() <= Some(1000));
}

#[test]
fn after_a_timeout_slow_start_retransmits_the_rest() {
    let mut t = four_in_flight();
    t.after_ms(200).sends([1..1001]);
    t.gets(ack(1001)).sends([1001..2001, 2001..3001]);
    t.gets(ack(3001)).sends([3001..4001]);
    t.gets(ack(4001)).quiet();
    assert_eq!(t.deadline_ms(), None);
}

#[test]
fn data_acknowledged_after_a_timeout_is_not_retransmitted() {
    let mut t = four_in_flight();
    t.after_ms(200).sends([1..1001]);
    t.gets(ack(4001)).quiet();
}

#[test]
fn new_data_fills_up_the_last_retransmission() {
    let mut t = Script::established().write(100);
    t.sends([1..101]);
    t.c.snd.wnd = 100; // no room for more until the timeout
    t.writes(200);
    t.quiet();
    t.gets(ack(1).window(60_000)).sends([101..301]);
    t.after_ms(200).sends([1..301]);
}

#[test]
fn karn_a_retransmission_gives_no_sample_and_keeps_the_backoff() {
    // RFC 6298 §3, §5
    let mut t = Script::established().write(1000);
    t.sends([1..1001]);
    t.after_ms(200).sends([1..1001]);
    t.after_ms(50).gets(ack(1001));
    t.writes(1000);
    t.sends([1001..2001]);
    assert_eq!(t.deadline_ms(), Some(400), "still backed off");
    t.after_ms(20).gets(ack(2001));
    t.writes(1000);
    t.sends([2001..3001]);
    assert_eq!(t.deadline_ms(), Some(200), "a valid sample resets the backoff");
}

#[test]
fn with_timestamps_a_retransmission_gives_a_sample() {
    // RFC 7323 §4.1
    let mut t = Script::established_with(|s| s.timestamps = true).write(988);
    let first = t.sent()[0].options.timestamps.map_or(0, |ts| ts.value);
    t.after_ms(200);
    let tsval = t.sent()[0].options.timestamps.map_or(0, |ts| ts.value);
    assert_eq!(tsval, first + 200);
    t.after_ms(30).gets(ack(989).stamp(101, tsval));
    let rto = t.c.info(&t.settings).rto;
    assert!(rto < crate::time::Duration::from_millis(400), "{rto:?}");
}

#[test]
fn the_timeout_follows_the_round_trip() {
    let mut t = Script::open(plain());
    t.sends_syn();
    t.after_ms(300).gets(syn().ack(1).mss(1000));
    t.sent();
    t.writes(10);
    t.sends([1..11]);
    // RFC 6298 (2.2): SRTT = 300, RTTVAR = 150, RTO = 300 + 4 * 150.
    assert_eq!(t.deadline_ms(), Some(900));
}

#[test]
fn the_connection_is_aborted_after_r2() {
    let mut t = Script::established().write(10);
    t.after_ms(119_999).is(Phase::Established);
    t.after_ms(1).is(Phase::Closed);
    assert_eq!(t.c.close_reason(), Some(CloseReason::TimedOut));
    assert_eq!(t.pool.in_use(), 0);
}

#[test]
fn an_acknowledgment_resets_r2() {
    let mut t = Script::established().write(20);
    t.after_ms(100_000).gets(ack(11)).sent();
    t.after_ms(60_000).is(Phase::Established);
}

#[test]
fn three_duplicate_acks_repair_the_hole_before_the_timer() {
    let mut t = four_in_flight();
    t.after_ms(100).gets(ack(1)).gets(ack(1)).quiet();
    t.gets(ack(1)).sends([1..1001]);
    t.gets(ack(4001)).quiet();
    assert_eq!(t.deadline_ms(), None);
}

#[test]
fn limited_transmit_sends_new_data_for_the_first_two_duplicates() {
    // RFC 3042
    let mut t = Script::established().write(20_000);
    assert_eq!(t.sent().len(), 10);
    t.gets(ack(1)).sends([10_001..11_001]);
    t.gets(ack(1)).sends([11_001..12_001]);
    t.gets(ack(1)).sends([1..1001]);
}

#[test]
fn fast_recovery_halves_and_inflates() {
    // RFC 5681 §3.2, ten segments in flight
    let mut t = Script::established().write(20_000);
    t.sent();
    for _ in 0..3 {
        t.gets(ack(1));
    }
    assert_eq!(t.c.recovery.controller.ssthresh(), 5000);
    assert_eq!(t.c.recovery.controller.cwnd(), 8000);
    t.sends([1..1001]);
    for _ in 0..2 {
        t.gets(ack(1)).quiet();
    }
    t.gets(ack(1)).sends([10_001..11_001]);
    t.gets(ack(1)).sends([11_001..12_001]);
}

#[test]
fn a_partial_ack_retransmits_the_next_hole() {
    // RFC 6582 §3.2 (3): 1 and 2001 are lost.
    let mut t = Script::established().write(6000);
    t.sent();
    for _ in 0..4 {
        t.gets(ack(1));
    }
    t.sends([1..1001]);
    t.gets(ack(2001)).sends([2001..3001]);
    t.gets(ack(6001)).quiet();
    assert_eq!(t.deadline_ms(), None);
    assert!(t.c.recovery.controller.cwnd() <= 3000);
}

#[test]
fn only_the_first_partial_ack_restarts_the_timer() {
    let mut t = Script::established().write(6000);
    t.sent();
    for _ in 0..3 {
        t.gets(ack(1));
    }
    t.sends([1..1001]);
    t.after_ms(100).gets(ack(1001)).sends([1001..2001]);
    assert_eq!(t.deadline_ms(), Some(200));
    t.after_ms(100).gets(ack(2001)).sends([2001..3001]);
    assert_eq!(t.deadline_ms(), Some(100));
}

#[test]
fn duplicates_of_our_own_retransmissions_start_no_recovery() {
    // RFC 6582 §3.2 (2)
    let mut t = four_in_flight();
    t.after_ms(200).sends([1..1001]);
    t.gets(ack(1001)).sends([1001..2001, 2001..3001]);
    for _ in 0..5 {
        t.gets(ack(1001));
    }
    let retransmitted: Vec<u32> = t.sent().iter().map(|s| s.seq).collect();
    assert!(!retransmitted.contains(&1001), "{retransmitted:?}");
}

#[test]
fn neither_data_nor_a_new_window_is_a_duplicate_ack() {
    // RFC 5681 §2 (b), (e)
    let mut t = four_in_flight();
    for i in 0..4 {
        t.gets(data(1 + i * 10..11 + i * 10).ack(1));
        t.gets(ack(1).window(50_000 + i as u16));
    }
    assert!(t.sent().iter().all(|s| s.len == 0));
}

#[test]
fn without_data_in_flight_there_are_no_duplicate_acks() {
    let mut t = Script::established();
    for _ in 0..5 {
        t.gets(ack(1));
    }
    t.writes(1000);
    t.sends([1..1001]);
}

#[test]
fn a_timeout_ends_fast_recovery() {
    let mut t = four_in_flight();
    for _ in 0..3 {
        t.gets(ack(1));
    }
    t.sends([1..1001]);
    t.after_ms(200).sends([1..1001]);
    t.gets(ack(1001)).sends([1001..2001, 2001..3001]);
}

#[test]
fn an_ack_from_before_a_timeout_is_accepted() {
    let mut t = four_in_flight();
    t.after_ms(200).sends([1..1001]);
    t.gets(ack(3001)).sends([3001..4001]);
    t.refuses(ack(4002), Disposition::BadAck);
}

#[test]
fn repair_works_across_the_wrap_of_sequence_numbers() {
    for iss in [u32::MAX - 500, u32::MAX - 1500, u32::MAX - 3999, u32::MAX - 1, u32::MAX] {
        let settings = Settings { send_buffer: 60_000, ..plain() };
        let mut t = Script::open_at(settings, iss, iss).shake_hands(syn().mss(1000));
        assert_eq!(t.writes(8000), 8000);
        assert_eq!(t.sent().len(), 8);
        for _ in 0..3 {
            t.gets(ack(1));
        }
        t.sends([1..1001]);
        t.gets(ack(4001)).sends([4001..5001]);
        t.after_ms(300).sends([4001..5001]);
        t.gets(ack(8001)).quiet();
        t.gets(data(2001..3001)).gets(data(1001..2001)).gets(data(1..1001));
        assert_eq!(t.reads(5000), 3000);
    }
}

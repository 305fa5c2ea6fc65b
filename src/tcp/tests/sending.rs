//! When data is sent: PSH, Nagle's algorithm, silly windows, write readiness.

use super::{Script, ack, data, text};
use crate::tcp::{BufferPool, Events};

#[test]
fn the_last_segment_of_a_write_carries_psh() {
    let mut t = Script::established().write(2500);
    let pushed: Vec<bool> = t.sent().iter().map(|s| s.flags.psh()).collect();
    assert_eq!(pushed, [false, false, true]);
}

#[test]
fn the_initial_window_is_ten_segments() {
    // RFC 6928
    let mut t = Script::established().write(20_000);
    assert_eq!(t.sent().len(), 10);
    t.gets(ack(2001)).sends([10_001..11_001, 11_001..12_001, 12_001..13_001, 13_001..14_001]);
}

#[test]
fn nagle_holds_a_small_segment_while_data_is_unacknowledged() {
    // RFC 9293 §3.7.4
    let mut t = Script::established_with(|s| s.nagle = true).write(10);
    t.sends([1..11]);
    t.writes(20);
    t.quiet();
    t.writes(970);
    t.quiet();
    t.writes(20);
    t.sends([11..1011]);
    t.gets(ack(1011)).sends([1011..1021]);
}

#[test]
fn the_ack_releases_data_held_by_nagle() {
    let mut t = Script::established_with(|s| s.nagle = true).write(10);
    t.sends([1..11]);
    t.writes(5);
    t.writes(5);
    t.gets(ack(11)).sends([11..21]);
}

#[test]
fn without_nagle_every_write_is_sent_at_once() {
    let mut t = Script::established_with(|s| s.nagle = true).write(10);
    t.calls(|c, env| c.set_nagle(env, false));
    t.sends([1..11]);
    t.writes(10);
    t.sends([11..21]);
}

#[test]
fn nagle_does_not_delay_data_before_a_fin() {
    let mut t = Script::established_with(|s| s.nagle = true).write(10);
    t.sends([1..11]);
    t.writes(10);
    t.quiet().closes().sends([text(11..21).fin()]);
}

#[test]
fn a_silly_window_is_not_filled() {
    // RFC 9293 §3.8.6.2.1: neither a full segment, nor all of the data, nor half of the largest
    // window.
    let mut t = Script::established();
    t.gets(ack(1).window(400)).gets(ack(1).window(100));
    t.c.snd.wnd_max = 60_000;
    assert_eq!(t.writes(5000), 5000);
    t.quiet();
    t.gets(ack(1).window(999)).quiet();
    t.gets(ack(1).window(1000)).sends([1..1001]);
}

#[test]
fn half_of_the_largest_window_allows_a_segment() {
    let mut t = Script::established();
    t.c.snd.wnd_max = 600;
    t.gets(ack(1).window(300));
    t.writes(5000);
    t.sends([1..301]);
}

#[test]
fn a_silly_window_is_used_after_the_override_timeout() {
    let mut t = Script::established();
    t.gets(ack(1).window(100));
    t.writes(5000);
    t.quiet();
    assert_eq!(t.deadline_ms(), Some(200));
    t.after_ms(200).sends([1..101]);
}

#[test]
fn the_last_data_is_sent_into_any_window() {
    let mut t = Script::established();
    t.gets(ack(1).window(100));
    t.writes(100);
    t.sends([1..101]);
}

#[test]
fn a_short_write_is_followed_by_writable() {
    let mut t = Script::established_with(|s| s.send_buffer = 10_000);
    assert_eq!(t.writes(12_000), 10_000);
    assert_eq!(t.c.write_room(&t.settings), 0);
    t.sent();
    t.gets(ack(1001));
    assert!(t.events().is_empty());
    t.gets(ack(3001));
    assert_eq!(t.events(), Events::WRITABLE);
    assert_eq!(t.c.write_room(&t.settings), 3000);
    t.gets(ack(4001));
    assert!(t.events().is_empty(), "reported once");
}

#[test]
fn a_program_without_memory_may_try_again_later() {
    let mut t = Script::established();
    t.pool = BufferPool::new(0);
    assert_eq!(t.writes(100), 0);
    t.quiet().after_ms(199);
    assert!(t.events().is_empty());
    t.after_ms(1).quiet();
    assert_eq!(t.events(), Events::WRITABLE);
}

#[test]
fn the_send_buffer_is_released_when_all_is_acknowledged() {
    let mut t = Script::established().write(3000);
    t.sent();
    assert!(t.pool.in_use() > 0);
    t.gets(ack(3001));
    assert_eq!(t.pool.in_use(), 0);
}

#[test]
fn after_a_long_pause_the_window_restarts() {
    // RFC 5681 §4.1
    let mut t = Script::established();
    let mut sent = 1;
    for _ in 0..4 {
        t.writes(20_000);
        let segments = t.sent();
        sent = segments.last().map_or(sent, |s| s.seq + s.len);
        t.after_ms(10).gets(ack(sent));
    }
    let grown = t.c.recovery.controller.cwnd();
    assert!(grown > 20_000);
    while t.c.snd.unsent() > 0 {
        sent = t.sent().last().map_or(sent, |s| s.seq + s.len);
        t.gets(ack(sent));
    }
    t.after_ms(1000);
    t.writes(40_000);
    assert_eq!(t.sent().len(), 10);
}

#[test]
fn data_of_both_directions_shares_segments() {
    let mut t = Script::established();
    for i in 0..5 {
        t.gets(data(1 + i * 10..11 + i * 10).ack(1 + i * 10));
        t.writes(10);
        t.sends([text(1 + i * 10..11 + i * 10).ack(11 + i * 10)]);
    }
}

#[test]
fn bursts_can_end_with_psh() {
    // RFC 9293 §3.9.1.2: PSH is a must on the last of what is queued (MUST-61); others may have it.
    let pushed = |least: Option<u8>| -> Vec<u32> {
        let mut t = Script::established_with(|s| s.push_bursts = least).write(20_000);
        t.sent().iter().filter(|s| s.flags.psh()).map(|s| s.seq + s.len).collect()
    };
    assert_eq!(pushed(None), [0_u32; 0]);
    // Within half of the congestion window of ten.
    assert_eq!(pushed(Some(2)), [5001, 10_001]);
}

#[test]
fn with_minshalls_variant_a_small_segment_waits_only_for_small_ones() {
    // RFC 9293 §3.7.4 names variants of Nagle's algorithm; this one is draft-minshall-nagle.
    for (by_small, third) in [(false, 0), (true, 500)] {
        let mut t = Script::established_with(|s| (s.nagle, s.nagle_by_small) = (true, by_small));
        t.writes(2500);
        let sent: u32 = t.sent().iter().map(|s| s.len).sum();
        assert_eq!(sent, 2000 + third);
        // Behind a small one, another waits.
        t.writes(100);
        assert_eq!(t.sent().len(), 0);
    }
}

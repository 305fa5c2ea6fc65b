//! Bounds that the program sets on one connection: buffers, MSS, low-water marks.

use super::script::plain;
use super::{Script, ack, bare, data, fin, rst, syn};
use crate::tcp::{Events, WindowShift};

const NONE: Events = Events(0);

#[test]
fn a_bounded_send_buffer_takes_no_more_and_reports_room() {
    // Linux, include/net/sock.h, sk_stream_memory_free: sk_wmem_queued < sk_sndbuf
    let mut t = Script::established();
    t.calls(|c, env| c.set_send_buffer(env, Some(4000)));
    assert_eq!(t.c.write_room(&t.settings), 4000);
    assert_eq!(t.writes(10_000), 4000);
    t.sends([1..1001, 1001..2001, 2001..3001, 3001..4001]);
    assert_eq!(t.events(), NONE);
    t.gets(ack(4001));
    assert_eq!(t.events(), Events::WRITABLE);
    t.calls(|c, env| c.set_send_buffer(env, Some(1)));
    assert_eq!(t.c.write_room(&t.settings), 2304, "the minimum");
    t.calls(|c, env| c.set_send_buffer(env, Some(u32::MAX - 1)));
    assert_eq!(t.c.write_room(&t.settings), 60_000, "the stack's maximum");
    t.calls(|c, env| c.set_send_buffer(env, None));
    assert_eq!(t.c.write_room(&t.settings), 60_000);
}

#[test]
fn a_smaller_receive_buffer_closes_the_window_as_data_arrives() {
    // RFC 9293 §3.8.6, SHLD-14: the right edge does not move to the left.
    let mut t = Script::established();
    t.calls(|c, env| c.set_receive_buffer(env, Some(5000)));
    let mut edge = 60_001;
    for at in (1..120_001).step_by(1000) {
        t.gets(data(at..at + 1000));
        assert_eq!(t.reads(1000), 1000);
        for sent in t.sent() {
            let next = sent.ack + u32::from(sent.window);
            assert!(next >= edge, "the edge moved from {edge} to {next}");
            assert!(sent.ack < 56_000 || sent.window <= 5000, "{sent:?}");
            edge = next;
        }
    }
    assert!(edge > 120_001, "the window is open: {edge}");
    t.calls(|c, env| c.set_receive_buffer(env, None));
    assert_eq!(t.sent().last().map(|sent| sent.window), Some(60_000), "a window update");
}

#[test]
fn a_bounded_receive_buffer_holds_no_more_than_its_bound() {
    let mut t = Script::established();
    t.calls(|c, env| c.set_receive_buffer(env, Some(5000)));
    for at in (1..60_001).step_by(1000) {
        t.gets(data(at..at + 1000));
        t.reads(1000);
    }
    t.sent();
    for at in (60_001..64_001).step_by(1000) {
        t.gets(data(at..at + 1000));
    }
    assert!(t.sent().last().is_some_and(|sent| sent.window <= 1000));
    assert!(t.pool.accounts().promised() <= 8192, "{}", t.pool.accounts().promised());
}

#[test]
fn a_receive_buffer_set_before_the_syn_sets_its_window_and_its_scale() {
    // RFC 7323 §2.3
    for (bytes, shift, window) in [(Some(8000), 0, 8000), (None, 4, 65_535), (Some(100), 0, 1152)] {
        let settings =
            crate::tcp::Settings { window_scaling: true, receive_buffer: 1 << 20, ..plain() };
        let mut t = Script::open(settings);
        t.calls(|c, env| c.set_receive_buffer(env, bytes));
        let sent = t.sends_syn();
        let expected = Some(WindowShift::from_offer(shift));
        assert_eq!((sent.options.window_shift, sent.window), (expected, window));
        // What the SYN has announced stays.
        t.calls(|c, env| c.set_receive_buffer(env, Some(1 << 19)));
        t.gets(syn().mss(1000).shift(7).ack(1));
        assert_eq!(t.c.rcv.shift.get(), shift);
    }
}

#[test]
fn an_mss_set_before_the_syn_bounds_the_announcement_and_the_segments() {
    // RFC 9293 §3.7.1, RFC 6691; Linux, net/ipv4/tcp_output.c, tcp_advertise_mss
    let mut t = Script::open(plain());
    t.calls(|c, env| c.set_mss_max(env, 600));
    assert_eq!(t.sends_syn().options.mss, Some(600));
    t.gets(syn().mss(1000).ack(1));
    t.sends([bare(1).at(1)]);
    assert_eq!(t.writes(1500), 1500);
    t.sends([1..601, 601..1201, 1201..1501]);
}

#[test]
fn an_mss_only_lowers_the_segments_of_an_open_connection() {
    let mut t = Script::established();
    t.calls(|c, env| c.set_mss_max(env, 500));
    assert_eq!(t.writes(1000), 1000);
    t.sends([1..501, 501..1001]);
    t.gets(ack(1001));
    t.calls(|c, env| c.set_mss_max(env, 900));
    assert_eq!(t.writes(500), 500);
    t.sends([1001..1501]);
    assert_eq!(t.c.info(&t.settings).mss, 500);
    t.calls(|c, env| c.set_mss_max(env, 1));
    assert_eq!(t.c.info(&t.settings).mss, 88, "the minimum");
}

#[test]
fn segments_in_flight_when_the_mss_shrinks_are_repaired_in_parts() {
    let mut t = Script::selective().write(4000);
    t.sends([1..1001, 1001..2001, 2001..3001, 3001..4001]);
    t.calls(|c, env| c.set_mss_max(env, 400)).quiet();
    let mut repaired = 1;
    for _ in 0..200 {
        t.after_ms(500);
        for sent in t.sent() {
            assert!(sent.len <= 400, "{sent:?}");
            if sent.seq <= repaired {
                repaired = repaired.max(sent.seq + sent.len);
            }
        }
        t.gets(ack(repaired));
        if repaired == 4001 {
            return;
        }
    }
    panic!("only {repaired} was repaired");
}

#[test]
fn unsent_bytes_above_the_mark_stop_the_program_until_half_of_it_is_left() {
    // Linux, include/net/tcp.h, __tcp_stream_memory_free
    let mut t = Script::established();
    t.calls(|c, env| c.set_unsent_low_water(env, Some(4000)));
    assert_eq!(t.c.write_room(&t.settings), 14_000, "cwnd lets 10 segments out at once");
    assert_eq!(t.writes(60_000), 14_000);
    assert_eq!(t.sent().len(), 10);
    assert_eq!((t.c.write_room(&t.settings), t.writes(1)), (0, 0));
    assert_eq!(t.events(), NONE);
    t.gets(ack(1001));
    assert_eq!(t.events(), NONE, "2,000 of the 4,000 leave now: exactly half is left");
    assert_eq!(t.sent().len(), 2);
    t.gets(ack(2001));
    assert_eq!(t.events(), Events::WRITABLE);
    assert!(t.c.write_room(&t.settings) >= 4000);
}

#[test]
fn a_window_update_wakes_a_program_that_waits_below_the_mark() {
    let mut t = Script::established();
    t.calls(|c, env| c.set_unsent_low_water(env, Some(1)));
    t.gets(ack(1).window(2000));
    assert!(t.writes(60_000) < 4000);
    t.sends([1..1001, 1001..2001]);
    t.gets(ack(2001).window(0));
    let _ = t.events();
    assert_eq!(t.writes(60_000), 0);
    t.gets(ack(2001).window(60_000));
    assert_eq!(t.events(), Events::WRITABLE);
    assert!(t.c.write_room(&t.settings) >= 10_000);
}

#[test]
fn without_a_mark_unsent_bytes_fill_the_send_buffer() {
    let mut t = Script::established();
    t.calls(|c, env| c.set_unsent_low_water(env, Some(1)));
    t.calls(|c, env| c.set_unsent_low_water(env, None));
    assert_eq!(t.writes(70_000), 60_000);
}

#[test]
fn data_below_the_receive_mark_is_not_reported() {
    // Linux, net/ipv4/tcp.c, tcp_stream_is_readable
    let mut t = Script::established();
    t.calls(|c, env| c.set_receive_low_water(env, 2500));
    t.gets(data(1..1001)).gets(data(1001..2001));
    assert_eq!(t.events(), NONE);
    t.gets(data(2001..2501));
    assert_eq!(t.events(), Events::READABLE);
    assert_eq!(t.reads(3000), 2500);
    // The data that fills a hole counts with all that follows it.
    t.gets(data(3501..5501));
    assert_eq!(t.events(), NONE);
    t.gets(data(2501..3501));
    assert_eq!(t.events(), Events::READABLE);
}

#[test]
fn a_fin_reports_the_rest_below_the_receive_mark() {
    let mut t = Script::established();
    t.calls(|c, env| c.set_receive_low_water(env, 2500));
    t.gets(data(1..11));
    assert_eq!(t.events(), NONE);
    t.gets(fin(11));
    let all = t.events();
    assert!(all.contains(Events::READABLE) && all.contains(Events::PEER_CLOSED), "{all:?}");
}

#[test]
fn a_reset_reports_the_rest_below_the_receive_mark() {
    let mut t = Script::established_with(|s| s.read_after_reset = true);
    t.calls(|c, env| c.set_receive_low_water(env, 2500));
    t.gets(data(1..11));
    assert_eq!(t.events(), NONE);
    t.gets(rst(11));
    assert!(t.events().contains(Events::READABLE));
    assert_eq!(t.reads(100), 10);
    assert!(t.events().contains(Events::CLOSED));
}

#[test]
fn a_receive_mark_beyond_the_buffer_reports_when_the_window_is_used_up() {
    // Linux, include/net/tcp.h, tcp_epollin_ready
    let mut t = Script::established();
    t.calls(|c, env| c.set_receive_low_water(env, u32::MAX));
    for at in (1..58_001).step_by(1000) {
        t.gets(data(at..at + 1000));
    }
    assert_eq!(t.events(), NONE);
    t.gets(data(58_001..59_001));
    assert_eq!(t.events(), Events::READABLE, "one more segment fits");
    t.reads(60_000);
    t.gets(data(59_001..60_001));
    assert_eq!(t.events(), NONE, "the window is open again");
}

#[test]
fn a_receive_mark_reports_when_memory_runs_out() {
    let mut t = Script::established();
    t.calls(|c, env| c.set_receive_low_water(env, 50_000));
    t.gets(data(1..4001));
    assert_eq!(t.events(), NONE);
    t.pool.set_limit(0);
    let refused = t.receives(data(4001..9001));
    assert_eq!(refused, crate::tcp::Disposition::NoBuffer);
    assert_eq!(t.events(), Events::READABLE);
}

#[test]
fn a_lowered_receive_mark_reports_what_waits() {
    // Linux, net/ipv4/tcp.c, tcp_set_rcvlowat
    let mut t = Script::established();
    t.calls(|c, env| c.set_receive_low_water(env, 5000)).gets(data(1..1001));
    t.calls(|c, env| c.set_receive_low_water(env, 2000));
    assert_eq!(t.events(), NONE);
    t.calls(|c, env| c.set_receive_low_water(env, 1));
    assert_eq!(t.events(), Events::READABLE);
    t.calls(|c, env| c.set_receive_low_water(env, 1));
    assert_eq!(t.events(), NONE, "once");
}

#[test]
fn options_that_bound_nothing_allocate_nothing() {
    let mut t = Script::established();
    t.calls(|c, env| {
        c.set_send_buffer(env, None);
        c.set_receive_buffer(env, None);
        c.set_unsent_low_water(env, None);
        c.set_receive_low_water(env, 1);
        c.set_hop_limit(None);
    });
    assert!(t.c.choices.is_none());
}

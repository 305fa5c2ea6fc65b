//! Flow control: our window, the peer's window, and zero windows (RFC 9293 §3.8.6).

use super::{Script, ack, bare, data, fin, text};
use crate::tcp::{CloseReason, Disposition, Phase};

#[test]
fn the_window_closes_as_the_buffer_fills_and_never_shrinks() {
    let mut t = Script::established_with(|s| s.receive_buffer = 4000);
    t.gets(data(1..1001)).gets(data(1001..2001)).sends([bare(2001).window(2000)]);
    t.gets(data(2001..3001)).gets(data(3001..4001)).sends([bare(4001).window(0)]);
}

#[test]
fn reading_a_little_of_a_full_buffer_sends_no_window_update() {
    // RFC 9293 §3.8.6.2.2
    let mut t = Script::established_with(|s| s.receive_buffer = 4000);
    for i in 0..4 {
        t.gets(data(1 + i * 1000..1001 + i * 1000));
    }
    t.sends([bare(4001).window(0)]);
    assert_eq!(t.reads(999), 999);
    t.quiet();
    assert_eq!(t.reads(1), 1);
    t.sends([bare(4001).window(1000)]);
}

#[test]
fn a_small_buffer_reopens_at_half() {
    let mut t = Script::established_with(|s| s.receive_buffer = 1000);
    t.gets(data(1..1001)).after_ms(40).sends([bare(1001).window(0)]);
    t.reads(499);
    t.quiet().reads(1);
    t.sends([bare(1001).window(500)]);
}

#[test]
fn a_half_open_window_needs_no_update() {
    let mut t = Script::established();
    t.gets(data(1..1001)).gets(data(1001..2001)).sends([bare(2001)]);
    assert_eq!(t.reads(5000), 2000);
    t.quiet();
    t.gets(data(2001..3001)).gets(data(3001..4001)).sends([bare(4001).window(58_000)]);
}

#[test]
fn the_offered_window_is_scaled() {
    // RFC 7323 §2.2: the window of the SYN is not scaled, so the first ACK may open it further.
    let settings = crate::tcp::Settings {
        timestamps: false,
        receive_buffer: 128 << 10,
        receive_buffer_initial: 128 << 10,
        ..Default::default()
    };
    let mut t = Script::open(settings);
    assert_eq!(t.sends_syn().window, 65_535);
    t.gets(super::syn().ack(1).shift(2)).sends([bare(1).window(65_535)]);
    assert_eq!(t.c.rcv.shift.get(), 1);
}

#[test]
fn data_past_the_window_is_not_accepted() {
    let mut t = Script::established_with(|s| s.receive_buffer = 1500);
    t.gets(data(1..1001)).gets(data(1001..2001)).sends([bare(1501).window(0)]);
    assert_eq!(t.reads(5000), 1500);
    t.sends([bare(1501).window(1500)]);
    t.refuses(data(3001..3002), Disposition::OutOfWindow).sends([bare(1501)]);
}

#[test]
fn the_peers_window_limits_sending() {
    let mut t = Script::established();
    t.gets(ack(1).window(2000));
    t.writes(5000);
    t.sends([1..1001, 1001..2001]);
    t.gets(ack(1001).window(2000)).sends([2001..3001]);
    t.gets(ack(1001).window(4000)).sends([3001..4001, 4001..5001]);
}

#[test]
fn an_old_segment_does_not_update_the_window() {
    // SND.WL1, SND.WL2
    let mut t = Script::established().write(2000);
    t.sent();
    t.gets(data(1..11).ack(1001).window(5000));
    t.gets(ack(2001).window(3000).seq(11));
    assert_eq!(t.c.snd.wnd, 3000);
    t.gets(data(11..21).ack(1001).window(9000));
    assert_eq!(t.c.snd.wnd, 3000, "an older ACK does not update the window");
    t.gets(data(21..31).ack(2001).window(100));
    assert_eq!(t.c.snd.wnd, 100, "newer data");
}

#[test]
fn a_zero_window_is_probed_after_one_rto_with_backoff() {
    let mut t = Script::established();
    t.gets(ack(1).window(0));
    t.writes(3000);
    t.quiet().after_ms(199).quiet();
    for wait in [1, 400, 800, 1600] {
        t.after_ms(wait).sends([1..2]);
        t.gets(ack(1).window(0)).quiet();
    }
}

#[test]
fn a_window_that_opens_is_filled_at_once_with_the_probed_byte_first() {
    let mut t = Script::established();
    t.gets(ack(1).window(0));
    t.writes(2500);
    t.after_ms(200).sends([1..2]);
    t.gets(ack(1).window(60_000)).sends([1..1001, 1001..2001, 2001..2501]);
    assert_eq!(t.deadline_ms(), Some(200));
}

#[test]
fn an_accepted_probe_byte_is_not_retransmitted() {
    let mut t = Script::established();
    t.gets(ack(1).window(0));
    t.writes(1500);
    t.after_ms(200).sends([1..2]);
    t.gets(ack(2).window(60_000)).sends([2..1002, 1002..1501]);
}

#[test]
fn a_probe_recovers_a_lost_window_update() {
    let mut t = Script::established().write(1000);
    t.sends([1..1001]);
    t.gets(ack(1001).window(0));
    t.writes(1000);
    assert_eq!(t.deadline_ms(), Some(200));
    t.after_ms(200).sends([1001..1002]);
    t.gets(ack(1002).window(5000)).sends([1002..2001]);
}

#[test]
fn a_zero_window_is_probed_as_long_as_the_peer_responds() {
    // RFC 9293 MUST-37
    let mut t = Script::established();
    t.gets(ack(1).window(0));
    t.writes(1000);
    for _ in 0..60 {
        let wait = t.deadline_ms().expect("a probe is due");
        t.after_ms(wait).sends([1..2]);
        t.gets(ack(1).window(0)).quiet();
    }
    t.is(Phase::Established).gets(ack(1).window(1000)).sends([1..1001]);
}

#[test]
fn a_zero_window_without_response_aborts_the_connection() {
    let mut t = Script::established();
    t.gets(ack(1).window(0));
    t.writes(1000);
    t.after_ms(119_999).is(Phase::Established).after_ms(1).is(Phase::Closed);
    assert_eq!(t.c.close_reason(), Some(CloseReason::TimedOut));
}

#[test]
fn a_window_that_shrinks_below_sent_data_is_probed() {
    let mut t = Script::established().write(3000);
    t.sends([1..1001, 1001..2001, 2001..3001]);
    t.gets(ack(1).window(0)).quiet();
    t.after_ms(200).sends([1..2]);
    t.gets(ack(3001).window(0)).quiet();
    t.writes(10);
    t.gets(ack(3001).window(100)).sends([3001..3011]);
}

#[test]
fn an_ack_stays_within_a_shrunken_window() {
    let mut t = Script::established().write(3000);
    t.sent();
    t.gets(data(1..11).window(500)).after_ms(40).sends([bare(11).at(501)]);
}

#[test]
fn a_probe_of_the_peer_is_acknowledged_and_its_ack_is_processed() {
    let mut t = Script::established_with(|s| s.receive_buffer = 1000).write(10);
    t.sends([1..11]);
    t.gets(data(1..1001)).after_ms(40).sends([bare(1001).window(0)]);
    t.refuses(data(1001..1002).ack(11), Disposition::OutOfWindow);
    t.sends([bare(1001).window(0)]);
    assert_eq!(t.deadline_ms(), None, "the ACK was processed");
}

#[test]
fn a_fin_in_a_closed_window_is_retransmitted_until_acknowledged() {
    let mut t = Script::established();
    t.gets(ack(1).window(0)).closes().sends([text(1..1).fin()]);
    t.gets(ack(1).window(0)).after_ms(200).sends([text(1..1).fin()]);
    t.gets(ack(1).window(500)).gets(fin(1).ack(1)).is(Phase::Closing);
    t.after_ms(1000);
    assert!(t.sent().iter().any(|s| s.flags.fin()));
}

#[test]
fn the_window_is_an_unsigned_number() {
    // RFC 9293 §3.1, MUST-1; and computed with 32 bits, REC-1
    let mut t = Script::established();
    t.gets(ack(1).window(u16::MAX));
    assert_eq!((t.c.snd.wnd, t.c.snd.window_from(t.iss() + 1)), (65_535, 65_535));
}

#[test]
fn a_shrunken_window_gets_retransmissions_and_no_new_data() {
    // RFC 9293 §3.8.6, MUST-34, SHLD-15, SHLD-16
    let mut t = Script::established().write(3000);
    t.sends([1..1001, 1001..2001, 2001..3001]);
    t.gets(ack(1).window(1500));
    t.writes(5000);
    t.quiet();
    let wait = t.deadline_ms().expect("the retransmission timer runs");
    t.after_ms(wait).sends([1..1001]);
    t.gets(ack(1001).window(500));
    assert!(t.sent().iter().all(|sent| sent.seq + sent.len <= 1501), "within the window");
}

#[test]
fn data_past_a_shrunken_right_edge_does_not_time_out_the_connection() {
    // RFC 9293 §3.8.6, SHLD-17, MUST-35: the window shrinks to zero, the peer answers every probe.
    let mut t = Script::established().write(3000);
    t.sends([1..1001, 1001..2001, 2001..3001]);
    t.gets(ack(1).window(0));
    let began = t.now;
    while t.now.since(began) < crate::time::Duration::from_secs(600) {
        let wait = t.deadline_ms().expect("a probe is due");
        t.after_ms(wait);
        assert_eq!(t.sent().len(), 1);
        t.gets(ack(1).window(0));
    }
    t.is(Phase::Established).gets(ack(3001).window(1000)).quiet();
}

#[test]
fn a_reset_is_accepted_in_a_closed_window() {
    // RFC 9293 §3.4, MUST-66; with data too, SHLD-2
    for segment in [super::rst(1001), data(1001..1011).flag(crate::tcp::Flags::RST)] {
        let mut t = Script::established_with(|s| s.receive_buffer = 1000);
        t.gets(data(1..1001)).after_ms(40).sends([bare(1001).window(0)]);
        t.gets(segment).is(Phase::Closed);
    }
}

#[test]
fn a_receiver_may_keep_its_window_closed_forever() {
    // RFC 9293 §3.8.6.1, MAY-8: every probe is answered, and nothing else happens.
    let mut t = Script::established_with(|s| s.receive_buffer = 1000);
    t.gets(data(1..1001)).after_ms(40).sends([bare(1001).window(0)]);
    for _ in 0..100 {
        t.after_ms(60_000).quiet();
        t.refuses(data(1001..1002), Disposition::OutOfWindow).sends([bare(1001).window(0)]);
    }
    t.is(Phase::Established);
}

#[test]
fn a_window_limit_applies_without_shrinking_the_offered_window() {
    // RFC 9293 §3.8.6: the right edge never moves left.
    let mut t = Script::established();
    t.calls(|c, env| c.set_window_max(env, Some(3000)));
    let mut at = 1;
    let mut last = 60_000;
    while at < 58_000 {
        t.gets(data(at..at + 1000)).gets(data(at + 1000..at + 2000));
        t.reads(2000);
        at += 2000;
        let advertised = t.sent().last().expect("an ACK").window;
        assert!(u32::from(advertised) + 2000 >= last, "{advertised} after {last}");
        last = advertised.into();
    }
    for _ in 0..5 {
        t.gets(data(at..at + 1000)).gets(data(at + 1000..at + 2000));
        t.reads(2000);
        at += 2000;
        assert!((1000..=3000).contains(&t.sent().last().expect("an ACK").window));
    }
    t.calls(|c, env| c.set_window_max(env, None));
    t.gets(data(at..at + 1000)).gets(data(at + 1000..at + 2000));
    assert!(t.sent().last().expect("an ACK").window > 50_000);
}

#[test]
fn the_window_can_grow_as_the_program_reads() {
    let mut t = Script::established_with(|s| {
        (s.receive_buffer, s.receive_buffer_initial) = (60_000, 60_000);
        s.window_opening = Some(10_000);
    });
    // The SYN has advertised everything that fits its field.
    let mut at = 1;
    while at < 59_000 {
        t.gets(data(at..at + 1000)).gets(data(at + 1000..at + 2000));
        at += 2000;
        let advertised = u32::from(t.sent().last().expect("an ACK").window);
        assert_eq!(advertised, 60_001 - at, "nothing is read, so the edge stays");
    }
    assert_eq!(t.reads(5_000), 5_000);
    t.sent();
    assert_eq!(t.c.rcv.wnd(), 5_000, "all the free space");
}

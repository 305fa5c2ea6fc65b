//! Proportional rate reduction in segments: RFC 9937 §6, in place of RFC 6675 §5 (4.2), (C); it
//! preserves congestion control (RFC 2018 §5.1).

use super::flights::{RTT_MS, cwnd, flight, in_flight, opened, segments, ssthresh};
use super::script::plain;
use super::{Script, ack, syn};
use crate::tcp::{EcnPolicy, Flags};

/// Returns twenty segments in flight with more to send, and their first sequence number.
fn twenty() -> (Script, u32) {
    let mut t = opened(plain()).write(10_000);
    t.sent();
    t.after_ms(RTT_MS).gets(ack(5001)).gets(ack(10_001));
    let t = t.write(50_000);
    (t, 10_001)
}

#[test]
fn the_flight_shrinks_to_ssthresh_while_segments_are_sent_in_proportion() {
    // RFC 9937 §6.2: "sndcnt = CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out"; §6.1: data
    // SACKed before does not count in RecoverFS; §6.3: prr_out counts everything sent.
    let (mut t, first) = twenty();
    let sent = t.sent().len() as u32;
    assert_eq!(sent, 20);
    let at = |k: u32| first + (k - 1) * 1000;
    t.after_ms(RTT_MS).gets(ack(first).sack(at(2)..at(3))).gets(ack(first).sack(at(2)..at(4)));
    // Two were SACKed before, and limited transmit sent two new segments for them.
    let limited = t.sent().len() as u32;
    assert_eq!(limited, 2);
    let recover_fs = 22_000 - 3_000 + 1_000;
    let (mut delivered, mut out) = (0, 0);
    for got in 4..=20 {
        t.gets(ack(first).sack(at(2)..at(got + 1)));
        let target = ssthresh(&t);
        assert_eq!(target, 11_000, "half of FlightSize");
        delivered += 1000;
        let in_flight = t.c.in_flight();
        if in_flight <= target {
            break;
        }
        let share = (delivered * u64::from(target)).div_ceil(recover_fs) as u32;
        let count = share.saturating_sub(out * 1000);
        let count = if out == 0 && count == 0 { 1000 } else { count };
        assert_eq!(cwnd(&t), in_flight + count, "{got}");
        let sent = t.sent();
        assert!(sent.len() as u32 * 1000 <= count.max(1000));
        if got == 4 {
            assert_eq!(sent[0].seq, first, "the lost segment first, at once");
        }
        out += sent.len() as u32;
    }
    assert!((7..=9).contains(&out), "{out}: eleven for twenty delivered");
}

#[test]
fn below_ssthresh_at_most_the_delivered_bytes_are_sent_plus_one_segment_on_progress() {
    // RFC 9937 §6.2: "PRR-CRB by default"; "PRR-SSRB when recovery is in good progress", with
    // SafeACK = "SND.UNA advances and no further loss indicated"; "attempt to catch up, as
    // permitted".
    let mut t = in_flight(10);
    // All but the last three are lost.
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(8, 10)));
    assert_eq!(ssthresh(&t), 5000);
    let first = t.sent().len() as u32;
    assert_eq!(first, 3, "three delivered, three sent");
    // The first arrives: SND.UNA advances.
    t.after_ms(RTT_MS).gets(ack(1001).sack(segments(8, 10)));
    assert_eq!(t.sent().len(), 2, "one for it and one extra");
    t.gets(ack(2001).sack(segments(8, 10)));
    assert!(t.c.in_flight() <= 5000);
    let rest = t.sent().len() as u32;
    assert!(first + 2 + rest <= 7);
}

#[test]
fn the_end_of_recovery_leaves_cwnd_at_ssthresh() {
    // RFC 9937 §6.4: "On the completion of a PRR episode [...] cwnd = ssthresh".
    let mut t = in_flight(10);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 10))).sends([segments(1, 1)]);
    t.after_ms(RTT_MS).gets(ack(10_001));
    assert_eq!(ssthresh(&t), 5000);
    assert!((5000..=6000).contains(&cwnd(&t)), "{}", cwnd(&t));
}

#[test]
fn an_ack_that_delivers_nothing_releases_nothing() {
    // RFC 9937 §6.2: "if DeliveredData is 0: Return".
    let (mut t, first) = twenty();
    t.sent();
    t.after_ms(RTT_MS).gets(ack(first).sack(first + 1000..first + 5000));
    t.sent();
    let before = cwnd(&t);
    for _ in 0..10 {
        t.gets(ack(first).sack(first + 1000..first + 5000)).quiet();
    }
    assert_eq!(cwnd(&t), before);
    assert!(flight(&t).board.pipe() > ssthresh(&t));
}

/// Returns ten segments in flight and more to send, to a peer with ECN and SACK.
fn ten_with_ecn() -> Script {
    let mut settings = plain();
    settings.ecn = EcnPolicy::On;
    let mut t = Script::open(settings);
    t.sends_syn();
    t.after_ms(RTT_MS).gets(syn().ack(1).mss(1000).permits_sack().flag(Flags::ECE));
    t.sent();
    let mut t = t.write(60_000);
    assert_eq!(t.sent().len(), 10);
    t
}

#[test]
fn a_congestion_echo_shrinks_the_flight_within_one_round_trip() {
    // RFC 3168 §6.1.2, by RFC 9937 §6.2.
    let mut t = ten_with_ecn();
    t.after_ms(RTT_MS);
    let mut sent = 0;
    for acked in 1..=9 {
        t.gets(ack(1 + acked * 1000).flag(Flags::ECE));
        sent += t.sent().len() as u32;
        assert!(sent * 2 + 2 >= acked, "{sent} for {acked}: ACK clocking continues");
        assert!(t.c.in_flight() <= 10_000 - acked * 1000 + sent * 1000);
    }
    // In slow start a mark leaves what a loss would leave.
    assert_eq!(ssthresh(&t), 5_000);
    assert_eq!(t.c.in_flight(), 5_000);
    t.gets(ack(10_001));
    assert_eq!(cwnd(&t), 5_000);
}

#[test]
fn an_ack_with_a_congestion_echo_releases_at_most_what_arrived() {
    // RFC 9937 §6.2: PRR-CRB; an echo is no sign of good progress. Little of the window is in use.
    let mut t = ten_with_ecn();
    t.after_ms(RTT_MS).gets(ack(8001).flag(Flags::ECE));
    assert_eq!(ssthresh(&t), 5_000);
    assert_eq!(cwnd(&t), 5_000, "2000 in flight, and no more than ssthresh");
    let sent = t.sent().len();
    assert_eq!(sent, 3);
}

#[test]
fn a_loss_after_an_echo_in_the_same_window_reduces_the_window_again() {
    let mut t = ten_with_ecn();
    t.after_ms(RTT_MS).gets(ack(2001).flag(Flags::ECE));
    t.sent();
    t.gets(ack(2001).sack(3001..6001));
    assert_eq!(t.sent()[0].seq, 2001, "repaired at once");
    // RFC 5681 §3.2 (2): half of FlightSize, of which two left and one was added after the echo.
    assert!(flight(&t).reducing.is_none());
    assert_eq!(ssthresh(&t), 4_500);
}

#[test]
fn echoes_reduce_the_window_down_to_one_segment() {
    // RFC 3168 §6.1.2: "if the congestion window consists of only one MSS"
    let mut t = ten_with_ecn();
    let mut acked = 1;
    for _ in 0..8 {
        acked += t.c.in_flight();
        t.after_ms(RTT_MS).gets(ack(acked).flag(Flags::ECE));
        t.sent();
    }
    assert_eq!(t.c.in_flight(), 1_000);
}

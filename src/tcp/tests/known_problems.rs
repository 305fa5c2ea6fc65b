//! Known problems of TCP implementations (RFC 2525), one test each: the behaviour without the
//! problem.

use super::script::plain;
use super::{Script, ack, bare, data, fin, syn, text};
use crate::tcp::congestion::Algorithm;
use crate::tcp::{Disposition, Flags, KeepAlive, Phase, Settings};
use crate::time::Duration;

fn cwnd(t: &Script) -> u32 {
    t.c.info(&t.settings).cwnd
}

#[test]
fn the_first_flight_is_limited_to_the_initial_window() {
    // §2.1, no initial slow start; §2.3, uninitialized CWND; RFC 5681 §3.1
    for window in [1, 4, 10] {
        let mut t = Script::established_with(|s| s.initial_window = window).write(50_000);
        assert_eq!((cwnd(&t), t.sent().len()), (u32::from(window) * 1000, usize::from(window)));
    }
}

#[test]
fn after_a_timeout_slow_start_begins_with_one_segment() {
    // §2.2, no slow start after retransmission timeout; §2.14, retransmission sends multiple
    // packets
    let mut t = Script::established().write(10_000);
    assert_eq!(t.sent().len(), 10);
    t.after_ms(200).sends([1..1001]);
    assert_eq!(cwnd(&t), 1000);
    t.gets(ack(1001));
    assert_eq!(t.sent().len(), 2);
}

#[test]
fn retransmissions_carry_the_original_bytes() {
    // §2.4, inconsistent retransmission: the script checks every byte.
    let mut t = Script::established().write(2500);
    t.sends([1..1001, 1001..2001, 2001..2501]);
    t.path_error(crate::tcp::PathError::TooBig(540), 1);
    for _ in 0..4 {
        t.after_ms(1000);
    }
    t.gets(ack(700));
    t.after_ms(10_000);
    assert!(t.sent().iter().any(|sent| sent.seq == 700));
}

#[test]
fn data_past_a_hole_is_retained() {
    // §2.5, failure to retain above-sequence data
    let mut t = Script::established();
    t.gets(data(1001..2001)).gets(data(2001..3001)).sent();
    t.gets(data(1..1001)).sends([bare(3001)]);
    assert_eq!(t.reads(10_000), 3000);
}

/// Ten segments in flight, NewReno, ssthresh set by three duplicate ACKs of one loss.
fn recovered() -> Script {
    let mut t = Script::established_with(|s| {
        s.congestion = Algorithm::NewReno;
        s.send_buffer = 200_000;
    })
    .write(200_000);
    assert_eq!(t.sent().len(), 10);
    for _ in 0..9 {
        t.gets(ack(1));
    }
    let end = t.sent().iter().map(|sent| sent.seq + sent.len).max().unwrap_or(0).max(10_001);
    t.gets(ack(end));
    t
}

#[test]
fn congestion_avoidance_adds_one_segment_per_round_trip_without_a_constant() {
    // §2.6, extra additive constant in congestion avoidance
    let mut t = recovered();
    let mut avoided = 0;
    for _ in 0..8 {
        let info = t.c.info(&t.settings);
        for sent in t.sent() {
            t.gets(ack(sent.seq + sent.len));
        }
        if info.cwnd >= info.ssthresh {
            avoided += 1;
            assert!(cwnd(&t) <= info.cwnd + 1000 + 100, "{} -> {}", info.cwnd, cwnd(&t));
        }
    }
    assert!(avoided >= 3);
}

#[test]
fn after_recovery_the_window_is_deflated() {
    // §2.8, failure of window deflation after loss recovery
    let t = recovered();
    let info = t.c.info(&t.settings);
    assert!(info.ssthresh <= 6000, "{info:?}");
    assert!(info.cwnd <= info.ssthresh + 1000, "{info:?}");
}

#[test]
fn the_first_timeout_is_at_least_one_second() {
    // §2.7, initial RTO too low
    let mut t = Script::open(Settings::default());
    t.sends_syn();
    t.after_ms(999).quiet().after_ms(1).sends_syn();
}

#[test]
fn keep_alive_intervals_are_long_enough() {
    // §2.9, excessively short keepalive connection timeout; §2.11, insufficient interval between
    // keepalives
    let times = KeepAlive::default();
    assert!(times.interval >= Duration::from_secs(75));
    assert!(times.interval.times(u64::from(times.probes)) >= Duration::from_secs(600));
    assert!(times.idle >= Duration::from_secs(7200));
}

#[test]
fn the_timeout_backs_off_until_a_valid_sample() {
    // §2.10, failure to back off retransmission timeout
    let mut t = Script::established().write(1000);
    t.sent();
    for wait in [200, 400, 800] {
        t.after_ms(wait).sends([1..1001]);
    }
    t.gets(ack(1001));
    t.writes(1000);
    t.sends([1001..2001]).after_ms(400).quiet();
}

#[test]
fn two_closed_windows_do_not_deadlock() {
    // §2.12, window probe deadlock: data and probes of the peer do not stop our probes.
    let mut t = Script::established_with(|s| s.receive_buffer = 1000);
    t.gets(data(1..1001).window(0)).after_ms(40).sends([bare(1001).window(0)]);
    t.writes(1000);
    for _ in 0..5 {
        let wait = t.deadline_ms().expect("a probe is due");
        t.after_ms(wait).sends([1..2]);
        t.refuses(data(1001..1002), Disposition::OutOfWindow).sends([bare(1001).window(0)]);
    }
    t.is(Phase::Established);
    assert_eq!(t.reads(1000), 1000);
    t.sends([bare(1001).window(1000)]);
    t.gets(ack(2).window(5000).seq(1001)).sends([2..1001]);
}

#[test]
fn every_second_separate_segment_is_acknowledged() {
    // §2.13, stretch ACK violation
    let mut t = Script::established();
    for i in 0..10 {
        t.gets(data(1 + i * 1000..1001 + i * 1000));
        assert_eq!(t.sent().len(), (i % 2) as usize, "segment {i}");
    }
}

#[test]
fn a_fin_goes_at_once_with_the_last_data() {
    // §2.15, failure to send FIN notification promptly: Nagle's algorithm does not delay it.
    let mut t = Script::open(Settings { nagle: true, ..plain() }).shake_hands(syn().mss(1000));
    t.writes(10);
    t.sends([1..11]);
    t.writes(10);
    t.closes().sends([text(11..21).fin()]);
    let mut t = Script::established();
    t.gets(data(1..11).fin());
    assert!(t.events().contains(crate::tcp::Events::PEER_CLOSED), "before the data is read");
}

#[test]
fn data_after_a_full_close_is_reset() {
    // §2.16, failure to send a RST after half duplex close; §2.17, failure to RST on close with
    // data pending
    let mut t = Script::established();
    t.closes_both().sends([text(1..1).fin()]);
    t.gets(ack(2)).refuses(data(1..11), Disposition::AfterClose).is(Phase::Closed);
    t.sends([text(2..2).flags(Flags::RST)]);
    let mut t = Script::established();
    t.gets(data(1..11)).closes_both().is(Phase::Closed).sends([text(1..1).flags(Flags::RST)]);
    let mut t = Script::established();
    t.gets(data(1..11)).sent();
    assert_eq!(t.reads(10), 10);
    t.closes_both().is(Phase::FinWait1).sends([text(1..1).fin()]);
    t.gets(fin(11).ack(2)).is(Phase::TimeWait);
}

#[test]
fn options_count_against_the_segment_size() {
    // §2.18, options missing from TCP MSS calculation
    let mut t = Script::established_with(|s| s.timestamps = true).write(5000);
    assert!(t.sent().iter().all(|sent| sent.len <= 1000 - 12));
}

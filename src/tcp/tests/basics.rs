//! Requirements on every TCP, independent of loss recovery and congestion control: RFC 9293 §3.7.1,
//! §3.8.1 to §3.8.3, in black-box tests.

use super::literals::Sent;
use super::script::plain;
use super::{Script, ack, syn};
use crate::tcp::congestion::Algorithm;
use crate::tcp::{Flags, Phase, Settings};
use crate::time::Duration;

#[test]
fn only_syns_carry_an_mss_option() {
    // RFC 9293 §3.7.1, MUST-14, SHLD-5, MAY-3; §3.2, MUST-65; and the other options of a SYN:
    // RFC 2018 §2, RFC 7323 §2.2
    let mut t = Script::open(Settings::default());
    assert_eq!(t.sends_syn().options.mss, Some(1460));
    t.gets(syn().mss(1460).permits_sack().shift(2)).is(Phase::SynReceived);
    let syn_ack = t.sent().remove(0);
    assert_eq!((syn_ack.flags, syn_ack.options.mss), (Flags(0x12), Some(1460)));
    t.gets(syn().ack(1));
    t.writes(5000);
    t.closes();
    let sent = t.sent();
    assert!(sent.len() >= 4);
    for Sent { options, .. } in sent {
        assert_eq!(
            (options.mss, options.window_shift, options.sack_permitted),
            (None, None, false)
        );
    }
}

#[test]
fn a_segment_never_exceeds_the_limit_of_either_side() {
    // RFC 9293 §3.7.1, MUST-16: min(SendMSS+20, MMS_S) - TCPhdrsize - IPoptionsize
    for (theirs, longest) in [(400, 400), (1000, 1000), (9000, 1000)] {
        let mut t = Script::open(plain()).shake_hands(syn().mss(theirs));
        t.writes(20_000);
        assert_eq!(t.sent().iter().map(|sent| sent.len).max(), Some(longest));
    }
}

#[test]
fn the_timeout_follows_rfc_6298() {
    // RFC 9293 §3.8.1, MUST-18; RFC 6298 (2.2), (2.3): SRTT + 4 * RTTVAR
    let rto = |t: &Script| t.c.info(&t.settings).rto;
    let mut t = Script::open(plain());
    t.sends_syn();
    t.after_ms(300).gets(syn().ack(1).mss(1000));
    t.sent();
    assert_eq!(rto(&t), Duration::from_millis(300 + 4 * 150));
    t.writes(1000);
    t.sent();
    t.after_ms(300).gets(ack(1001));
    // RTTVAR = 3/4 * 150
    assert_eq!(rto(&t), Duration::from_micros(300_000 + 4 * 112_500));
}

#[test]
fn a_retransmitted_segment_gives_no_sample() {
    // RFC 9293 §3.8.1, MUST-18; RFC 6298 §3, Karn's algorithm
    let mut t = Script::open(plain());
    t.sends_syn();
    t.after_ms(300).gets(syn().ack(1).mss(1000));
    t.writes(1000);
    t.sent();
    let srtt = t.c.info(&t.settings).srtt;
    t.after_ms(900);
    assert!(t.sent().iter().any(|sent| sent.seq == 1), "it was retransmitted");
    t.after_ms(10).gets(ack(1001));
    assert_eq!(t.c.info(&t.settings).srtt, srtt);
}

#[test]
fn timeouts_double() {
    // RFC 9293 §3.8.2, MUST-19: exponential backoff
    let mut t = Script::established().write(1000);
    t.sent();
    let (mut last, mut wait) = (t.now, Duration::ZERO);
    for round in 0..6 {
        let due = t.deadline_ms().expect("the timer runs");
        t.after_ms(due);
        assert!(t.sent().iter().any(|sent| sent.seq == 1));
        let waited = t.now.since(last);
        assert!(round == 0 || waited >= wait.times(2), "{waited:?} after {wait:?}");
        (last, wait) = (t.now, waited);
    }
}

/// Returns the number of segments that the acknowledgments of a round trip release.
fn round_trip(t: &mut Script, sent_to: &mut u32, acked: &mut u32) -> usize {
    t.after_ms(100);
    let (mut segments, flight_end) = (0, *sent_to);
    while *acked < flight_end {
        *acked += 1000;
        t.gets(ack(*acked));
        for sent in t.sent() {
            segments += 1;
            *sent_to = (*sent_to).max(sent.seq + sent.len);
        }
    }
    segments
}

#[test]
fn slow_start_doubles_and_congestion_avoidance_adds_one() {
    // RFC 9293 §3.8.2, MUST-19; RFC 5681 §3.1. NewReno follows RFC 5681 literally.
    let mut t = Script::established_with(|s| {
        s.congestion = Algorithm::NewReno;
        s.initial_window = 2;
        s.send_buffer = 200_000;
    });
    t.writes(200_000);
    let (mut sent_to, mut acked) = (t.sent().last().map_or(1, |sent| sent.seq + sent.len), 1);
    assert_eq!(sent_to, 2001);
    let flights: Vec<usize> =
        (0..3).map(|_| round_trip(&mut t, &mut sent_to, &mut acked)).collect();
    assert_eq!(flights, [4, 8, 16]);
    // A timeout: ssthresh becomes half of the flight, cwnd one segment.
    let wait = t.deadline_ms().expect("the timer runs");
    t.after_ms(wait + 1);
    assert_eq!(t.sent().len(), 1);
    let info = t.c.info(&t.settings);
    assert_eq!((info.cwnd, info.ssthresh), (1000, 8000));
    t.gets(ack(sent_to));
    acked = sent_to;
    sent_to = t.sent().last().map_or(acked, |sent| sent.seq + sent.len);
    let flights: Vec<usize> =
        (0..8).map(|_| round_trip(&mut t, &mut sent_to, &mut acked)).collect();
    let avoiding: Vec<_> = flights.iter().skip_while(|flight| **flight < 8).collect();
    assert!(avoiding.len() >= 3, "{flights:?}");
    for pair in avoiding.windows(2) {
        assert!((*pair[0]..=pair[0] + 1).contains(pair[1]), "{flights:?}");
    }
}

#[test]
fn a_syn_is_retransmitted_for_at_least_three_minutes() {
    // RFC 9293 §3.8.3, MUST-23
    let mut t = Script::open(Settings::default());
    t.sends_syn();
    t.after_ms(180_000).is(Phase::SynSent);
    let last = t.sent().last().map(|sent| sent.at);
    t.after_ms(100_000).is(Phase::Closed);
    assert!(last.is_some());
}

#[test]
fn r1_r2_and_keep_alive_defaults_follow_the_rfc() {
    // RFC 9293 §3.8.3, SHLD-11: R2 of 100 s at least; §3.8.6.3, MUST-40; §3.8.4, MUST-25, MUST-28
    let settings = Settings::default();
    assert!(settings.give_up_after >= Duration::from_secs(100));
    assert!(settings.ack_delay < Duration::from_millis(500));
    assert_eq!(settings.keep_alive, None);
    assert!(crate::tcp::KeepAlive::default().idle >= Duration::from_secs(7200));
    let mut t = Script::established_with(|s| s.give_up_after = settings.give_up_after).write(10);
    t.after_ms(100_000).is(Phase::Established);
}

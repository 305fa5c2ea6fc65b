//! Pacing: draft-ietf-ccwg-bbr §5.6.2, and the program's own limit.

use super::script::plain;
use super::{Script, ack, syn};
use crate::tcp::Settings;
use crate::tcp::congestion::Algorithm;

/// Returns an open connection whose handshake took 100 ms.
fn open(settings: Settings) -> Script {
    let mut t = Script::open(settings);
    t.sends_syn();
    t.after_ms(100).gets(syn().ack(1).mss(1000));
    t.sent();
    t
}

#[test]
fn bbr_spreads_the_initial_window_over_the_round_trip() {
    // StartupPacingGain * InitialCwnd / srtt = 2.77 * 10 segments in 100 ms: one every 3.6 ms.
    let mut t = open(Settings { congestion: Algorithm::Bbr, ..plain() });
    t.writes(20_000);
    assert_eq!(t.sent().len(), 3, "a quantum of two, and the one that exceeds it");
    assert_eq!(t.after_ms(4).sent().len(), 1);
    assert_eq!(t.after_ms(4).sent().len(), 1);
    assert_eq!(t.after_ms(30).sent().len(), 5, "then cwnd is full");
    t.after_ms(50).gets(ack(3001)).sent();
}

#[test]
fn loss_based_algorithms_are_paced_only_if_pacing_is_on() {
    let mut t = open(plain());
    t.writes(20_000);
    assert_eq!(t.sent().len(), 10);
    let mut t = open(Settings { pacing: true, ..plain() });
    t.writes(20_000);
    // Twice cwnd per round trip: one every 5 ms.
    assert_eq!(t.sent().len(), 3);
    assert_eq!(t.after_ms(10).sent().len(), 2);
    let rate = t.c.info(&t.settings).pacing_rate;
    assert_eq!(rate, Some(200_000));
}

#[test]
fn a_program_may_limit_the_rate() {
    let mut t = open(plain());
    t.c.set_pacing_rate_max(Some(10_000));
    t.writes(20_000);
    assert_eq!(t.sent().len(), 3);
    assert_eq!(t.after_ms(100).sent().len(), 1);
    t.c.set_pacing_rate_max(None);
    assert_eq!(t.after_ms(100).sent().len(), 6, "cwnd limits the flight again");
}

#[test]
fn a_retransmission_is_paced_and_the_timer_keeps_running() {
    let mut t = open(Settings { congestion: Algorithm::Bbr, ..plain() });
    t.writes(1000);
    t.sends([1..1001]);
    let wait = t.deadline_ms().expect("the timer runs");
    t.after_ms(wait + 1);
    assert_eq!(t.sent().len(), 1);
}

#[test]
fn the_congestion_control_can_be_changed_before_and_after_the_handshake() {
    let mut t = Script::open(plain());
    t.c.set_congestion_control(Algorithm::Bbr);
    t.sends_syn();
    t.after_ms(100).gets(syn().ack(1).mss(1000));
    assert_eq!(t.c.info(&t.settings).congestion, Algorithm::Bbr);
    t.c.set_congestion_control(Algorithm::Dctcp);
    assert_eq!(t.c.info(&t.settings).congestion, Algorithm::Dctcp);
    assert_eq!(t.c.info(&t.settings).cwnd, 10_000);
}

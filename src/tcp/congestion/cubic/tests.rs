//! CUBIC tests against RFC 9438, on a path of their own.

use super::super::stage::ALPHA;
use super::*;
use crate::tcp::SeqNum;
use crate::tcp::congestion::controller::Kind;
use crate::tcp::congestion::{Algorithm, Controller, model};

const MSS: u32 = 1000;

fn close(a: f64, b: f64, within: f64) -> bool {
    (a - b).abs() <= within * b.abs()
}

fn cubic() -> Controller {
    Controller::new(Algorithm::Cubic, MSS as u16, 10)
}

/// A path with one round trip time, always filled.
struct Path {
    c: Controller,
    now: Instant,
    rtt: Duration,
    una: SeqNum,
}

impl Path {
    fn new(rtt: Duration) -> Self {
        Self { c: cubic(), now: Instant::from_millis(1), rtt, una: SeqNum(0) }
    }

    /// Returns a path after a loss with `segments` in flight and its repair.
    fn after_loss_at(segments: u32, rtt: Duration) -> Self {
        let mut path = Self::new(rtt);
        while path.c.cwnd() < segments * MSS {
            path.ack(MSS);
        }
        path.lose();
        path
    }

    fn ack(&mut self, bytes: u32) {
        let in_flight = self.c.cwnd();
        self.una += bytes;
        let ack = model::ack(bytes, in_flight, Some(self.rtt), self.now);
        self.c.on_ack(&Ack { snd_una: self.una, snd_nxt: self.una + in_flight, ..ack });
    }

    fn lose(&mut self) {
        let in_flight = self.c.cwnd();
        self.c.on_enter_recovery(in_flight, SeqNum(0), self.now);
        self.c.on_exit_recovery(in_flight, self.now);
    }

    /// Runs one round trip: each segment of the window is acknowledged, evenly spaced in time.
    fn round(&mut self) {
        let segments = self.c.cwnd() / MSS;
        for _ in 0..segments {
            self.now += Duration::from_nanos(self.rtt.as_nanos() / u64::from(segments));
            self.ack(MSS);
        }
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.round();
        }
    }

    fn segments(&self) -> f64 {
        f64::from(self.c.cwnd()) / f64::from(MSS)
    }
}

#[test]
fn alpha_is_the_constant_of_the_rfc() {
    assert!(close(ALPHA, 9.0 / 17.0, 1e-9));
}

#[test]
fn the_curve_starts_at_the_reduced_window_and_is_flat_at_the_plateau() {
    let stage = Stage::new(70.0, 100.0);
    assert!(close(stage.k, 75f64.cbrt(), 1e-9));
    assert!(close(stage.w_cubic(0.0), 70.0, 1e-9));
    assert!(close(stage.w_cubic(stage.k), 100.0, 1e-9));
    assert!(close(stage.w_cubic(2.0 * stage.k), 130.0, 1e-9));
}

#[test]
fn slow_start_doubles_the_window() {
    let mut path = Path::new(Duration::from_millis(10));
    path.round();
    assert_eq!(path.c.cwnd(), 20_000);
}

#[test]
fn the_first_slow_start_ends_by_the_configured_rule() {
    // HyStart++ slows down (RFC 9406 §4.2), HyStart ends slow start, and without both it lasts
    // until a loss.
    for (exit, expected) in [
        (SlowStartExit::HyStartPlusPlus, (40_000 + 7_000 + 13_000 / 4, u32::MAX)),
        (SlowStartExit::HyStart, (48_000, 48_000)),
        (SlowStartExit::Loss, (60_000, u32::MAX)),
    ] {
        let mut c = cubic();
        let mut una = SeqNum(0);
        for (rtt_ms, acks) in [(100, 10), (100, 20), (130, 20)] {
            let nxt = una + acks * MSS;
            for number in 0..acks {
                una += MSS;
                let rtt = Some(Duration::from_millis(rtt_ms));
                let now = Instant::from_millis(rtt_ms * 10 + 3 * u64::from(number));
                let ack = model::ack(MSS, c.cwnd(), rtt, now);
                c.on_ack(&Ack { snd_una: una, snd_nxt: nxt, slow_start_exit: exit, ..ack });
            }
        }
        let grown = if c.ssthresh() == u32::MAX { c.cwnd() } else { c.cwnd() / MSS * MSS };
        assert_eq!((grown, c.ssthresh()), expected, "{exit:?}");
    }
}

#[test]
fn a_loss_reduces_cwnd_to_seven_tenths() {
    let path = Path::after_loss_at(100, Duration::from_millis(100));
    assert_eq!((path.c.cwnd(), path.c.ssthresh()), (70_000, 70_000));
}

#[test]
fn the_reduction_after_a_loss_is_of_cwnd_not_flight_size() {
    // RFC 9438 §4.6
    let mut c = cubic();
    c.on_timeout(MSS, Instant::ZERO);
    assert_eq!((c.cwnd(), c.ssthresh()), (MSS, 7_000));
}

#[test]
fn the_window_follows_the_curve_and_reaches_the_plateau_after_k_seconds() {
    let mut path = Path::after_loss_at(1_000, Duration::from_millis(100));
    let stage = Stage::new(700.0, 1_000.0);
    for quarter in 1..=8 {
        let span = Duration::from_nanos((stage.k / 4.0 * 1e9) as u64);
        path.run_for(span);
        let expected = stage.w_cubic(stage.k / 4.0 * f64::from(quarter));
        assert!(close(path.segments(), expected, 0.02), "{} {expected}", path.segments());
    }
}

#[test]
fn on_short_paths_cubic_grows_like_reno() {
    let mut path = Path::after_loss_at(20, Duration::from_millis(1));
    let before = path.segments();
    (0..10).for_each(|_| path.round());
    assert!(close(path.segments() - before, 10.0 * ALPHA, 0.1), "{}", path.segments());
    while path.segments() < 21.0 {
        path.round();
    }
    let before = path.segments();
    (0..10).for_each(|_| path.round());
    assert!(close(path.segments() - before, 10.0, 0.1), "{}", path.segments());
}

#[test]
fn a_second_loss_below_the_plateau_lowers_it() {
    let mut curve = Curve::default();
    curve.on_loss(100.0);
    assert_eq!(curve.w_max, Some(100.0));
    curve.on_loss(80.0);
    assert!(close(curve.w_max.unwrap(), 80.0 * 0.85, 1e-9));
    curve.on_loss(90.0);
    assert_eq!(curve.w_max, Some(90.0));
}

#[test]
fn the_window_grows_by_at_most_half_per_round_trip() {
    let mut path = Path::after_loss_at(10, Duration::from_millis(100));
    path.ack(MSS);
    path.now += Duration::from_secs(100);
    let before = path.segments();
    path.ack(MSS);
    assert!(path.segments() - before <= 0.5 + 1e-3);
}

#[test]
fn time_with_an_unused_window_does_not_count() {
    let mut used = Path::after_loss_at(100, Duration::from_millis(100));
    let mut paused = Path { c: used.c.clone(), ..used };
    used.round();
    paused.round();
    let idle = model::ack(MSS, MSS, None, paused.now);
    paused.c.on_ack(&idle);
    paused.now += Duration::from_secs(30);
    paused.c.on_ack(&Ack { now: paused.now, ..idle });
    (0..5).for_each(|_| used.round());
    (0..5).for_each(|_| paused.round());
    assert!(close(paused.segments(), used.segments(), 0.01));
}

#[test]
fn time_with_nothing_in_flight_does_not_count() {
    // RFC 9438 §4.2: t MUST NOT include time in which nothing is in flight.
    let mut used = Path::after_loss_at(100, Duration::from_millis(100));
    let mut paused = Path { c: used.c.clone(), ..used };
    used.round();
    paused.round();
    paused.now += Duration::from_secs(30);
    paused.c.on_rested();
    (0..5).for_each(|_| used.round());
    (0..5).for_each(|_| paused.round());
    assert!(close(paused.segments(), used.segments(), 0.01));
}

#[test]
fn after_a_timeout_the_first_stage_starts_on_its_plateau() {
    let mut path = Path::after_loss_at(100, Duration::from_millis(100));
    path.c.on_timeout(70_000, path.now);
    assert_eq!((path.c.cwnd(), path.c.ssthresh()), (MSS, 49_000));
    path.c.on_timeout(MSS, path.now);
    assert_eq!(path.c.ssthresh(), 49_000);
    while path.c.cwnd() < 49_000 {
        path.round();
    }
    path.round();
    let Kind::Cubic(_, c) = &path.c.0 else { panic!("the algorithm is CUBIC") };
    let stage = c.curve.as_ref().unwrap().stage.as_ref().unwrap();
    assert_eq!(stage.k, 0.0);
}

#[test]
fn short_connections_without_loss_allocate_nothing() {
    let mut path = Path::new(Duration::from_millis(10));
    path.round();
    assert!(matches!(&path.c.0, Kind::Cubic(_, c) if c.curve.is_none()));
}

#[test]
fn cwnd_never_falls_below_one_segment() {
    let mut rng = crate::rng::Rng::new(9438);
    let mut path = Path::new(Duration::from_nanos(1));
    for _ in 0..20_000 {
        let amount = rng.next_u32() >> rng.below(32);
        path.now += Duration::from_nanos(rng.below(1 << 34));
        match rng.below(8) {
            0 => path.lose(),
            1 => path.c.on_timeout(amount, path.now),
            2 => path.c.on_idle(Duration::from_secs(2), Duration::from_secs(1)),
            3 => path.c.set_cwnd(amount),
            4 => path.c.on_enter_recovery(amount, SeqNum(0), path.now),
            _ => path.ack(amount),
        }
        assert!(path.c.cwnd() >= MSS);
    }
}

#[test]
fn slow_start_ends_without_a_loss_when_the_round_trip_grows() {
    // RFC 9438 §4.10, RFC 9406 §4.2
    let mut path = Path::new(Duration::from_millis(40));
    (0..3).for_each(|_| path.round());
    assert_eq!(path.c.cwnd(), 80_000);
    path.rtt = Duration::from_millis(50);
    // The longer round trip is detected at the eighth sample of its first round; then CSS grows by
    // a quarter per round for five rounds.
    (0..7).for_each(|_| path.round());
    let end = path.c.ssthresh();
    assert!(end < 80_000 * 2 * 4, "{end}");
    assert!(path.c.cwnd() >= end, "congestion avoidance");
    let before = path.segments();
    path.round();
    assert!(path.segments() - before < 2.0, "the stage starts at W_max: K is 0");
}

#[test]
fn undo_restores_the_window_and_the_curve() {
    // RFC 9438 §4.9.2
    let mut path = Path::after_loss_at(100, Duration::from_millis(100));
    (0..10).for_each(|_| path.round());
    let mut other = Path { c: path.c.clone(), ..path };
    path.lose();
    assert!(path.segments() < other.segments());
    path.c.on_undo();
    assert_eq!(path.c.cwnd(), other.c.cwnd());
    assert_eq!(path.c.ssthresh(), other.c.ssthresh());
    (0..20).for_each(|_| path.round());
    (0..20).for_each(|_| other.round());
    assert!(close(path.segments(), other.segments(), 0.01), "the same curve continues");
}

#[test]
fn a_late_undo_does_not_lower_the_window() {
    // RFC 9438 §4.9.2: "the current cwnd is already higher than cwnd_prior"
    let mut path = Path::after_loss_at(20, Duration::from_millis(10));
    path.run_for(Duration::from_secs(10));
    let before = path.c.cwnd();
    assert!(before > 20_000);
    path.c.on_undo();
    assert_eq!(path.c.cwnd(), before);
}

#[test]
fn a_congestion_echo_leaves_085_in_congestion_avoidance() {
    // RFC 8511 §3.1
    let mut path = Path::after_loss_at(100, Duration::from_millis(100));
    path.c.on_congestion_echo(70_000, path.now);
    assert_eq!((path.c.cwnd(), path.c.ssthresh()), (59_500, 59_500));
    let mut path = Path::new(Duration::from_millis(100));
    path.c.on_congestion_echo(10_000, path.now);
    assert_eq!(path.c.cwnd(), 7_000, "in slow start a mark counts as a loss");
}

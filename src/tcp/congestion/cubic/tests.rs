//! CUBIC against RFC 9438, on a path of its own.

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

/// A path of one round trip time, always filled.
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

    /// Lost with `segments` in flight and repaired.
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

    /// One round trip: each segment of the window is acknowledged, evenly in time.
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
fn the_constants_are_those_of_the_rfc() {
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
fn slow_start_is_that_of_everyone() {
    let mut path = Path::new(Duration::from_millis(10));
    path.round();
    assert_eq!(path.c.cwnd(), 20_000);
}

#[test]
fn the_first_slow_start_ends_as_the_host_wants() {
    // RFC 9406 §4.2 slows down, HyStart ends it, and a host may wait for the loss.
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
fn a_loss_leaves_seven_tenths() {
    let path = Path::after_loss_at(100, Duration::from_millis(100));
    assert_eq!((path.c.cwnd(), path.c.ssthresh()), (70_000, 70_000));
}

#[test]
fn a_loss_leaves_seven_tenths_of_the_window_however_little_is_in_flight() {
    // RFC 9438 §4.6
    let mut c = cubic();
    c.on_timeout(MSS, Instant::ZERO);
    assert_eq!((c.cwnd(), c.ssthresh()), (MSS, 7_000));
}

#[test]
fn the_window_is_back_at_the_plateau_after_k_seconds_and_follows_the_curve() {
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
fn on_short_paths_it_grows_like_reno_and_by_a_segment_a_round_trip_past_the_old_window() {
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
fn the_window_grows_by_half_a_round_trip_at_most() {
    let mut path = Path::after_loss_at(10, Duration::from_millis(100));
    path.ack(MSS);
    path.now += Duration::from_secs(100);
    let before = path.segments();
    path.ack(MSS);
    assert!(path.segments() - before <= 0.5 + 1e-3);
}

#[test]
fn time_in_which_the_window_is_not_used_does_not_count() {
    let mut used = Path::after_loss_at(100, Duration::from_millis(100));
    let mut rested = Path { c: used.c.clone(), ..used };
    used.round();
    rested.round();
    let idle = model::ack(MSS, MSS, None, rested.now);
    rested.c.on_ack(&idle);
    rested.now += Duration::from_secs(30);
    rested.c.on_ack(&Ack { now: rested.now, ..idle });
    (0..5).for_each(|_| used.round());
    (0..5).for_each(|_| rested.round());
    assert!(close(rested.segments(), used.segments(), 0.01));
}

#[test]
fn a_silence_does_not_count() {
    // RFC 9438 §4.2: t MUST NOT include time in which nothing is in flight.
    let mut used = Path::after_loss_at(100, Duration::from_millis(100));
    let mut rested = Path { c: used.c.clone(), ..used };
    used.round();
    rested.round();
    rested.now += Duration::from_secs(30);
    rested.c.on_rested();
    (0..5).for_each(|_| used.round());
    (0..5).for_each(|_| rested.round());
    assert!(close(rested.segments(), used.segments(), 0.01));
}

#[test]
fn after_a_timeout_the_first_stage_has_its_plateau_where_it_begins() {
    let mut path = Path::after_loss_at(100, Duration::from_millis(100));
    path.c.on_timeout(70_000, path.now);
    assert_eq!((path.c.cwnd(), path.c.ssthresh()), (MSS, 49_000));
    path.c.on_timeout(MSS, path.now);
    assert_eq!(path.c.ssthresh(), 49_000);
    while path.c.cwnd() < 49_000 {
        path.round();
    }
    path.round();
    let Kind::Cubic(_, c) = &path.c.0 else { panic!("a CUBIC stays one") };
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
fn no_sequence_of_facts_leaves_a_window_below_one_segment() {
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
    // The first round with the longer round trip is found after its eighth sample, then CSS grows
    // by a quarter a round for five rounds.
    (0..7).for_each(|_| path.round());
    let end = path.c.ssthresh();
    assert!(end < 80_000 * 2 * 4, "{end}");
    assert!(path.c.cwnd() >= end, "congestion avoidance");
    let before = path.segments();
    path.round();
    assert!(path.segments() - before < 2.0, "W_max is where the stage begins: K is 0");
}

#[test]
fn a_mistaken_loss_is_undone_with_the_curve() {
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
    assert!(close(path.segments(), other.segments(), 0.01), "the same curve goes on");
}

#[test]
fn a_late_undo_takes_nothing_away() {
    // RFC 9438 §4.9.2: "the current cwnd is already higher than cwnd_prior"
    let mut path = Path::after_loss_at(20, Duration::from_millis(10));
    path.run_for(Duration::from_secs(10));
    let before = path.c.cwnd();
    assert!(before > 20_000);
    path.c.on_undo();
    assert_eq!(path.c.cwnd(), before);
}

#[test]
fn an_echo_of_congestion_leaves_085_in_congestion_avoidance() {
    // RFC 8511 §3.1
    let mut path = Path::after_loss_at(100, Duration::from_millis(100));
    path.c.on_congestion_echo(70_000, path.now);
    assert_eq!((path.c.cwnd(), path.c.ssthresh()), (59_500, 59_500));
    let mut path = Path::new(Duration::from_millis(100));
    path.c.on_congestion_echo(10_000, path.now);
    assert_eq!(path.c.cwnd(), 7_000, "in slow start it is as a loss");
}

//! CUBIC (RFC 9438): after a loss the window climbs back along a cubic of time, flat around the size
//! where the loss was, whatever the round trip. Slow start is HyStart++'s (RFC 9406).
//!
//! Owns the curve. Refuses to know how losses are repaired. The curve is allocated with the first loss, or
//! once the initial window has doubled, so that short connections carry a null pointer. In segments and
//! seconds, as in the RFC.

use super::hystart::{CSS_GROWTH_DIVISOR, HyStart, Pace};
use super::hystart_classic::ClassicHyStart;
use super::window::{Growth, Undo, Window};
use super::{Ack, SlowStartExit};
use crate::time::{Duration, Instant};

/// C of RFC 9438 §5, segments per second cubed: larger, and CUBIC crowds out Reno; smaller, and long fat
/// paths fill slowly.
const C: f64 = 0.4;

/// beta_cubic of RFC 9438 §4.6: what a loss leaves of the window.
const BETA: f64 = 0.7;

/// beta_ecn of RFC 8511 §3.1 for CUBIC: ECN tells of a short queue, which a larger cut would empty.
const BETA_ECN: f64 = 0.85;

/// alpha_cubic of RFC 9438 §4.3: with beta_cubic, the growth that gives Reno's throughput.
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// The state of the algorithm beside the window.
#[derive(Clone, Debug, Default)]
pub(super) struct Cubic {
    curve: Option<Box<Curve>>,
}

/// Where the window is heading.
#[derive(Clone, Debug, Default)]
struct Curve {
    /// W_max: the plateau. None lets the next stage begin on it.
    w_max: Option<f64>,
    /// cwnd when ssthresh was last set.
    cwnd_prior: f64,
    /// Smoothed round trip, seconds.
    rtt: f64,
    /// Part of a byte that cwnd has yet to grow by.
    credit: f64,
    /// The current stage of congestion avoidance.
    stage: Option<Stage>,
    /// What to go back to if the last reduction was a mistake.
    before: Option<Box<Before>>,
    detector: Detector,
}

/// What watches the first slow start.
#[derive(Clone, Debug)]
enum Detector {
    PlusPlus(HyStart),
    Classic(ClassicHyStart),
}

impl Default for Detector {
    fn default() -> Self {
        Self::PlusPlus(HyStart::default())
    }
}

/// RFC 9438 §4.9.2: undo_cwnd, undo_ssthresh, undo_cwnd_prior, undo_W_max, and undo_K, undo_t_epoch and
/// undo_W_est in the stage.
#[derive(Clone, Debug)]
struct Before {
    window: Undo,
    w_max: Option<f64>,
    cwnd_prior: f64,
    stage: Option<Stage>,
}

/// One stage of congestion avoidance.
#[derive(Clone, Debug)]
struct Stage {
    w_max: f64,
    /// Seconds from the start to the plateau.
    k: f64,
    /// The window that Reno would have.
    w_est: f64,
    /// t: seconds so far, without those in which the window was not used.
    elapsed: f64,
    /// When `elapsed` was last advanced; none while the window is not used.
    clock: Option<Instant>,
}

impl Cubic {
    #[inline]
    pub(super) fn on_ack(&mut self, window: &mut Window, ack: &Ack) {
        if let (Some(curve), Some(rtt)) = (self.curve.as_deref_mut(), ack.rtt) {
            curve.on_rtt(rtt);
        }
        match window.on_ack(ack) {
            Growth::SlowStart => self.slow_start(window, ack),
            Growth::Avoidance => self.avoid_congestion(window, ack),
            Growth::Unused => self.pause(),
            Growth::Done => {}
        }
    }

    /// RFC 9438 §4.10:
    ///   > CUBIC SHOULD use the HyStart++ slow start algorithm
    ///
    /// RFC 9406 §4.3: only for the first slow start. A round trip of the initial window alone has too
    /// few ACKs to be judged.
    fn slow_start(&mut self, window: &mut Window, ack: &Ack) {
        let growth = window.slow_start_growth(ack);
        let pace = match ack.slow_start_exit {
            _ if !window.is_first_slow_start() => Pace::Standard,
            SlowStartExit::Loss => Pace::Standard,
            SlowStartExit::HyStart => {
                self.curve.get_or_insert_default().classic(ack, window.cwnd() / window.smss())
            }
            SlowStartExit::HyStartPlusPlus if window.cwnd() < 2 * window.initial() => {
                Pace::Standard
            }
            SlowStartExit::HyStartPlusPlus => self.curve.get_or_insert_default().plus_plus(ack),
        };
        match pace {
            Pace::Standard => window.grow(growth),
            Pace::Conservative => window.grow(growth / CSS_GROWTH_DIVISOR),
            Pace::Over => self.end_slow_start(window),
        }
    }

    /// RFC 9438 §4.10: without a loss W_max is undefined; cwnd_prior is cwnd, and the first stage has its
    /// plateau where it begins.
    fn end_slow_start(&mut self, window: &mut Window) {
        window.end_slow_start();
        let cwnd = segments(window);
        let curve = self.curve.get_or_insert_default();
        curve.cwnd_prior = cwnd;
        curve.w_max = None;
    }

    /// RFC 9438 §4.2 to §4.5.
    fn avoid_congestion(&mut self, window: &mut Window, ack: &Ack) {
        let smss = f64::from(window.smss());
        let cwnd = f64::from(window.cwnd()) / smss;
        let curve = self.curve.get_or_insert_default();
        if curve.rtt == 0.0
            && let Some(rtt) = ack.rtt
        {
            curve.on_rtt(rtt);
        }
        let growth = curve.growth(cwnd, f64::from(ack.growth()) / smss, ack.now);
        let bytes = growth * smss + curve.credit;
        curve.credit = bytes.fract();
        window.grow(bytes as u32);
    }

    /// RFC 9438 §4.6 and §4.7; in bytes. Of cwnd, as other hosts have it, where Reno has FlightSize: a program
    /// that happens to have little in flight does not lose what the path was found to carry. §4.6 asks who
    /// does so to keep a window that is not used from growing: RFC 7661, in [`Window::on_ack`].
    pub(super) fn ssthresh_after_loss(&mut self, window: &mut Window) -> u32 {
        self.on_congestion(window);
        (f64::from(window.cwnd()) * BETA) as u32
    }

    /// RFC 8511 §3.1, in congestion avoidance; in slow start the queue is as long as a loss would tell.
    /// Of cwnd, as after a loss.
    pub(super) fn ssthresh_after_echo(&mut self, window: &mut Window) -> u32 {
        let beta = if window.is_slow_start() { BETA } else { BETA_ECN };
        self.on_congestion(window);
        (f64::from(window.cwnd()) * beta) as u32
    }

    fn on_congestion(&mut self, window: &mut Window) {
        let (cwnd, before) = (segments(window), window.before_reduction());
        let curve = self.curve.get_or_insert_default();
        let (w_max, cwnd_prior, stage) = (curve.w_max, curve.cwnd_prior, curve.stage.clone());
        curve.before = Some(Box::new(Before { window: before, w_max, cwnd_prior, stage }));
        curve.on_loss(cwnd);
    }

    /// RFC 9438 §4.9.2:
    ///   > CUBIC MAY restore the original values of the above-mentioned variables as follows if the
    ///   > current cwnd is lower than cwnd_prior.
    pub(super) fn on_undo(&mut self, window: &mut Window) {
        let cwnd = segments(window);
        let Some(curve) = self.curve.as_deref_mut() else { return };
        let Some(before) = curve.before.take().filter(|_| cwnd < curve.cwnd_prior) else { return };
        window.on_undo(before.window);
        (curve.w_max, curve.cwnd_prior, curve.stage) =
            (before.w_max, before.cwnd_prior, before.stage);
        // The time in between is none in which the window followed the curve.
        self.pause();
    }

    /// RFC 9438 §4.8: after a timeout the first stage has K = 0 and W_max = the window it begins with.
    pub(super) fn forget_plateau(&mut self) {
        if let Some(curve) = self.curve.as_deref_mut() {
            curve.w_max = None;
        }
    }

    pub(super) fn on_idle(&mut self, window: &mut Window) {
        window.on_idle();
        if let Some(curve) = self.curve.as_deref_mut() {
            curve.stage = None;
            curve.credit = 0.0;
        }
    }

    /// RFC 9438 §4.2: t leaves out the time in which the application, not cwnd, limits the flight.
    pub(super) fn pause(&mut self) {
        if let Some(stage) = self.curve.as_deref_mut().and_then(|curve| curve.stage.as_mut()) {
            stage.clock = None;
        }
    }
}

/// cwnd in segments.
fn segments(window: &Window) -> f64 {
    f64::from(window.cwnd()) / f64::from(window.smss())
}

impl Curve {
    fn plus_plus(&mut self, ack: &Ack) -> Pace {
        if let Detector::PlusPlus(hystart) = &mut self.detector {
            return hystart.on_ack(ack);
        }
        self.detector = Detector::default();
        Pace::Standard
    }

    fn classic(&mut self, ack: &Ack, window: u32) -> Pace {
        if let Detector::Classic(hystart) = &mut self.detector {
            return hystart.on_ack(ack, window);
        }
        let mut hystart = ClassicHyStart::default();
        let pace = hystart.on_ack(ack, window);
        self.detector = Detector::Classic(hystart);
        pace
    }

    fn on_rtt(&mut self, sample: Duration) {
        let sample = sample.as_secs_f64();
        self.rtt = if self.rtt == 0.0 { sample } else { 0.875 * self.rtt + 0.125 * sample };
    }

    fn on_loss(&mut self, cwnd: f64) {
        // RFC 9438 §4.7, fast convergence: a flow that lost before it had climbed back leaves room for a
        // new one.
        let climbing = self.w_max.is_some_and(|w_max| cwnd < w_max);
        self.w_max = Some(if climbing { cwnd * (1.0 + BETA) / 2.0 } else { cwnd });
        self.cwnd_prior = cwnd;
        self.stage = None;
        self.credit = 0.0;
    }

    /// How many segments cwnd grows by on an ACK of `acked` segments.
    fn growth(&mut self, cwnd: f64, acked: f64, now: Instant) -> f64 {
        let (rtt, cwnd_prior) = (self.rtt, self.cwnd_prior);
        let w_max = *self.w_max.get_or_insert(cwnd);
        let stage = self.stage.get_or_insert_with(|| Stage::new(cwnd, w_max));
        stage.advance(now);
        // RFC 9438 §4.3: W_est = W_est + alpha_cubic * segments_acked / cwnd; alpha_cubic is 1 once W_est
        // has reached cwnd_prior.
        let alpha = if stage.w_est >= cwnd_prior { 1.0 } else { ALPHA };
        stage.w_est += alpha * acked / cwnd;
        // RFC 9438 §4.3: where W_cubic(t) lies below W_est, cwnd becomes W_est: never less than Reno.
        if stage.w_cubic(stage.elapsed) < stage.w_est {
            return (stage.w_est - cwnd).max(0.0);
        }
        // RFC 9438 §4.2, the target one round trip ahead, bounded; §4.4, §4.5: (target - cwnd) / cwnd for
        // each segment acknowledged.
        let target = stage.w_cubic(stage.elapsed + rtt).clamp(cwnd, 1.5 * cwnd);
        (target - cwnd) / cwnd * acked
    }
}

impl Stage {
    fn new(cwnd_epoch: f64, w_max: f64) -> Self {
        // RFC 9438 §4.2, equation (2); past the plateau already, the curve begins at it.
        let w_max = w_max.max(cwnd_epoch);
        let k = ((w_max - cwnd_epoch) / C).cbrt();
        Self { w_max, k, w_est: cwnd_epoch, elapsed: 0.0, clock: None }
    }

    fn advance(&mut self, now: Instant) {
        if let Some(before) = self.clock {
            self.elapsed += now.since(before).as_secs_f64();
        }
        self.clock = Some(now);
    }

    /// RFC 9438 §4.2, equation (1).
    fn w_cubic(&self, t: f64) -> f64 {
        C * (t - self.k).powi(3) + self.w_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::SeqNum;
    use crate::tcp::congestion::{Algorithm, Controller, Kind, model};

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
        // The first round with the longer round trip is found after its eighth sample, then CSS grows by
        // a quarter a round for five rounds.
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
}

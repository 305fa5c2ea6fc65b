//! State machine tests against draft-ietf-ccwg-bbr and the draft's example test cases (appendix A).

use super::state::{Flow, NO_VOLUME, State};
use crate::tcp::congestion::Algorithm;
use crate::tcp::congestion::controller::Kind;
use crate::tcp::congestion::model::{Link, MSS, Path};
use crate::time::{Duration, Instant};

/// Returns the goodput of a link in bytes of data per second.
fn goodput(link: &Link) -> f64 {
    link.rate as f64 / 8.0 * f64::from(MSS) / f64::from(MSS + 66)
}

impl Path {
    fn bbr(&self) -> &Flow {
        let Kind::Bbr(_, bbr) = &self.senders[0].c.0 else { panic!("the algorithm is BBR") };
        bbr.0.as_ref().expect("data was sent")
    }

    /// Runs until `done`, for at most `ms`; returns the states seen.
    fn run_until(&mut self, ms: u64, done: impl Fn(&Flow) -> bool) -> Vec<State> {
        self.run_us(1);
        let mut seen = vec![self.bbr().state];
        for _ in 0..ms * 2 {
            if done(self.bbr()) {
                return seen;
            }
            self.run_us(500);
            let state = self.bbr().state;
            if *seen.last().expect("never empty") != state {
                seen.push(state);
            }
        }
        panic!("not reached within {ms} ms: {seen:?}");
    }
}

fn path(link: Link) -> Path {
    Path::of(Algorithm::Bbr, link)
}

#[test]
fn startup_ends_on_a_plateau_with_the_bandwidth_known_to_two_percent() {
    // Appendix A.1: "the estimated bandwidth is close (i.e., within 2%) to the simulated
    // bandwidth".
    for (mbit, rtt_ms) in [(10, 20), (100, 1), (100, 100)] {
        let mut path = path(Link::new(mbit, rtt_ms, 4.0));
        let seen = path.run_until(20 * rtt_ms + 100, |flow| flow.state != State::Startup);
        assert_eq!(seen.first(), Some(&State::Startup));
        assert!(path.bbr().full_bw_reached);
        let ratio = path.bbr().max_bw() as f64 / goodput(&path.link);
        assert!((0.98..1.02).contains(&ratio), "{mbit} Mbit/s {rtt_ms} ms: {ratio}");
    }
}

#[test]
fn drain_ends_when_the_flight_fits_the_bdp() {
    // Appendix A.3, §5.3.2
    let mut path = path(Link::new(100, 50, 4.0));
    path.run_until(2000, |flow| flow.state == State::Drain);
    let begun = path.now;
    path.run_until(500, |flow| flow.state != State::Drain);
    assert!(path.bbr().state.is_probe_bw(), "{:?}", path.bbr().state);
    assert!(path.now.since(begun) < Duration::from_millis(150), "about a round trip");
}

#[test]
fn probe_bw_cycles_through_down_cruise_refill_up() {
    // §5.3.3; the wait is 2 to 3 s, or 62 to 63 rounds (§5.3.3.8).
    let mut path = path(Link::new(100, 50, 4.0));
    path.run_until(3000, |flow| flow.state == State::ProbeBwCruise);
    let begun = path.now;
    let seen = path.run_until(10_000, |flow| flow.state == State::ProbeBwUp);
    assert_eq!(seen, [State::ProbeBwCruise, State::ProbeBwRefill, State::ProbeBwUp]);
    let waited = path.now.since(begun);
    assert!((1_700..3_200).contains(&waited.as_millis()), "{waited:?}");
    let seen = path.run_until(3000, |flow| flow.state == State::ProbeBwCruise);
    assert_eq!(seen, [State::ProbeBwUp, State::ProbeBwDown, State::ProbeBwCruise]);
}

#[test]
fn gains_match_the_table_of_the_draft() {
    // §5.6.1
    let table = [
        (State::Startup, 277, 200),
        (State::Drain, 50, 200),
        (State::ProbeBwDown, 90, 200),
        (State::ProbeBwCruise, 100, 200),
        (State::ProbeBwRefill, 100, 200),
        (State::ProbeBwUp, 125, 225),
        (State::ProbeRtt, 100, 50),
    ];
    for (state, pacing, cwnd) in table {
        assert_eq!((state.pacing_gain(), state.cwnd_gain()), (pacing, cwnd), "{state:?}");
    }
}

#[test]
fn probe_rtt_starts_after_five_seconds_and_halves_the_flight() {
    // §5.3.4, appendix A.10: a longer round trip hides the old minimum.
    let mut path = path(Link::new(20, 20, 4.0));
    path.run_ms(1000);
    let bdp = goodput(&path.link) * 0.02;
    path.link.rtt = Duration::from_millis(30);
    path.run_until(6_000, |flow| flow.state == State::ProbeRtt);
    let begun = path.now;
    path.run_ms(100);
    assert!(f64::from(path.senders[0].c.cwnd()) <= 0.75 * bdp, "{}", path.senders[0].c.cwnd());
    path.run_until(1_000, |flow| flow.state != State::ProbeRtt);
    assert_eq!(path.bbr().state, State::ProbeBwCruise, "§5.3.4.4");
    let took = path.now.since(begun).as_millis();
    assert!((200..400).contains(&took), "{took} ms");
    path.run_ms(6_000);
    assert_eq!(path.bbr().min_rtt.map(Duration::as_millis), Some(30), "§5.5.7");
}

#[test]
fn an_application_limited_flow_stays_in_startup() {
    // Appendix A.7: app-limited samples do not show a full pipe.
    let mut path = path(Link::new(100, 20, 1.0));
    path.senders[0].backlog = 0;
    for _ in 0..200 {
        path.senders[0].backlog += 5;
        path.wake(0);
        path.run_ms(20);
    }
    assert_eq!(path.bbr().state, State::Startup);
}

#[test]
fn loss_ends_startup_and_bounds_the_flight() {
    // §5.3.1.3
    let mut path = path(Link::new(100, 20, 0.05));
    path.run_until(1_000, |flow| flow.state != State::Startup);
    path.run_ms(3_000);
    let flow = path.bbr();
    assert!(flow.full_bw_reached);
    assert_ne!(flow.inflight_longterm, NO_VOLUME);
}

#[test]
fn a_tenfold_bandwidth_is_found_within_a_few_cycles() {
    // Appendix A.14
    let mut path = path(Link::new(10, 20, 2.0));
    path.run_ms(3_000);
    path.link = Link::new(100, 20, 2.0);
    path.run_ms(15_000);
    let share = path.share_over_ms(2_000);
    assert!(share > 0.85, "{share:.3}");
}

#[test]
fn a_drop_to_a_tenth_of_the_bandwidth_is_followed() {
    // Appendix A.15
    let mut path = path(Link::new(100, 20, 2.0));
    path.run_ms(3_000);
    path.link = Link::new(10, 20, 2.0);
    path.run_ms(10_000);
    let ratio = path.bbr().max_bw() as f64 / goodput(&path.link);
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
    assert!(path.senders[0].mean_rtt() < Duration::from_millis(500));
}

#[test]
fn a_spurious_loss_restores_the_state_and_the_window() {
    // §5.5.11.2, appendix A.17
    let mut path = path(Link::new(100, 20, 4.0));
    path.run_ms(60);
    assert_eq!(path.bbr().state, State::Startup);
    let cwnd = path.senders[0].c.cwnd();
    let now = path.now;
    let c = &mut path.senders[0].c;
    c.on_timeout(cwnd, now);
    assert_eq!(c.cwnd(), MSS, "§5.6.4.4: one segment");
    c.on_undo();
    assert_eq!(c.cwnd(), cwnd);
}

#[test]
fn undo_returns_to_startup_after_a_spurious_mark() {
    // §5.5.11.2: undo_state = Startup
    let mut path = path(Link::new(100, 20, 4.0));
    path.run_ms(60);
    path.senders[0].c.on_congestion_echo(100_000, Instant::ZERO);
    assert_eq!(path.bbr().state, State::Drain);
    assert!(path.bbr().full_bw_reached);
    path.senders[0].c.on_undo();
    assert_eq!(path.bbr().state, State::Startup);
    assert!(!path.bbr().full_bw_reached);
}

#[test]
fn restart_from_idle_paces_at_the_bandwidth_and_skips_probe_rtt() {
    // §5.4, appendix A.11
    let mut path = path(Link::new(100, 20, 4.0));
    path.run_until(3000, |flow| flow.state == State::ProbeBwCruise);
    let cwnd = path.senders[0].c.cwnd();
    path.senders[0].backlog = 0;
    path.run_ms(20_000);
    path.senders[0].backlog = 50;
    path.wake(0);
    assert!(path.bbr().idle_restart);
    assert!(path.senders[0].c.cwnd() >= cwnd / 2);
    let rate = path.bbr().pacing_rate as f64 / goodput(&path.link);
    assert!((0.95..1.02).contains(&rate), "{rate}");
    path.run_ms(100);
    assert_ne!(path.bbr().state, State::ProbeRtt);
}

#[test]
fn the_initial_pacing_rate_is_the_startup_gain_times_the_initial_window_per_rtt() {
    // §5.6.2: StartupPacingGain * InitialCwnd / srtt
    let path = path(Link::new(100, 20, 1.0));
    let c = &path.senders[0].c;
    let rate = c.pacing_rate(Some(Duration::from_millis(100)), false);
    assert_eq!(rate, Some(u64::from(10 * MSS) * 10 * 277 / 100));
}

#[test]
fn cwnd_never_falls_below_one_segment_nor_the_pacing_rate_to_zero() {
    let mut path = path(Link { loss: 0.3, ..Link::new(1, 300, 0.1) });
    for _ in 0..200 {
        path.run_ms(100);
        let c = &path.senders[0].c;
        assert!(c.cwnd() >= MSS);
        assert!(c.pacing_rate(None, false).is_some_and(|rate| rate > 0));
    }
}

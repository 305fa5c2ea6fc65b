//! Steady state of each algorithm on the path model, without the rest of the stack.

use super::Algorithm::{self, Bbr, Cubic, Dctcp, NewReno};
use super::model::{Link, Path, jain};
use crate::time::Duration;

/// Returns the share of the bottleneck that one flow gets after its start.
fn share(algorithm: Algorithm, link: Link) -> f64 {
    let mut path = Path::of(algorithm, link);
    path.run_ms(2000);
    path.share_over_ms(4000)
}

/// Returns the shares of `flows` flows, started half a second apart, after convergence.
fn shares(algorithm: Algorithm, flows: usize, link: Link) -> Vec<f64> {
    let mut path = Path::of(algorithm, link);
    for _ in 1..flows {
        path.run_ms(500);
        path.add(algorithm);
    }
    path.run_ms(20_000);
    path.shares_over_ms(20_000)
}

#[test]
fn with_a_buffer_of_one_bdp_every_algorithm_fills_the_path() {
    // RFC 9438 §5.2 and draft-ietf-ccwg-bbr §3.1 promise high utilization.
    for (mbit, rtt_ms) in [(10, 20), (100, 1), (100, 20)] {
        for algorithm in [NewReno, Cubic, Bbr] {
            let share = share(algorithm, Link::new(mbit, rtt_ms, 1.0));
            assert!(share > 0.95, "{algorithm:?} {mbit} Mbit/s {rtt_ms} ms: {share:.3}");
        }
    }
}

#[test]
fn cubic_and_bbr_fill_a_gigabit() {
    for algorithm in [Cubic, Bbr] {
        let share = share(algorithm, Link::new(1000, 10, 1.0));
        assert!(share > 0.9, "{algorithm:?}: {share:.3}");
    }
}

#[test]
fn a_buffer_of_a_tenth_of_a_bdp_costs_little() {
    for (algorithm, least) in [(NewReno, 0.7), (Cubic, 0.8), (Bbr, 0.9)] {
        let share = share(algorithm, Link::new(100, 20, 0.1));
        assert!(share > least, "{algorithm:?}: {share:.3}");
    }
}

#[test]
fn random_loss_limits_reno_and_cubic_to_the_square_root_law_but_not_bbr() {
    // RFC 5681's window averages sqrt(3/2 / p) segments: for 1 % 12.2 of the 165 that fit.
    // RFC 9438 §4.3 makes CUBIC equal there. draft-ietf-ccwg-bbr §3.1 tolerates 1 % per round.
    let link = Link { loss: 0.01, ..Link::new(100, 20, 1.0) };
    for algorithm in [NewReno, Cubic] {
        let share = share(algorithm, link);
        assert!((0.06..0.1).contains(&share), "{algorithm:?}: {share:.3}");
    }
    // Long enough for several probes, each of which may fail by chance.
    let mut path = Path::of(Bbr, link);
    path.run_ms(2000);
    let share = path.share_over_ms(30_000);
    assert!(share > 0.8, "{share:.3}");
}

#[test]
fn cubic_fills_a_deep_buffer_and_bbr_keeps_it_empty() {
    let link = Link::new(100, 20, 4.0);
    let mean_rtt = |algorithm| {
        let mut path = Path::of(algorithm, link);
        path.run_ms(3000);
        path.share_over_ms(4000);
        path.senders[0].mean_rtt()
    };
    assert!(mean_rtt(Cubic) > Duration::from_millis(50));
    assert!(mean_rtt(Bbr) < Duration::from_millis(25));
}

#[test]
fn equal_flows_share_equally() {
    for algorithm in [NewReno, Cubic, Bbr] {
        for flows in [2, 4] {
            let shares = shares(algorithm, flows, Link::new(50, 20, 1.0));
            let (index, sum) = (jain(&shares), shares.iter().sum::<f64>());
            assert!(index > 0.95 && sum > 0.9, "{algorithm:?}: {index:.3} of {shares:.3?}");
        }
    }
}

#[test]
fn dctcp_fills_the_path_with_a_short_queue() {
    // RFC 8257 §1: "high burst tolerance, low latency, and high throughput with shallow-buffered
    // switches"; 30 kB at 1 Gbit/s are 0.24 ms.
    let mut path = Path::of(Dctcp, Link { mark_from: Some(30_000), ..Link::new(1000, 1, 4.0) });
    path.run_ms(1000);
    let share = path.share_over_ms(1000);
    let rtt = path.senders[0].mean_rtt();
    assert!(share > 0.95 && rtt < Duration::from_micros(1400), "{share:.3} {rtt:?}");
    assert_eq!(path.dropped, 0);
}

#[test]
fn ecn_replaces_loss_for_the_other_algorithms() {
    // RFC 3168 §6.1.2, RFC 8511, draft-ietf-ccwg-bbr §3.6: marks bound the queue, nothing is
    // dropped.
    for (algorithm, least) in [(NewReno, 0.95), (Cubic, 0.95), (Bbr, 0.85)] {
        let link = Link { mark_from: Some(125_000), ..Link::new(100, 20, 4.0) };
        let mut path = Path::of(algorithm, link);
        path.echoes = true;
        path.run_ms(2000);
        let share = path.share_over_ms(4000);
        assert!(share > least, "{algorithm:?}: {share:.3}");
        assert_eq!(path.dropped, 0, "{algorithm:?}");
    }
}

//! The steady state of each algorithm on a path of its own, without the rest of the stack.

use super::Algorithm::{self, Bbr, Cubic, Dctcp, NewReno};
use super::model::{Link, Path, jain};
use crate::time::Duration;

/// The share of the bottleneck that one flow has after its start.
fn share(algorithm: Algorithm, link: Link) -> f64 {
    let mut path = Path::of(algorithm, link);
    path.run_ms(2000);
    path.share_over_ms(4000)
}

/// The shares of `flows` flows that started half a second apart, once they have had time to
/// converge.
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
fn a_buffer_of_one_bdp_lets_each_fill_the_path() {
    // RFC 9438 §5.2 and draft-ietf-ccwg-bbr §3.1 promise high utilization.
    for (mbit, rtt_ms) in [(10, 20), (100, 1), (100, 20)] {
        for algorithm in [NewReno, Cubic, Bbr] {
            let share = share(algorithm, Link::new(mbit, rtt_ms, 1.0));
            assert!(share > 0.95, "{algorithm:?} {mbit} Mbit/s {rtt_ms} ms: {share:.3}");
        }
    }
}

#[test]
fn a_gigabit_is_filled_by_those_made_for_it() {
    for algorithm in [Cubic, Bbr] {
        let share = share(algorithm, Link::new(1000, 10, 1.0));
        assert!(share > 0.9, "{algorithm:?}: {share:.3}");
    }
}

#[test]
fn a_tenth_of_a_bdp_costs_little() {
    for (algorithm, least) in [(NewReno, 0.7), (Cubic, 0.8), (Bbr, 0.9)] {
        let share = share(algorithm, Link::new(100, 20, 0.1));
        assert!(share > least, "{algorithm:?}: {share:.3}");
    }
}

#[test]
fn random_loss_holds_reno_and_cubic_down_to_the_square_root_law_but_not_bbr() {
    // RFC 5681's window is sqrt(3/2 / p) segments on average: 12.2 of the 165 that fit, for 1 %;
    // RFC 9438 §4.3 makes CUBIC the same there. draft-ietf-ccwg-bbr §3.1 tolerates 1 % a round.
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
fn a_deep_buffer_is_filled_by_loss_and_left_empty_by_bbr() {
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
fn marks_at_a_shallow_threshold_let_dctcp_fill_the_path_with_a_short_queue() {
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
fn ecn_replaces_loss_for_the_others_too() {
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

//! Rates from the difference between two snapshots.

use linerate::runtime::control::{Counts, Snapshot, WorkerSnapshot};
use serde_json::{Map, Value, json};

use super::latency::{percentiles, since};

/// Selects a set of counters of a worker.
type Select = fn(&WorkerSnapshot) -> &Counts;

/// Returns the output of `linerate top --json`.
pub(super) fn figures(now: &Snapshot, before: &Snapshot) -> Value {
    let seconds = now.at_ns.saturating_sub(before.at_ns) as f64 / 1e9;
    let between = |select: Select| table(&now.counts(select), &before.counts(select), seconds);
    let turns = since(&now.counts(|it| &it.turns), &before.counts(|it| &it.turns));
    let handshakes = since(&now.counts(|it| &it.handshakes), &before.counts(|it| &it.handshakes));
    let waits = since(&now.counts(|it| &it.waits), &before.counts(|it| &it.waits));
    let workers = now.workers.iter().map(|is| {
        let was = before.workers.iter().find(|it| it.queue == is.queue);
        worker(is, was, seconds)
    });
    json!({
        "pid": now.pid,
        "interface": now.interface,
        "uptime_seconds": now.at_ns as f64 / 1e9,
        "seconds": seconds,
        "connections": now.sum(|it| it.connections),
        "time_waits": now.sum(|it| it.time_waits),
        "events": between(|it| &it.events),
        "drops": between(|it| &it.drops),
        "link": between(|it| &it.link),
        "turn": percentiles(&turns),
        "handshake": percentiles(&handshakes),
        "wait": percentiles(&waits),
        "workers": workers.collect::<Vec<_>>(),
    })
}

fn worker(is: &WorkerSnapshot, was: Option<&WorkerSnapshot>, seconds: f64) -> Value {
    let none = Counts::new();
    let between = |select: Select| table(select(is), was.map_or(&none, select), seconds);
    json!({
        "queue": is.queue,
        "connections": is.connections,
        "time_waits": is.time_waits,
        "events": between(|it| &it.events),
        "link": between(|it| &it.link),
    })
}

/// Returns the total and the rate per second of each counter.
fn table(is: &Counts, was: &Counts, seconds: f64) -> Value {
    let entry = |(name, total): (&String, &u64)| {
        let new = total.saturating_sub(was.get(name).copied().unwrap_or(0));
        let rate = if seconds > 0.0 { new as f64 / seconds } else { 0.0 };
        (name.clone(), json!({ "total": total, "per_second": rate }))
    };
    is.iter().map(entry).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use linerate::runtime::control::LatencyBuckets;

    fn snapshot(at_ns: u64, segments: u64, drops: Option<u64>, handshakes: u64) -> Snapshot {
        let named = |name: &str, count| Counts::from([(name.to_owned(), count)]);
        let worker = WorkerSnapshot {
            queue: 3,
            connections: 2,
            time_waits: 1,
            events: named("segments-in", segments),
            drops: drops.map(|count| named("out-of-window", count)).unwrap_or_default(),
            link: named("rx_frames", segments),
            turns: LatencyBuckets::new(),
            handshakes: LatencyBuckets::from([(1_000_000, handshakes)]),
            waits: LatencyBuckets::from([(3_000, handshakes)]),
        };
        Snapshot { pid: 1, interface: "eth0".into(), at_ns, workers: vec![worker] }
    }

    #[test]
    fn rates_are_those_between_two_snapshots() {
        let before = snapshot(1_000_000_000, 100, None, 5);
        let report = figures(&snapshot(3_000_000_000, 700, Some(4), 25), &before);
        let both = |total: u64, rate: f64| json!({ "total": total, "per_second": rate });
        assert_eq!(report["events"]["segments-in"], both(700, 300.0));
        assert_eq!(report["drops"], json!({ "out-of-window": both(4, 2.0) }));
        assert_eq!(report["workers"][0]["link"]["rx_frames"], both(700, 300.0));
        assert_eq!((&report["connections"], &report["time_waits"]), (&json!(2), &json!(1)));
        assert_eq!((&report["seconds"], &report["uptime_seconds"]), (&json!(2.0), &json!(3.0)));
        assert_eq!(report["handshake"]["count"], 20);
        assert_eq!(report["wait"]["count"], 20);
        assert_eq!(report["turn"], Value::Null);
    }
}

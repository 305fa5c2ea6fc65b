//! Each congestion control at a bottleneck: throughput over loss, round trip, queue and rate, the
//! queueing delay, fairness, and the windows over time. Whole stacks in a simulated world: the same
//! numbers each time.
//!
//! `cargo run --release -p linerate --no-default-features --example bottleneck [-- FOLDER]`
//!
//! Prints the tables of `docs/congestion.md`; with a folder, draws the windows into it as SVG.

mod plot;

use std::path::Path;

use linerate::shard::Algorithm;
use linerate::sim::{Bottleneck, Report};
use linerate::time::Duration;

/// The algorithms that run on a path without ECN.
const SHOWN: [Algorithm; 3] = [Algorithm::NewReno, Algorithm::Cubic, Algorithm::Bbr];

fn main() -> std::io::Result<()> {
    throughput_over_loss();
    throughput_over_round_trip();
    throughput_over_queue();
    throughput_over_rate();
    slow_start();
    marks();
    fairness();
    if let Some(folder) = std::env::args().nth(1) {
        draw(Path::new(&folder))?;
    }
    Ok(())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn milliseconds(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1e3)
}

/// Prints a table with a column for each algorithm.
fn table<T: Copy>(
    title: &str,
    name: &str,
    values: &[T],
    label: impl Fn(T) -> String,
    trial: impl Fn(Algorithm, T) -> Bottleneck,
    cell: impl Fn(&Report) -> String,
) {
    println!("\n{title}\n\n| {name} | {} |", SHOWN.map(Algorithm::name).join(" | "));
    println!("|---|{}", "---|".repeat(SHOWN.len()));
    for &value in values {
        let cells = SHOWN.map(|algorithm| cell(&trial(algorithm, value).run()));
        println!("| {} | {} |", label(value), cells.join(" | "));
    }
}

fn throughput_over_loss() {
    table(
        "Throughput over random loss: 100 Mbit/s, 20 ms, a queue of 1 BDP",
        "loss",
        &[0.0, 0.001, 0.005, 0.01, 0.02, 0.05],
        |loss| format!("{:.1} %", loss * 100.0),
        |algorithm, loss| Bottleneck {
            loss,
            measure: Duration::from_secs(20),
            ..Bottleneck::new(algorithm, 100, 20)
        },
        |report| percent(report.share()),
    );
}

fn throughput_over_round_trip() {
    table(
        "Throughput over the round trip: 100 Mbit/s, a queue of 1 BDP",
        "round trip",
        &[1, 5, 20, 50, 100, 200],
        |rtt_ms| format!("{rtt_ms} ms"),
        |algorithm, rtt_ms| Bottleneck {
            settle: Duration::from_millis(3000 + 40 * rtt_ms),
            measure: Duration::from_millis(5000 + 50 * rtt_ms),
            ..Bottleneck::new(algorithm, 100, rtt_ms)
        },
        |report| percent(report.share()),
    );
}

fn throughput_over_queue() {
    table(
        "Throughput, queueing delay and retransmitted segments over the queue: 100 Mbit/s, 20 ms",
        "queue",
        &[0.1, 0.25, 0.5, 1.0, 2.0, 4.0],
        |queue_bdp| format!("{queue_bdp} BDP"),
        |algorithm, queue_bdp| Bottleneck {
            queue_bdp,
            measure: Duration::from_secs(10),
            ..Bottleneck::new(algorithm, 100, 20)
        },
        |report| {
            let (share, delay) = (percent(report.share()), milliseconds(report.queueing));
            format!("{share}, {delay}, {:.2} %", report.resent * 100.0)
        },
    );
}

fn throughput_over_rate() {
    table(
        "Throughput over the rate: 20 ms, a queue of 1 BDP",
        "rate",
        &[10, 100, 300, 1000],
        |mbit| format!("{mbit} Mbit/s"),
        |algorithm, mbit| Bottleneck {
            settle: Duration::from_secs(5),
            ..Bottleneck::new(algorithm, mbit, 20)
        },
        |report| percent(report.share()),
    );
}

/// NewReno starts as in RFC 5681, CUBIC with HyStart++.
fn slow_start() {
    println!("\nRetransmitted segments in the first two seconds: 100 Mbit/s, a queue of 4 BDP\n");
    println!("| round trip | newreno | cubic |\n|---|---|---|");
    for rtt_ms in [10, 20, 50] {
        let cells = [Algorithm::NewReno, Algorithm::Cubic].map(|algorithm| {
            let report = Bottleneck {
                queue_bdp: 4.0,
                settle: Duration::from_secs(1),
                measure: Duration::from_secs(1),
                ..Bottleneck::new(algorithm, 100, rtt_ms)
            }
            .run();
            format!("{:.2} %", report.resent * 100.0)
        });
        println!("| {rtt_ms} ms | {} |", cells.join(" | "));
    }
}

/// A queue that marks above a threshold, with Accurate ECN.
fn marks() {
    println!("\nMarks instead of losses: a queue of 4 BDP that marks from a threshold on\n");
    println!("| path | threshold | flow | share | queueing | retransmitted |");
    println!("|---|---|---|---|---|---|");
    let lan = (1000, 1, 20, &[Algorithm::Dctcp, Algorithm::Cubic][..]);
    let wan = (100, 20, 83, &Algorithm::ALL[..]);
    for (mbit, rtt_ms, frames, algorithms) in [lan, wan] {
        for &algorithm in algorithms {
            let report = Bottleneck {
                queue_bdp: 4.0,
                mark: Some(frames),
                ..Bottleneck::new(algorithm, mbit, rtt_ms)
            }
            .run();
            println!(
                "| {mbit} Mbit/s, {rtt_ms} ms | {frames} frames, {:.2} ms | {} | {} | {:.2} ms | {:.2} % |",
                frames as f64 * 1514.0 * 8.0 / mbit as f64 / 1e3,
                algorithm.name(),
                percent(report.share()),
                report.queueing.as_secs_f64() * 1e3,
                report.resent * 100.0
            );
        }
    }
}

fn fairness() {
    println!(
        "\nFairness: 100 Mbit/s, 20 ms, a queue of 1 BDP, flows half a second apart, over a minute\n"
    );
    println!("| flows | shares | total | Jain | queueing |\n|---|---|---|---|---|");
    let mut mixes: Vec<Vec<Algorithm>> = Vec::new();
    for algorithm in SHOWN {
        mixes.extend([vec![algorithm; 2], vec![algorithm; 4]]);
    }
    mixes.push(vec![Algorithm::NewReno, Algorithm::Cubic]);
    mixes.push(vec![Algorithm::Cubic, Algorithm::Bbr]);
    for flows in mixes {
        let names: Vec<_> = flows.iter().map(|flow| flow.name()).collect();
        let report = sharing(flows).run();
        let shares: Vec<_> = report.flows.iter().map(|flow| percent(flow.share)).collect();
        println!(
            "| {} | {} | {} | {:.3} | {} |",
            names.join(", "),
            shares.join(", "),
            percent(report.share()),
            report.jain(),
            milliseconds(report.queueing)
        );
    }
}

/// Two flows: time to converge, then time over which their cycles even out.
fn sharing(flows: Vec<Algorithm>) -> Bottleneck {
    Bottleneck {
        flows,
        settle: Duration::from_secs(20),
        measure: Duration::from_secs(60),
        ..Bottleneck::new(Algorithm::Cubic, 100, 20)
    }
}

fn draw(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for algorithm in SHOWN {
        for flows in [1, 2] {
            let name = algorithm.name();
            let bottleneck = Bottleneck {
                flows: vec![algorithm; flows],
                stagger: Duration::from_secs(3),
                settle: Duration::from_secs(5),
                measure: Duration::from_secs(15),
                ..Bottleneck::new(algorithm, 100, 20)
            };
            let report = bottleneck.run();
            let what = if flows == 1 { "one flow" } else { "two flows" };
            let title = format!("{name}, {what}: 100 Mbit/s, 20 ms, a queue of 1 BDP");
            let svg = plot::windows(&title, &bottleneck, &report);
            std::fs::write(folder.join(format!("{name}-{flows}.svg")), svg)?;
        }
    }
    Ok(())
}

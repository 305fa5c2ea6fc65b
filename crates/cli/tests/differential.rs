//! Sends the same segments to the kernel's TCP and to linerate's, over a veth. Both must answer
//! alike, or `docs/differential.md` must list the difference with the reason. An unused row fails
//! the test too.
//!
//! A tester without a stack replays hand-written and random sequences, all at once, each from its
//! own port, to the same echo service on both stacks.

#[path = "differential/answer.rs"]
mod answer;
#[path = "differential/explanations.rs"]
mod explanations;
#[path = "differential/replay.rs"]
mod replay;
#[path = "differential/sequences.rs"]
mod sequences;
mod support;
#[path = "differential/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use explanations::{Difference, Explanations};
use replay::Replay;
use sequences::Sequence;
use support::{LEFT, LEFT_OWN, Net, Server, cidr, linerate, sh};
use wire::Wire;

/// Number of random sequences. The number of each one is its seed.
const RANDOM_SEQUENCES: u64 = 150;

/// Number of rounds in which a difference must occur. Scheduling causes one that comes and goes.
const ROUNDS: u16 = 3;

/// Disables kernel features that make its answers depend on time or history: rate limits of
/// replies and the metrics cache.
fn make_kernel_deterministic(ns: &str) {
    for setting in [
        "net.ipv4.tcp_invalid_ratelimit=0",
        "net.ipv4.tcp_no_metrics_save=1",
        "net.ipv4.tcp_fin_timeout=60",
        "net.ipv4.tcp_rfc1337=1",
    ] {
        sh(&format!("ip netns exec {ns} sysctl -qw {setting}"));
    }
}

/// Replays sequences to both stacks. Returns the first difference of each sequence.
fn differences(net: &Net, sequences: &[Sequence], round: u16) -> BTreeMap<String, Difference> {
    let sequences = sequences.to_vec();
    let left = support::hardware_address(&net.left());
    net.on_right(move || {
        let mut wire = Wire::open(left);
        let mut replays: Vec<_> = (0..)
            .zip(&sequences)
            .flat_map(|(n, sequence)| {
                let port = 20_000 + round * 2_000 + n;
                [Replay::new(sequence, LEFT, port), Replay::new(sequence, LEFT_OWN, port)]
            })
            .collect();
        replay::run(&mut wire, &mut replays);
        for (pair, _) in replays.chunks(2).zip(&sequences).filter(|(_, it)| it.is_echo()) {
            let echoed = |replay: &Replay| replay.answers[2].0.contains("text 20");
            assert!(pair.iter().all(echoed), "a stack does not echo: {}", pair[0].answers[2]);
        }
        let pairs = replays.chunks(2).zip(&sequences);
        pairs
            .filter_map(|(pair, sequence)| {
                let difference = Difference::first(&pair[0], &pair[1])?;
                Some((sequence.name.clone(), difference))
            })
            .collect()
    })
}

/// Starts the same service on the kernel's sockets and waits until it accepts connections.
fn kernel_service(net: &Net) -> Child {
    let mut command = linerate(&net.left(), "serve --stack kernel --service echo:7");
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the kernel service starts");
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    stdout.read_line(&mut first).expect("stdout is UTF-8");
    assert_eq!(first, "ready\n");
    child
}

#[test]
fn linerate_answers_as_the_kernel_does_or_the_difference_is_explained() {
    let net = Net::new();
    make_kernel_deterministic(&net.left());
    let _server: Server =
        net.serve(&format!("--address {} --service echo:7", cidr(LEFT_OWN.into())));
    let mut kernel = kernel_service(&net);

    let mut all = sequences::scripted();
    all.extend((0..RANDOM_SEQUENCES).map(sequences::random));
    let mut explanations = Explanations::read();
    let mut stable = differences(&net, &all, 0);
    for round in 1..ROUNDS {
        stable.values().for_each(|difference| explanations.mark_used(difference));
        all.retain(|sequence| stable.contains_key(&sequence.name) || sequence.is_echo());
        let repeated = differences(&net, &all, round);
        stable.retain(|name, difference| repeated.get(name) == Some(difference));
    }
    let _ = kernel.kill();
    let _ = kernel.wait();

    let unexplained: Vec<_> = stable
        .iter()
        .filter(|(_, difference)| !explanations.covers(difference))
        .map(|(name, difference)| {
            let sequence = all.iter().find(|sequence| sequence.name == *name);
            let probes = sequence.iter().flat_map(|sequence| &sequence.probes);
            let probes: Vec<_> = probes.map(ToString::to_string).collect();
            format!("{name} ({}):\n  {difference}", probes.join("; "))
        })
        .collect();
    assert!(unexplained.is_empty(), "\n{}", unexplained.join("\n"));
    let unused = explanations.unused();
    assert!(unused.is_empty(), "unused rows in docs/differential.md:\n{}", unused.join("\n"));
}

//! The same segments to the kernel's TCP and to linerate's, over a veth: what they answer must be the same, or
//! stand in `docs/differential.md` with the reason. An explanation that explains nothing fails too.
//!
//! A tester without a stack plays hand-written sequences and drawn ones, all at once, each from a port of its
//! own, to the same echo service on both stacks.

#[path = "differential/answer.rs"]
mod answer;
#[path = "differential/explained.rs"]
mod explained;
#[path = "differential/play.rs"]
mod play;
#[path = "differential/sequences.rs"]
mod sequences;
mod support;
#[path = "differential/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use explained::{Difference, Explanations};
use play::Play;
use sequences::Sequence;
use support::{LEFT, LEFT_OWN, Net, Server, cidr, linerate, sh};
use wire::Wire;

/// Sequences that are drawn, each from its number.
const DRAWN: u64 = 150;

/// How often a difference must be seen: one that comes and goes is the machine's, not the stacks'.
const SEEN: u16 = 3;

/// The kernel with what depends on its mood turned off: answers that it limits by time, and a metrics cache.
fn calm(ns: &str) {
    for setting in [
        "net.ipv4.tcp_invalid_ratelimit=0",
        "net.ipv4.tcp_no_metrics_save=1",
        "net.ipv4.tcp_fin_timeout=60",
        "net.ipv4.tcp_rfc1337=1",
    ] {
        sh(&format!("ip netns exec {ns} sysctl -qw {setting}"));
    }
}

/// Plays sequences to both stacks; gives the first difference of each.
fn differences(net: &Net, sequences: &[Sequence], round: u16) -> BTreeMap<String, Difference> {
    let sequences = sequences.to_vec();
    let left = support::hardware_address(&net.left());
    net.on_right(move || {
        let mut wire = Wire::open(left);
        let mut plays: Vec<_> = (0..)
            .zip(&sequences)
            .flat_map(|(n, sequence)| {
                let port = 20_000 + round * 2_000 + n;
                [Play::new(sequence, LEFT, port), Play::new(sequence, LEFT_OWN, port)]
            })
            .collect();
        play::run(&mut wire, &mut plays);
        for (pair, _) in plays.chunks(2).zip(&sequences).filter(|(_, it)| it.is_echo()) {
            let echoed = |play: &Play| play.answers[2].0.contains("text 20");
            assert!(pair.iter().all(echoed), "a stack does not even echo: {}", pair[0].answers[2]);
        }
        let pairs = plays.chunks(2).zip(&sequences);
        pairs
            .filter_map(|(pair, sequence)| {
                let difference = Difference::first(&pair[0], &pair[1])?;
                Some((sequence.name.clone(), difference))
            })
            .collect()
    })
}

/// The same service on the kernel's sockets, once it accepts.
fn kernel_service(net: &Net) -> Child {
    let mut command = linerate(&net.left(), "serve --stack kernel --service echo:7");
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the kernel's service starts");
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    stdout.read_line(&mut first).expect("standard output is text");
    assert_eq!(first, "ready\n");
    child
}

#[test]
fn linerate_answers_as_the_kernel_does_or_the_difference_is_explained() {
    let net = Net::new();
    calm(&net.left());
    let _server: Server =
        net.serve(&format!("--address {} --service echo:7", cidr(LEFT_OWN.into())));
    let mut kernel = kernel_service(&net);

    let mut all = sequences::scripted();
    all.extend((0..DRAWN).map(sequences::drawn));
    let mut explanations = Explanations::read();
    let mut stable = differences(&net, &all, 0);
    for round in 1..SEEN {
        stable.values().for_each(|difference| explanations.note(difference));
        all.retain(|sequence| stable.contains_key(&sequence.name) || sequence.is_echo());
        let again = differences(&net, &all, round);
        stable.retain(|name, difference| again.get(name) == Some(difference));
    }
    let _ = kernel.kill();
    let _ = kernel.wait();

    let unexplained: Vec<_> = stable
        .iter()
        .filter(|(_, difference)| !explanations.explain(difference))
        .map(|(name, difference)| {
            let played = all.iter().find(|sequence| sequence.name == *name);
            let shots = played.iter().flat_map(|sequence| &sequence.shots);
            let shots: Vec<_> = shots.map(ToString::to_string).collect();
            format!("{name} ({}):\n  {difference}", shots.join("; "))
        })
        .collect();
    assert!(unexplained.is_empty(), "\n{}", unexplained.join("\n"));
    let unused = explanations.unused();
    assert!(unused.is_empty(), "these explain nothing any more:\n{}", unused.join("\n"));
}

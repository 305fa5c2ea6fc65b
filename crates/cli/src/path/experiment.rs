//! One run: concurrent flows from senders to receivers, through one middlebox.
//!
//! A sender is `serve` with `chargen`, a receiver is `load` that reads from it, so the rates are
//! those of received data. Every run gets new namespaces, so that the kernel has no cached metrics
//! of the path.

use std::net::Ipv4Addr;
use std::time::Duration;

use linerate::link::impair::Impairments;
use linerate::wire::MacAddr;
use serde_json::Value;

use super::middlebox::{Middlebox, Port, Side};
use crate::failure::Failure;
use crate::netns::{Cable, Child, End, Pair, tool};
use crate::network::Cidr;
use crate::options::{CongestionControl, Stack};
use crate::stop::Stop;

/// Port of the senders.
const PORT: u16 = 19;

/// Prefix length of all addresses.
const PREFIX: u8 = 16;

/// Time limit for a host to become ready, and beyond its measurement.
const SLACK: Duration = Duration::from_secs(30);

/// Flows from one sender to one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flows {
    /// Stack that sends.
    pub sender: Stack,
    /// Stack that receives.
    pub receiver: Stack,
    /// Number of flows.
    pub count: u64,
    /// Congestion control of the sender.
    pub control: CongestionControl,
}

/// Conditions that all runs share.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    /// Impairments of the path; tx is from senders to receivers.
    pub impairments: Impairments,
    /// Time that the flows settle before the measurement.
    pub settle: Duration,
    /// Length of the measurement.
    pub duration: Duration,
}

/// Result of a run.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// Received payload of each group of flows, in bits per second.
    pub rates: Vec<f64>,
    /// Frames of the senders: sent, lost at random, and dropped because the queue was full.
    pub frames: [u64; 3],
}

/// A host: its index in the run, and its side.
#[derive(Clone, Copy, Debug)]
struct Host {
    index: u8,
    side: Side,
}

impl Host {
    const fn address(self) -> Ipv4Addr {
        let net = match self.side {
            Side::Sender => 0,
            Side::Receiver => 100,
        };
        Ipv4Addr::new(10, 78, net, self.index + 1)
    }

    const fn mac(self) -> MacAddr {
        MacAddr([0x02, 0x6c, 0x72, 1, self.side as u8, self.index])
    }

    fn interface(self) -> String {
        let side = if self.side == Side::Sender { 's' } else { 'r' };
        format!("p{}{side}{}", std::process::id() % 100_000, self.index)
    }
}

/// Runs all groups concurrently. The random impairments derive from `seed`.
///
/// # Errors
/// When the path cannot be created, a host fails or hangs, or a signal arrives.
pub(super) fn run(
    groups: &[Flows],
    conditions: &Conditions,
    seed: u64,
    stop: &Stop,
) -> Result<Outcome, Failure> {
    let mut ends = Vec::new();
    let mut ports = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        for (side, stack) in [(Side::Sender, group.sender), (Side::Receiver, group.receiver)] {
            let host = Host { index: index as u8, side };
            let (pair, port) = attach_host(host, stack, groups.len() as u8)?;
            ends.push(pair);
            ports.push(port);
        }
    }
    let middlebox = Middlebox::start(ports, &Impairments { seed, ..conditions.impairments });
    let mut senders = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let arguments = serve(index as u8, group);
        let mut sender = Child::spawn(&ends[2 * index].ends[0], &arguments)?;
        sender.await_line(SLACK, stop)?;
        senders.push(sender);
    }
    let receivers: Result<Vec<_>, _> = groups
        .iter()
        .enumerate()
        .map(|(index, group)| {
            Child::spawn(&ends[2 * index + 1].ends[0], &load(index as u8, group, conditions))
        })
        .collect();
    let mut rates = Vec::new();
    for receiver in receivers? {
        let limit = conditions.settle + conditions.duration + SLACK;
        let (output, _) = receiver.await_end(limit, stop)?;
        rates.push(rate(&output)?);
    }
    senders.into_iter().for_each(|sender| drop(sender.finish()));
    let [sent, _] = middlebox.finish();
    Ok(Outcome { rates, frames: [sent.frames, sent.lost, sent.overflowed] })
}

/// Creates a host and connects it to the middlebox.
fn attach_host(host: Host, stack: Stack, groups: u8) -> Result<(Pair, Port), Failure> {
    let (interface, mac) = (host.interface(), host.mac());
    let plug = format!("{interface}m");
    let plug_mac = MacAddr([0x02, 0x6c, 0x72, 2, host.side as u8, host.index]);
    let pair = Pair::new([
        Cable { interface: interface.clone(), mac },
        Cable { interface: plug.clone(), mac: plug_mac },
    ])?;
    if stack == Stack::Kernel {
        configure_kernel(&pair.ends[0], host)?;
    }
    let other = if host.side == Side::Sender { Side::Receiver } else { Side::Sender };
    let peers: Vec<_> = (0..groups).map(|index| Host { index, side: other }.address()).collect();
    let port = pair.ends[1].run(move || Port::open(&plug, host.side, mac, &peers))?;
    Ok((pair, port))
}

/// Configures the kernel's stack: adds the address, and disables segmentation offloads, because the
/// middlebox forwards single frames.
fn configure_kernel(end: &End, host: Host) -> Result<(), Failure> {
    end.add_address(Cidr { address: host.address().into(), prefix: PREFIX })?;
    let interface = host.interface();
    end.run(move || tool("ethtool", &format!("-K {interface} tso off gso off gro off")))
}

/// Returns the arguments that both ends share.
fn common(stack: Stack, host: Host, group: &Flows) -> Vec<String> {
    let mut arguments = vec![
        format!("--stack={}", stack.name()),
        format!("--interface={}", host.interface()),
        format!("--address={}/{PREFIX}", host.address()),
        format!("--cores={}", usize::from(host.side == Side::Receiver)),
        format!("--congestion-control={}", group.control.name()),
    ];
    if stack == Stack::Linerate {
        // No other host has this address, and duplicate address detection would delay the start.
        arguments.push("--claim=off".to_owned());
        if group.control == CongestionControl::Dctcp {
            arguments.push("--ecn=accurate".to_owned());
        }
    }
    arguments
}

fn serve(index: u8, group: &Flows) -> Vec<String> {
    let host = Host { index, side: Side::Sender };
    let mut arguments = vec!["serve".to_owned()];
    arguments.extend(common(group.sender, host, group));
    arguments.push(format!("--service=chargen:{PORT}"));
    arguments
}

fn load(index: u8, group: &Flows, conditions: &Conditions) -> Vec<String> {
    let host = Host { index, side: Side::Receiver };
    let target = Host { index, side: Side::Sender }.address();
    let mut arguments = vec!["load".to_owned()];
    arguments.extend(common(group.receiver, host, group));
    arguments.extend([
        format!("--target={target}:{PORT}"),
        "--pattern=stream".to_owned(),
        "--direction=receive".to_owned(),
        format!("--concurrency={}", group.count),
        format!("--warm-up={}", conditions.settle.as_secs_f64()),
        format!("--duration={}", conditions.duration.as_secs_f64()),
        "--grace=1".to_owned(),
        "--json".to_owned(),
    ]);
    arguments
}

fn rate(output: &str) -> Result<f64, Failure> {
    let report: Result<Value, _> = serde_json::from_str(output);
    let failure = |wrong: &dyn std::fmt::Display| {
        Failure::new("cannot parse the JSON of `linerate load`", wrong, "report this as a bug")
    };
    let report = report.map_err(|error| failure(&error))?;
    let number = |key| report.get(key).and_then(Value::as_f64);
    match (number("bytes_received"), number("seconds")) {
        (Some(bytes), Some(seconds)) if seconds > 0.0 => Ok(bytes * 8.0 / seconds),
        _ => Err(failure(&"bytes_received or seconds is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_counts_received_bytes() {
        let report = r#"{"bytes_received": 2500000, "bytes_sent": 7, "seconds": 2.0}"#;
        assert_eq!(rate(report).expect("a report"), 10e6);
        assert!(rate("{}").is_err() && rate("no").is_err());
    }

    #[test]
    fn hosts_have_unique_names_and_addresses() {
        let hosts = [Side::Sender, Side::Receiver]
            .map(|side| [0, 1].map(|index| Host { index, side }))
            .concat();
        for (n, host) in hosts.iter().enumerate() {
            assert!(host.interface().len() < 15, "too long with the suffix: {}", host.interface());
            for other in &hosts[n + 1..] {
                assert_ne!(host.interface(), other.interface());
                assert_ne!((host.address(), host.mac()), (other.address(), other.mac()));
            }
        }
    }
}

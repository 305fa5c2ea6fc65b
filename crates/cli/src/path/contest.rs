//! One run: streams from senders to receivers, all at the same time, through one box.
//!
//! A sender serves `chargen`, a receiver is `load` that takes from it: what is measured is what arrives.
//! Namespaces are fresh for every run, so that the kernel remembers nothing of the path.

use std::net::Ipv4Addr;
use std::time::Duration;

use linerate::link::impair::Impairments;
use linerate::wire::MacAddr;
use serde_json::Value;

use super::middle::{Middle, Port, Side};
use crate::failure::Failure;
use crate::netns::{Cable, Child, End, Pair, tool};
use crate::network::Cidr;
use crate::options::{CongestionControl, Stack};
use crate::stop::Stop;

/// The port that a sender serves on.
const PORT: u16 = 19;

/// Bits of the network of all addresses here.
const PREFIX: u8 = 16;

/// How long an end may take to be ready, and beyond its measurement.
const SLACK: Duration = Duration::from_secs(30);

/// Streams from one sender to one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// Whose congestion control sends.
    pub sender: Stack,
    /// Whose acknowledgments answer.
    pub receiver: Stack,
    /// How many.
    pub count: u64,
    /// The congestion control.
    pub control: CongestionControl,
}

/// What all runs have in common.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// What is done to frames: tx is from senders to receivers.
    pub impairments: Impairments,
    /// How long the streams may settle.
    pub settle: Duration,
    /// How long they are measured.
    pub duration: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Bits a second that arrived, of payload, of each group of streams.
    pub rates: Vec<f64>,
    /// Frames of senders that went in, that chance took, and that found the queue full.
    pub frames: [u64; 3],
}

/// Where an end is: its number in the run, and its side.
#[derive(Clone, Copy, Debug)]
struct Place {
    index: u8,
    side: Side,
}

impl Place {
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

/// Runs all groups at once, with the path's chance drawn from `seed`.
///
/// # Errors
/// When the path cannot be made, an end fails or hangs, or a signal came.
pub fn run(
    groups: &[Streams],
    conditions: &Conditions,
    seed: u64,
    stop: &Stop,
) -> Result<Outcome, Failure> {
    let mut ends = Vec::new();
    let mut ports = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        for (side, stack) in [(Side::Sender, group.sender), (Side::Receiver, group.receiver)] {
            let place = Place { index: index as u8, side };
            let (pair, port) = plug_in(place, stack, groups.len() as u8)?;
            ends.push(pair);
            ports.push(port);
        }
    }
    let middle = Middle::start(ports, &Impairments { seed, ..conditions.impairments });
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
    let [sent, _] = middle.finish();
    Ok(Outcome { rates, frames: [sent.frames, sent.lost, sent.overflowed] })
}

/// An end and its cable into the box.
fn plug_in(place: Place, stack: Stack, groups: u8) -> Result<(Pair, Port), Failure> {
    let (interface, mac) = (place.interface(), place.mac());
    let plug = format!("{interface}m");
    let plug_mac = MacAddr([0x02, 0x6c, 0x72, 2, place.side as u8, place.index]);
    let pair = Pair::new([
        Cable { interface: interface.clone(), mac },
        Cable { interface: plug.clone(), mac: plug_mac },
    ])?;
    if stack == Stack::Kernel {
        give_to_kernel(&pair.ends[0], place)?;
    }
    let other = if place.side == Side::Sender { Side::Receiver } else { Side::Sender };
    let peers: Vec<_> = (0..groups).map(|index| Place { index, side: other }.address()).collect();
    let port = pair.ends[1].run(move || Port::open(&plug, place.side, mac, &peers))?;
    Ok((pair, port))
}

/// The kernel's stack gets the address, and segments of the path's size: a box that forwards packets gets
/// packets.
fn give_to_kernel(end: &End, place: Place) -> Result<(), Failure> {
    end.add_address(Cidr { address: place.address().into(), prefix: PREFIX })?;
    let interface = place.interface();
    end.run(move || tool("ethtool", &format!("-K {interface} tso off gso off gro off")))
}

/// The arguments that both ends share.
fn common(stack: Stack, place: Place, group: &Streams) -> Vec<String> {
    let mut arguments = vec![
        format!("--stack={}", stack.name()),
        format!("--interface={}", place.interface()),
        format!("--address={}/{PREFIX}", place.address()),
        format!("--cores={}", usize::from(place.side == Side::Receiver)),
        format!("--congestion-control={}", group.control.name()),
    ];
    if stack == Stack::Linerate {
        // Nobody else is there, and the first probe would take as long as the path.
        arguments.push("--claim=off".to_owned());
        if group.control == CongestionControl::Dctcp {
            arguments.push("--ecn=accurate".to_owned());
        }
    }
    arguments
}

fn serve(index: u8, group: &Streams) -> Vec<String> {
    let place = Place { index, side: Side::Sender };
    let mut arguments = vec!["serve".to_owned()];
    arguments.extend(common(group.sender, place, group));
    arguments.push(format!("--service=chargen:{PORT}"));
    arguments
}

fn load(index: u8, group: &Streams, conditions: &Conditions) -> Vec<String> {
    let place = Place { index, side: Side::Receiver };
    let target = Place { index, side: Side::Sender }.address();
    let mut arguments = vec!["load".to_owned()];
    arguments.extend(common(group.receiver, place, group));
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
        Failure::new("cannot read what `linerate load` reported", wrong, "report this as a bug")
    };
    let report = report.map_err(|error| failure(&error))?;
    let number = |key| report.get(key).and_then(Value::as_f64);
    match (number("bytes_received"), number("seconds")) {
        (Some(bytes), Some(seconds)) if seconds > 0.0 => Ok(bytes * 8.0 / seconds),
        _ => Err(failure(&"no bytes_received and seconds in it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_what_arrived() {
        let report = r#"{"bytes_received": 2500000, "bytes_sent": 7, "seconds": 2.0}"#;
        assert_eq!(rate(report).expect("a report"), 10e6);
        assert!(rate("{}").is_err() && rate("no").is_err());
    }

    #[test]
    fn ends_have_names_and_addresses_of_their_own() {
        let places = [Side::Sender, Side::Receiver]
            .map(|side| [0, 1].map(|index| Place { index, side }))
            .concat();
        for (n, place) in places.iter().enumerate() {
            assert!(place.interface().len() < 15, "with the plug's letter: {}", place.interface());
            for other in &places[n + 1..] {
                assert_ne!(place.interface(), other.interface());
                assert_ne!((place.address(), place.mac()), (other.address(), other.mac()));
            }
        }
    }
}

//! The options of `linerate check`, and its output.

use clap::Args;
use linerate::runtime::Cores;
use linerate::xdp::{self, ProbeError, probe};
use serde_json::{Map, Value, json};

use super::finding::{Finding, Grade};
use super::rss_verdict::{self, Peer};
use super::{attempt, host, interface, place, rss_probe};
use crate::failure::Failure;
use crate::output;

/// Check what this host supports: kernel, XDP mode, zero-copy, queues, privileges and more, with a
/// hint for each problem.
///
/// With --interface, also attaches the XDP program to the interface for a moment and opens an
/// AF_XDP socket on queue 0. It claims nothing, so all traffic still reaches the kernel, but some
/// NICs lose their link for about a second. With --probe, sends 256 SYNs to a host, each from its
/// own port of the kernel's address, and records which queues receive the replies. This shows if
/// the NIC spreads flows as its RSS settings say.
#[derive(Args, Debug)]
#[command(after_help = "\
JSON (--json): ready (true if no finding is bad), interface (name or null), host and device
(objects: name to an object with grade (good, fair, bad), value, hint (or null)), probe (null
without --probe): peer, sent, answered, foreseen (replies on the queue that the RSS key and table
predict; null if they predict none), queues (replies per queue), hashes (null if the driver reports
none): told (replies with a hash from the NIC), computed (those whose hash matches the one computed
from the key; null if the key is unknown).

Examples:
  linerate check
  linerate check --interface eth0 --json
  linerate check --interface eth0 --probe 10.0.0.1")]
pub(crate) struct Options {
    /// Network interface to check, in addition to the host
    #[arg(long, value_name = "IF")]
    interface: Option<String>,

    /// Attach no program and open no socket: only query the interface
    #[arg(long)]
    no_attempt: bool,

    /// Send SYNs to this host (port 1 unless given) and compare the queues of its replies with the
    /// prediction from the NIC's RSS key and table
    #[arg(
        long,
        value_name = "ADDRESS[:PORT]",
        requires = "interface",
        conflicts_with = "no_attempt"
    )]
    probe: Option<Peer>,

    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Runs the checks and prints the findings.
///
/// # Errors
/// Fails if the interface does not exist or is not Ethernet, or if the probe cannot run.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let host = host::findings();
    let mut device = match &options.interface {
        Some(name) => device(name, options.no_attempt)?,
        None => Vec::new(),
    };
    let mut replies = None;
    if let (Some(name), Some(Peer(peer))) = (&options.interface, options.probe) {
        let received = rss_probe::run(name, peer)?;
        device.push(rss_verdict::finding(name, &received));
        replies = Some(rss_verdict::object(&received));
    }
    let is_ready = host.iter().chain(&device).all(|it| it.grade != Grade::Bad);
    if options.json {
        output::print_json(&json!({
            "ready": is_ready,
            "interface": options.interface,
            "host": object(&host),
            "device": object(&device),
            "probe": replies,
        }));
        return Ok(());
    }
    let mut text = String::from("host\n");
    host.iter().for_each(|it| text.push_str(&line(it)));
    match &options.interface {
        Some(name) => text.push_str(&format!("interface {name}\n")),
        None => text.push_str("(to check an interface too, add --interface IF)\n"),
    }
    device.iter().for_each(|it| text.push_str(&line(it)));
    text.push_str(if is_ready { "ready\n" } else { "not ready: fix the lines marked !!\n" });
    output::print(&text);
    Ok(())
}

fn device(name: &str, no_attempt: bool) -> Result<Vec<Finding>, Failure> {
    let probe = probe(name).map_err(|error| {
        let remedy = match error {
            ProbeError::NoSuchInterface { .. } => "choose an interface that `ip link` lists",
            ProbeError::NotEthernet { .. } => "choose an Ethernet or veth interface",
            _ => "check that the interface still exists (`ip link`)",
        };
        Failure::new("cannot check the interface", error, remedy)
    })?;
    // If another program is attached, the trial attach would fail. `interface::findings` reports
    // it.
    let attaches = !no_attempt && probe.program.is_none();
    let (trial, attachment) = if attaches { attempt::findings(name) } else { Default::default() };
    let mut all = interface::findings(&probe, attachment.as_ref());
    all.extend(place::findings(name, &xdp::locality(name), &Cores::read(), probe.rx_queues));
    all.extend(trial);
    Ok(all)
}

fn object(findings: &[Finding]) -> Map<String, Value> {
    findings.iter().map(|it| (it.name.to_owned(), json!(it))).collect()
}

fn line(finding: &Finding) -> String {
    let mark = match finding.grade {
        Grade::Good => "ok",
        Grade::Fair => " -",
        Grade::Bad => "!!",
    };
    let mut text = format!("  {mark} {:<22} {}\n", finding.name.replace('_', " "), finding.value);
    if let Some(hint) = &finding.hint {
        text.push_str(&format!("     {:<22} -> {hint}\n", ""));
    }
    text
}

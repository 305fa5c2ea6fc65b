//! The options of `linerate check`, and its output.

use clap::Args;
use linerate::runtime::Cores;
use linerate::xdp::{self, ProbeError, probe};
use serde_json::{Map, Value, json};

use super::finding::{Finding, Grade};
use super::foreseen::{self, Peer};
use super::{answers, attempt, host, interface, place};
use crate::cli::failure::Failure;
use crate::cli::output;

/// Tell what this host can do: kernel, XDP mode, zero-copy, queues, privileges, ..., with a hint beside
/// each shortcoming.
///
/// With --interface it also attaches the XDP program to it for a moment, claiming nothing (all traffic
/// passes), and opens an AF_XDP socket on queue 0; some NICs lose their link for a second by that. With --probe
/// it sends 256 SYNs to that host, from the kernel's address and ports of their own, and looks which queues the
/// answers come in on: whether the NIC spreads flows as it says.
#[derive(Args, Debug)]
#[command(after_help = "\
JSON (--json): ready (nothing stands in the way), interface (name or null), host and device: objects, by
name, of objects with grade (good, fair, bad), value, hint (or null); probe (null without --probe): peer,
sent, answered, foreseen (of the answers, those on the queue that key and table say; null where nothing can be
foreseen), queues (answers by queue), hashes (null where the driver tells none): told (with how many answers it
told the NIC's hash), computed (of those, the ones that are what key and ports make; null where that is not known).

Examples:
  linerate check
  linerate check --interface eth0 --json
  linerate check --interface eth0 --probe 10.0.0.1")]
pub struct Options {
    /// Network interface to look at, besides the host
    #[arg(long, value_name = "IF")]
    interface: Option<String>,

    /// Attach and open nothing, only ask
    #[arg(long)]
    no_attempt: bool,

    /// Ask this host too, by SYNs to port 1 or the one given, and see whether its answers come in on the queues
    /// that the NIC's RSS key and table say
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

/// Looks, and tells.
///
/// # Errors
/// When the interface is none to be looked at.
pub fn run(options: &Options) -> Result<(), Failure> {
    let host = host::findings();
    let mut device = match &options.interface {
        Some(name) => device(name, options.no_attempt)?,
        None => Vec::new(),
    };
    let mut answers = None;
    if let (Some(name), Some(Peer(peer))) = (&options.interface, options.probe) {
        let found = answers::ask(name, peer)?;
        device.push(foreseen::finding(name, &found));
        answers = Some(foreseen::object(&found));
    }
    let is_ready = host.iter().chain(&device).all(|it| it.grade != Grade::Bad);
    if options.json {
        output::print_json(&json!({
            "ready": is_ready,
            "interface": options.interface,
            "host": object(&host),
            "device": object(&device),
            "probe": answers,
        }));
        return Ok(());
    }
    let mut text = String::from("host\n");
    host.iter().for_each(|it| text.push_str(&line(it)));
    match &options.interface {
        Some(name) => text.push_str(&format!("interface {name}\n")),
        None => text.push_str("(an interface too: --interface IF, one of `ip link`)\n"),
    }
    device.iter().for_each(|it| text.push_str(&line(it)));
    text.push_str(if is_ready { "ready\n" } else { "not ready: see the lines marked !!\n" });
    output::print(&text);
    Ok(())
}

fn device(name: &str, is_only_asked: bool) -> Result<Vec<Finding>, Failure> {
    let probe = probe(name).map_err(|error| {
        let remedy = match error {
            ProbeError::NoSuchInterface { .. } => "choose one of `ip link`",
            ProbeError::NotEthernet { .. } => "choose an Ethernet interface, or a veth",
            _ => "see that the interface is still there",
        };
        Failure::new("cannot check the interface", error, remedy)
    })?;
    // Another's program would be in the way of the attempt; that finding is made as well.
    let is_tried = !is_only_asked && probe.program.is_none();
    let (tried, attachment) = if is_tried { attempt::findings(name) } else { Default::default() };
    let mut all = interface::findings(&probe, attachment.as_ref());
    all.extend(place::findings(name, &xdp::locality(name), &Cores::read(), probe.rx_queues));
    all.extend(tried);
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

//! The options of `linerate check`, and its output.

use clap::Args;
use linerate::xdp::{ProbeError, probe};
use serde_json::{Map, Value, json};

use super::finding::{Finding, Grade};
use super::{attempt, host, interface};
use crate::cli::failure::Failure;
use crate::cli::output;

/// Tell what this host can do: kernel, XDP mode, zero-copy, queues, privileges, ..., with a hint beside
/// each shortcoming.
///
/// With --interface it also attaches the XDP program to it for a moment, claiming nothing (all traffic
/// passes), and opens an AF_XDP socket on queue 0; some NICs lose their link for a second by that.
#[derive(Args, Debug)]
#[command(after_help = "\
JSON (--json): ready (nothing stands in the way), interface (name or null), host and device: objects, by
name, of objects with grade (good, fair, bad), value, hint (or null).

Examples:
  linerate check
  linerate check --interface eth0 --json")]
pub struct Options {
    /// Network interface to look at, besides the host
    #[arg(long, value_name = "IF")]
    interface: Option<String>,

    /// Attach and open nothing, only ask
    #[arg(long)]
    no_attempt: bool,

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
    let device = match &options.interface {
        Some(name) => device(name, options.no_attempt)?,
        None => Vec::new(),
    };
    let is_ready = host.iter().chain(&device).all(|it| it.grade != Grade::Bad);
    if options.json {
        output::print_json(&json!({
            "ready": is_ready,
            "interface": options.interface,
            "host": object(&host),
            "device": object(&device),
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
    let mut all = interface::findings(&probe);
    // Another's program would be in the way of the attempt; that finding is made already.
    if !is_only_asked && probe.program.is_none() {
        all.extend(attempt::findings(name));
    }
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

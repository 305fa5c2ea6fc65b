//! Makes a connection to be drawn: on an interface that is named, or over a veth pair of our own.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use linerate::shard::{CloseReason, ConnectOptions};
use linerate::wire::MacAddr;

use super::capture::{self, Captured};
use super::client::{Client, Outcome};
use crate::failure::Failure;
use crate::job::Job;
use crate::netns::{Cable, Child, Pair};
use crate::network::Cidr;
use crate::options::{Stack, StackOptions};
use crate::stack;
use crate::stop::Stop;

/// The two ends of a pair of our own.
const CLIENT: &str = "10.99.0.1/24";
const SERVER: &str = "10.99.0.2/24";
const TARGET: &str = "10.99.0.2:7";

/// How long the server may take to be ready; and the client to be done, whose own patience is shorter.
const SLACK: Duration = Duration::from_secs(20);

/// From where to where.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// Ours.
    pub interface: &'a str,
    /// Ours.
    pub address: Cidr,
    /// An echo.
    pub target: SocketAddr,
}

/// Connects to an echo from an interface, on linerate, and gives the capture.
///
/// # Errors
/// When the stack does not come up, or the connection does not go through its whole life.
pub fn over_interface(
    route: &Route<'_>,
    bytes: u32,
    keep: Option<&Path>,
) -> Result<Vec<Vec<Captured>>, Failure> {
    let file = File::new(keep);
    let outcome = Outcome::default();
    let open = ConnectOptions { remote: route.target, local: Some(route.address.address), user: 0 };
    let options = options(route, &file.path);
    options.check()?;
    stack::run(&Job {
        options: &options,
        listeners: &[],
        make_service: &|_| Box::new(Client::new(open, bytes as usize, Arc::clone(&outcome))),
        stop: &Stop::on_signals()?,
        ready: &|| {},
    })?;
    let ended = outcome.lock().ok().and_then(|it| *it);
    match ended {
        Some((CloseReason::Finished, received)) if received == bytes as usize => {
            capture::connections(&file.path)
        }
        Some((ending, received)) => Err(Failure::new(
            format!("cannot draw a whole connection to {}", route.target),
            format!("it ended by `{ending:?}` after {received} of {bytes} bytes were echoed"),
            "see that an echo serves there (`linerate serve --service echo:7`), and can be reached",
        )),
        None => Err(broken("it was interrupted")),
    }
}

/// The stack's options as the command line makes them, so that their defaults are the same.
fn options(route: &Route<'_>, capture: &Path) -> StackOptions {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        stack: StackOptions,
    }
    let address = route.address.to_string();
    let line = [
        "trace",
        "--interface",
        route.interface,
        "--address",
        &address,
        "--control",
        "off",
        "--pcap",
    ];
    let line = line.iter().map(std::ffi::OsStr::new).chain([capture.as_os_str()]);
    Line::parse_from(line).stack
}

/// The same between two network namespaces, with an echo server of our own on `peer`'s TCP.
///
/// # Errors
/// When the namespaces cannot be made, or one of the ends fails.
pub fn over_veth(
    peer: Stack,
    bytes: u32,
    keep: Option<&Path>,
) -> Result<Vec<Vec<Captured>>, Failure> {
    let stop = Stop::on_signals()?;
    let cables = [("client", 1), ("server", 2)].map(|(interface, last)| Cable {
        interface: interface.to_owned(),
        mac: MacAddr([0x02, 0x6c, 0x72, 0, 1, last]),
    });
    let pair = Pair::new(cables)?;
    let [near, far] = &pair.ends;
    if peer == Stack::Kernel {
        far.add_address(SERVER.parse().map_err(|wrong: String| broken(&wrong))?)?;
    }
    let mut server = Child::spawn(far, &serve(peer, far.interface()))?;
    server.await_line(SLACK, &stop)?;
    let file = File::new(keep);
    let client = Child::spawn(near, &connect(near.interface(), bytes, &file.path))?;
    client.await_end(SLACK, &stop)?;
    capture::connections(&file.path)
}

/// The arguments of the echo server.
fn serve(stack: Stack, interface: &str) -> [&str; 9] {
    let stack = stack.name();
    [
        "serve",
        "--stack",
        stack,
        "--interface",
        interface,
        "--address",
        SERVER,
        "--service",
        "echo:7",
    ]
}

/// The arguments of the client, with its capture.
fn connect(interface: &str, bytes: u32, capture: &Path) -> Vec<OsString> {
    let bytes = bytes.to_string();
    let words = ["trace", "--json", "--interface", interface, "--address", CLIENT];
    let more = ["--target", TARGET, "--bytes", &bytes, "--pcap"];
    words.into_iter().chain(more).map(OsString::from).chain([capture.into()]).collect()
}

fn broken(wrong: &str) -> Failure {
    Failure::new(
        "cannot make a connection to draw",
        wrong,
        "see `linerate check`, or draw a capture with --read",
    )
}

/// The capture; removed when dropped, unless it is to be kept.
struct File {
    path: PathBuf,
    is_kept: bool,
}

impl File {
    fn new(keep: Option<&Path>) -> Self {
        let own =
            || std::env::temp_dir().join(format!("linerate-trace-{}.pcap", std::process::id()));
        Self { path: keep.map_or_else(own, Path::to_path_buf), is_kept: keep.is_some() }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

//! Runs and captures a live connection: from a given interface, or over a temporary veth pair.

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

/// Addresses on the temporary veth pair.
const CLIENT: &str = "10.99.0.1/24";
const SERVER: &str = "10.99.0.2/24";
const TARGET: &str = "10.99.0.2:7";

/// Time limit for the server to become ready, and for the client to end. The client's own limit is
/// shorter.
const CHILD_TIMEOUT: Duration = Duration::from_secs(20);

/// The two ends of a live connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route<'a> {
    /// Local interface.
    pub interface: &'a str,
    /// Local address.
    pub address: Cidr,
    /// Remote echo server.
    pub target: SocketAddr,
}

/// Connects from an interface to an echo server on linerate's stack and returns the captured
/// connections.
///
/// # Errors
/// Fails if the stack does not start, or the connection does not close cleanly after the full echo.
pub(super) fn over_interface(
    route: &Route<'_>,
    bytes: u32,
    save_to: Option<&Path>,
) -> Result<Vec<Vec<Captured>>, Failure> {
    let file = CaptureFile::new(save_to);
    let outcome = Outcome::default();
    let open = ConnectOptions { remote: route.target, local: Some(route.address.address), user: 0 };
    let options = options(route, &file.path);
    options.check()?;
    let shared = Arc::clone(&outcome);
    stack::run(&Job {
        options: &options,
        listeners: &[],
        make_service: Arc::new(move |_| {
            Box::new(Client::new(open, bytes as usize, Arc::clone(&shared)))
        }),
        drains: false,
        stop: &Stop::on_signals()?,
        ready: &|| {},
    })?;
    let ended = outcome.lock().ok().and_then(|it| *it);
    match ended {
        Some((CloseReason::Finished, received)) if received == bytes as usize => {
            capture::connections(&file.path)
        }
        Some((reason, received)) => Err(Failure::new(
            format!("cannot trace a connection to {}", route.target),
            format!("it closed with `{reason:?}` after {received} of {bytes} bytes were echoed"),
            "check that an echo server (`linerate serve --service echo:7`) runs there and is \
             reachable",
        )),
        None => Err(failure("it was interrupted")),
    }
}

/// Builds the stack's options by parsing a command line, so that the defaults are the same.
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

/// Connects two temporary network namespaces, with an echo server on stack `peer`, and returns the
/// captured connections.
///
/// # Errors
/// Fails if the namespaces cannot be created, or the server or the client fails.
pub(super) fn over_veth(
    peer: Stack,
    bytes: u32,
    save_to: Option<&Path>,
) -> Result<Vec<Vec<Captured>>, Failure> {
    let stop = Stop::on_signals()?;
    let cables = [("client", 1), ("server", 2)].map(|(interface, last)| Cable {
        interface: interface.to_owned(),
        mac: MacAddr([0x02, 0x6c, 0x72, 0, 1, last]),
    });
    let pair = Pair::new(cables)?;
    let [near, far] = &pair.ends;
    if peer == Stack::Kernel {
        far.add_address(SERVER.parse().map_err(|error: String| failure(&error))?)?;
    }
    let mut server = Child::spawn(far, &serve(peer, far.interface()))?;
    server.await_line(CHILD_TIMEOUT, &stop)?;
    let file = CaptureFile::new(save_to);
    let client = Child::spawn(near, &connect(near.interface(), bytes, &file.path))?;
    client.await_end(CHILD_TIMEOUT, &stop)?;
    capture::connections(&file.path)
}

/// Returns the arguments of the echo server.
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

/// Returns the arguments of the client, including its capture file.
fn connect(interface: &str, bytes: u32, capture: &Path) -> Vec<OsString> {
    let bytes = bytes.to_string();
    let words = ["trace", "--json", "--interface", interface, "--address", CLIENT];
    let more = ["--target", TARGET, "--bytes", &bytes, "--pcap"];
    words.into_iter().chain(more).map(OsString::from).chain([capture.into()]).collect()
}

fn failure(cause: &str) -> Failure {
    Failure::new(
        "cannot trace a live connection",
        cause,
        "run `linerate check`, or draw a capture with --read",
    )
}

/// A capture file. Dropping it removes the file unless the user wants to keep it.
struct CaptureFile {
    path: PathBuf,
    is_temporary: bool,
}

impl CaptureFile {
    fn new(save_to: Option<&Path>) -> Self {
        let temporary =
            || std::env::temp_dir().join(format!("linerate-trace-{}.pcap", std::process::id()));
        Self {
            path: save_to.map_or_else(temporary, Path::to_path_buf),
            is_temporary: save_to.is_none(),
        }
    }
}

impl Drop for CaptureFile {
    fn drop(&mut self) {
        if self.is_temporary {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

//! Makes a connection to be drawn: on an interface that is named, or over a veth pair of our own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;

use clap::Parser as _;
use linerate::shard::{Ending, Open};

use super::capture::{self, Captured};
use super::client::{Client, Outcome};
use crate::cli::failure::Failure;
use crate::cli::job::Job;
use crate::cli::netns::{Pair, Shape};
use crate::cli::network::Cidr;
use crate::cli::options::{Stack, StackOptions};
use crate::cli::stack;
use crate::cli::stop::Stop;

/// The two ends of a pair of our own.
const CLIENT: &str = "10.99.0.1/24";
const SERVER: &str = "10.99.0.2/24";
const TARGET: &str = "10.99.0.2:7";

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
    let open = Open { remote: route.target, local: Some(route.address.address), user: 0 };
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
        Some((Ending::Finished, received)) if received == bytes as usize => {
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
    let line = ["trace", "--interface", route.interface, "--address", &address, "--pcap"];
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
    let pair = Pair::new("trace", &Shape::default())?;
    if peer == Stack::Kernel {
        pair.ends[1].add_address(&SERVER.parse().map_err(|wrong: String| broken(&wrong))?)?;
    }
    let file = File::new(keep);
    let _server = Server::start(&pair, peer)?;
    let output = pair.ends[0]
        .linerate()?
        .args(["trace", "--interface", &pair.ends[0].interface, "--address", CLIENT])
        .args(["--target", TARGET, "--bytes", &bytes.to_string(), "--json", "--pcap"])
        .arg(&file.path)
        .output()
        .map_err(|error| broken(&error.to_string()))?;
    if !output.status.success() {
        return Err(broken(String::from_utf8_lossy(&output.stderr).trim()));
    }
    capture::connections(&file.path)
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

/// The echo server; ended when dropped.
struct Server(Child);

impl Server {
    fn start(pair: &Pair, stack: Stack) -> Result<Self, Failure> {
        let end = &pair.ends[1];
        let mut command = end.linerate()?;
        command.args(["serve", "--stack", stack.name(), "--address", SERVER]);
        command.args(["--service", "echo:7"]);
        if stack == Stack::Linerate {
            command.args(["--interface", &end.interface]);
        }
        // What it has to say matters only if it does not come up.
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| broken(&error.to_string()))?;
        let mut first = String::new();
        if let Some(out) = child.stdout.take() {
            let _ = BufReader::new(out).read_line(&mut first);
        }
        if first.trim_end() == "ready" {
            return Ok(Self(child));
        }
        let output = child.wait_with_output().map_err(|error| broken(&error.to_string()))?;
        Err(broken(String::from_utf8_lossy(&output.stderr).trim()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        use nix::sys::signal::{Signal, kill};
        if let Ok(id) = i32::try_from(self.0.id()) {
            let _ = kill(nix::unistd::Pid::from_raw(id), Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

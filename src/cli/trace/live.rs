//! Makes a connection to be drawn: two of this program's own processes, in two network namespaces.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::capture::{self, Captured};
use crate::cli::failure::Failure;
use crate::cli::netns::{Pair, Shape};
use crate::cli::network::Cidr;
use crate::cli::options::Stack;

/// The two ends.
const CLIENT: &str = "10.99.0.1/24";
const SERVER: &str = "10.99.0.2/24";
const TARGET: &str = "10.99.0.2:7";

/// Opens, sends `bytes`, half-closes, takes the echo, and ends; gives the client's capture.
///
/// # Errors
/// When the namespaces cannot be made, or one of the ends fails.
pub fn run(peer: Stack, bytes: u32, keep: Option<&Path>) -> Result<Vec<Vec<Captured>>, Failure> {
    let pair = Pair::new("trace", &Shape::default())?;
    let server_address: Cidr = SERVER.parse().map_err(|wrong: String| broken(&wrong))?;
    if peer == Stack::Kernel {
        pair.ends[1].add_address(&server_address)?;
    }
    let file = File::new(keep);
    let _server = Server::start(&pair, peer)?;
    let output = pair.ends[0]
        .linerate()?
        .args(["load", "--interface", &pair.ends[0].interface, "--address", CLIENT])
        .args(["--target", TARGET, "--pattern", "stream", "--direction", "send"])
        .args(["--connections", "1", "--concurrency", "1", "--json"])
        .args(["--bytes-per-connection", &bytes.max(1).to_string()])
        .arg("--pcap")
        .arg(&file.path)
        .output()
        .map_err(|error| broken(&error.to_string()))?;
    if !output.status.success() {
        return Err(Failure::new(
            "cannot make a connection to draw: the client failed",
            String::from_utf8_lossy(&output.stderr).trim(),
            "see `linerate check`, or draw a capture with --read",
        ));
    }
    capture::connections(&file.path)
}

fn broken(wrong: &str) -> Failure {
    Failure::new("cannot make a connection to draw", wrong, "draw a capture with --read")
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
        command.args([
            "serve",
            "--stack",
            stack.name(),
            "--address",
            SERVER,
            "--service",
            "echo:7",
        ]);
        if stack == Stack::Linerate {
            command.args(["--interface", &end.interface]);
        }
        let mut child =
            command.stdout(Stdio::piped()).spawn().map_err(|error| broken(&error.to_string()))?;
        let mut first = String::new();
        if let Some(out) = child.stdout.take() {
            // An end of its output without the line is a server that failed, and has said why.
            let _ = BufReader::new(out).read_line(&mut first);
        }
        let server = Self(child);
        if first.trim_end() != "ready" {
            return Err(broken("the server did not come up, see above"));
        }
        Ok(server)
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

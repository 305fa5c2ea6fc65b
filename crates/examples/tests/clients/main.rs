//! Each example over a veth pair, with public clients: curl, wrk, h2load, openssl, redis-cli,
//! redis-benchmark, iperf3, and nginx behind the proxy. A client that is not installed fails the
//! test; `scripts/setup --test` installs all of them.

mod blocking;
mod hello;
mod http;
mod iperf;
mod proxy;
mod resp;
mod tls;

#[path = "../../../cli/tests/support/namespaces.rs"]
mod namespaces;
#[path = "../../../cli/tests/support/server.rs"]
mod server;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::time::Duration;

use namespaces::{LEFT_OWN, Net, cidr, try_sh};
use server::Server;

/// Starts an example on the left with more arguments: the port, and others of its own.
#[track_caller]
fn example(net: &Net, name: &str, more: &[&str]) -> Server {
    let mut command = program(net, env!("CARGO_BIN_EXE_linerate-examples"));
    command.args([name, "veth0", &cidr(LEFT_OWN.into())]).args(more);
    Server::start(command)
}

/// Returns a command that runs a program on the left.
fn program(net: &Net, path: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &net.left(), path]);
    command
}

/// Runs a client on the right, for at most 20 seconds, and returns its standard output. `{server}`
/// in the command is the address of the example.
///
/// # Panics
/// Panics with the client's output if it fails.
#[track_caller]
fn client(net: &Net, command: &str) -> String {
    let output = try_client(net, command);
    assert!(output.status.success(), "`{command}`: {}", all_of(&output));
    String::from_utf8(output.stdout).expect("the client's output is text")
}

/// Runs a client as [`client`] does, and returns its output, even if it fails.
fn try_client(net: &Net, command: &str) -> Output {
    let command = command.replace("{server}", &LEFT_OWN.to_string());
    try_sh(&format!("timeout -k 1 20 ip netns exec {} sh -c \"{command}\"", net.right()))
}

/// Returns the status, the standard output and the standard error.
fn all_of(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// Connects from the right, sends `bytes`, closes that direction, and returns what comes back until
/// the server closes.
fn exchange(net: &Net, port: u16, bytes: Vec<u8>) -> Vec<u8> {
    net.on_right(move || {
        let mut stream = connect(port);
        let mut writing = stream.try_clone().expect("a second handle");
        let writer = std::thread::spawn(move || {
            // A server that resets the connection may do so before everything is written.
            let _ = writing.write_all(&bytes);
            let _ = writing.shutdown(Shutdown::Write);
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received).expect("the server closes the connection");
        writer.join().expect("the writer does not panic");
        received
    })
}

/// Connects to the example from this thread's namespace.
fn connect(port: u16) -> TcpStream {
    let limit = Duration::from_secs(20);
    let address = SocketAddr::from((LEFT_OWN, port));
    let stream = TcpStream::connect_timeout(&address, limit).expect("the example listens");
    stream.set_read_timeout(Some(limit)).expect("a limit over zero");
    stream
}

/// Returns `n` bytes that do not repeat soon, so that lost or moved ones are detected.
fn pattern(n: usize) -> Vec<u8> {
    let mut rng = linerate::rng::Rng::new(7);
    let mut bytes: Vec<u8> = Vec::with_capacity(n + 8);
    while bytes.len() < n {
        bytes.extend_from_slice(&rng.next_u64().to_le_bytes());
    }
    bytes.truncate(n);
    bytes
}

/// A folder of its own below the system's folder for temporary files, removed on drop.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("linerate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("temporary files can be written");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("the path is UTF-8").to_owned()
    }

    /// Writes a file and returns its path.
    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("temporary files can be written");
        path
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

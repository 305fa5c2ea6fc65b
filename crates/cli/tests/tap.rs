//! `serve` and `load` with `--link tap`, with the kernel of this host as the peer. Needs no root:
//! each test runs a second time, in a process of its own with its own user and network namespaces.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(20);

/// Set in the process in the namespaces.
const INSIDE: &str = "LINERATE_TEST_INSIDE";

/// Runs `test`, which has the name `name`, in namespaces of its own.
fn in_namespaces(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let itself = std::env::current_exe().expect("the path of this test");
    let mut command = Command::new("unshare");
    command.arg("-rn").arg(itself).args([name, "--exact", "--nocapture"]);
    let output = command.env(INSIDE, "1").output().expect("util-linux is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
}

fn linerate(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linerate"));
    command.args(arguments.split(' ')).stdin(Stdio::null());
    command
}

/// A running `linerate serve`, stopped on drop.
struct Server(Child);

impl Server {
    /// Starts `serve` and waits until it is ready.
    fn start(arguments: &str) -> Self {
        let mut command = linerate(&format!("serve {arguments}"));
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut first = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut first).expect("reads");
        let mut server = Self(child);
        if first != "ready\n" {
            panic!("not ready: {}", server.stop());
        }
        server
    }

    /// Stops it and returns its standard error.
    fn stop(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.0.stderr.take() {
            let _ = kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM);
            let _ = stderr.read_to_string(&mut text);
            let _ = self.0.wait();
        }
        text
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends to an echo server from a kernel socket.
fn assert_echoes(remote: &str) {
    let remote: SocketAddr = remote.parse().expect("an address");
    let mut stream = TcpStream::connect_timeout(&remote, PATIENCE).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(b"over a TAP device").expect("writes");
    let mut echoed = [0; 17];
    stream.read_exact(&mut echoed).expect("reads");
    assert_eq!(&echoed, b"over a TAP device");
}

#[test]
fn a_kernel_socket_talks_to_a_server_on_a_tap_device_without_root() {
    in_namespaces("a_kernel_socket_talks_to_a_server_on_a_tap_device_without_root", || {
        let mut server = Server::start(
            "--link tap --address 10.9.8.1/24 --address fd09::1/64 --service echo:7 --control off",
        );
        assert_echoes("10.9.8.1:7");
        assert_echoes("[fd09::1]:7");
        let stderr = server.stop();
        assert!(stderr.contains("tap0: TAP device"), "{stderr}");
        assert!(stderr.contains("the kernel has 10.9.8.2/24, fd09::2/64 there"), "{stderr}");
    });
}

#[test]
fn the_kernels_address_and_the_name_of_the_device_can_be_chosen() {
    in_namespaces("the_kernels_address_and_the_name_of_the_device_can_be_chosen", || {
        let _server = Server::start(
            "--link tap --interface try7 --tap-address 10.9.8.77/24 --address 10.9.8.1/24 \
             --service echo:7 --control off",
        );
        let shown = Command::new("ip").args(["address", "show", "dev", "try7"]).output();
        let shown = String::from_utf8_lossy(&shown.expect("`ip` is installed").stdout).into_owned();
        assert!(shown.contains("inet 10.9.8.77/24"), "{shown}");
        assert_echoes("10.9.8.1:7");
    });
}

#[test]
fn load_over_a_tap_device_reaches_a_server_of_the_kernel() {
    in_namespaces("load_over_a_tap_device_reaches_a_server_of_the_kernel", || {
        let _server = Server::start("--stack kernel --service echo:7001");
        let load = "load --link tap --address 10.9.8.2/24 --target 10.9.8.1:7001 --pattern request \
                    --duration 1 --control off --json";
        let output = linerate(load).output().expect("runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(report.to_string().contains("requests"), "{report}");
        assert!(stderr.contains("the kernel has 10.9.8.1/24 there"), "{stderr}");
    });
}

#[test]
fn without_a_namespace_of_its_own_the_refusal_names_unshare() {
    in_namespaces("without_a_namespace_of_its_own_the_refusal_names_unshare", || {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-net_admin", env!("CARGO_BIN_EXE_linerate"), "serve"]);
        command.args("--link tap --address 10.9.8.1/24 --service echo:7 --control off".split(' '));
        let output = command.stdin(Stdio::null()).output().expect("util-linux is installed");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("unshare -rn") && !stderr.contains("panicked"), "{stderr}");
    });
}

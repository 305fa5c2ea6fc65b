//! A stack on a TAP device, with the kernel of this host as its peer. Needs no privilege: each test
//! runs a second time, in a process of its own with its own user and network namespaces.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use linerate::metrics::DropReason;
use linerate::{
    ConnId, ConnectOptions, Io, ListenerConfig, Queues, Role, Service, Shutdown, Stack,
    StackConfig, StackEvent, StartError,
};

const PATIENCE: Duration = Duration::from_secs(20);
const PORT: u16 = 7;

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

/// Echoes, and greets the one whom it calls.
struct Echo {
    /// Address to connect to.
    calls: Option<SocketAddr>,
    /// Connections that send nothing more.
    ended: Vec<ConnId>,
}

impl Service for Echo {
    fn on_start(&mut self, io: &mut dyn Io) {
        if let Some(remote) = self.calls {
            io.connect(&ConnectOptions { remote, local: None, user: 0 }).expect("a route");
        }
    }
    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: linerate::Duration) {
        io.write(conn, b"hello, kernel");
    }
    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut buffer = [0; 4096];
        loop {
            let room = io.write_room(conn).min(buffer.len());
            if room == 0 {
                // Only a short write has `on_writable` follow.
                io.write(conn, &[0]);
                return;
            }
            let n = io.read(conn, &mut buffer[..room]);
            if n == 0 {
                break;
            }
            io.write(conn, &buffer[..n]);
        }
        if self.ended.contains(&conn) && io.readable(conn) == 0 {
            self.ended.retain(|other| *other != conn);
            io.close(conn);
        }
    }
    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.on_readable(io, conn);
    }
    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.ended.push(conn);
        self.on_readable(io, conn);
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn config() -> StackConfig {
    let mut config = StackConfig::tap("tap7", vec![(ip("10.9.8.2"), 24), (ip("fd09::2"), 64)]);
    config.listeners = vec![ListenerConfig::on_port(PORT)];
    config
}

fn start(config: &StackConfig, calls: Option<SocketAddr>) -> Stack {
    Stack::start(config, move |_| Box::new(Echo { calls, ended: Vec::new() }))
        .expect("the stack starts")
}

/// Sends `bytes` from a kernel socket and returns what comes back.
fn echo(address: &str, bytes: &[u8]) -> Vec<u8> {
    let remote = SocketAddr::new(ip(address), PORT);
    let mut stream = TcpStream::connect_timeout(&remote, PATIENCE).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut writer = stream.try_clone().expect("a second descriptor");
    let sent = bytes.to_vec();
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).expect("writes");
        writer.shutdown(std::net::Shutdown::Write).expect("shuts down");
    });
    let mut echoed = Vec::new();
    if let Err(error) = stream.read_to_end(&mut echoed) {
        panic!("{error} after {} of {} bytes from {address}", echoed.len(), bytes.len());
    }
    writing.join().expect("writes");
    echoed
}

/// Waits for a connection.
fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    listener.set_nonblocking(true).expect("non-blocking");
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, remote)) => {
                stream.set_nonblocking(false).expect("blocking");
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                return (stream, remote);
            }
            Err(error) => assert!(std::time::Instant::now() < until, "no connection: {error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_kernel_gets_an_echo_from_a_stack_on_a_tap_device() {
    in_namespaces("the_kernel_gets_an_echo_from_a_stack_on_a_tap_device", || {
        let stack = start(&config(), None);
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
        for address in ["10.9.8.2", "fd09::2"] {
            assert!(echo(address, &bytes) == bytes, "{address}");
        }
        let report = stack.stop(Shutdown::Abort);
        assert_eq!(report.workers[0].link.tx_dropped, 0);
        assert_eq!(report.counters().dropped(DropReason::TcpChecksum), 0);
    });
}

#[test]
fn several_workers_share_a_device_with_a_queue_each() {
    in_namespaces("several_workers_share_a_device_with_a_queue_each", || {
        let mut config = config();
        config.queues = Queues::new([0, 1]).expect("two queues");
        let stack = start(&config, None);
        for n in 0..40_u8 {
            assert_eq!(echo("10.9.8.2", &[n; 5000]), [n; 5000]);
        }
        let report = stack.stop(Shutdown::Abort);
        let busy = report.workers.iter().filter(|worker| worker.link.tx_frames > 40).count();
        assert_eq!(busy, 2, "{:?}", report.workers.iter().map(|it| it.link).collect::<Vec<_>>());
    });
}

#[test]
fn the_stack_connects_to_a_listener_of_the_kernel() {
    in_namespaces("the_stack_connects_to_a_listener_of_the_kernel", || {
        let mut config = config();
        config.opens = true;
        // The kernel's address exists only once the stack runs.
        let listener = TcpListener::bind("0.0.0.0:0").expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let stack = start(&config, Some(SocketAddr::new(ip("10.9.8.1"), port)));
        let (mut stream, remote) = accept(&listener);
        assert_eq!(remote.ip(), ip("10.9.8.2"));
        let mut greeting = [0; 13];
        stream.read_exact(&mut greeting).expect("reads");
        assert_eq!(&greeting, b"hello, kernel");
        drop(stack);
        // The device is gone.
        let gone = TcpStream::connect_timeout(&SocketAddr::new(ip("10.9.8.2"), PORT), PATIENCE);
        assert!(gone.is_err());
    });
}

#[test]
fn a_device_removed_by_the_administrator_is_reported() {
    in_namespaces("a_device_removed_by_the_administrator_is_reported", || {
        let stack = start(&config(), None);
        let status = Command::new("ip").args(["link", "del", "tap7"]).status().expect("ip");
        assert!(status.success());
        let until = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < until && !stack.interface_is_gone() {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(stack.interface_is_gone());
        let removed = StackEvent::InterfaceRemoved { interface: "tap7".into() };
        assert_eq!(stack.events().recv_timeout(PATIENCE), Some(removed));
    });
}

#[test]
fn a_start_that_makes_no_sense_says_why_and_leaves_no_device() {
    in_namespaces("a_start_that_makes_no_sense_says_why_and_leaves_no_device", || {
        let refused = |config: &StackConfig| {
            Stack::start(config, |_| Box::new(Echo { calls: None, ended: Vec::new() }))
                .expect_err("refused")
        };
        let mut shared = config();
        shared.role = Role::Shared;
        assert!(matches!(refused(&shared), StartError::TapShared { .. }));
        let mut twice = config();
        twice.interface = "lo".into();
        assert!(matches!(refused(&twice), StartError::Tap(_)));
        let mut both = config();
        both.link = linerate::runtime::LinkKind::Tap({
            let mut tap = linerate::runtime::TapConfig::default();
            tap.kernel_addresses = vec![(ip("10.9.8.2"), 24)];
            tap
        });
        assert!(matches!(refused(&both), StartError::AddressConflict { .. }));
        start(&config(), None);
    });
}

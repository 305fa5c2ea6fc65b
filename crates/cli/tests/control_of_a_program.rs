//! A program on the library that opens a control socket, watched by `linerate top` and `linerate
//! connections`, by requests of another client, and by an observer of its own.

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use linerate::runtime::control::{Filter, Request, Snapshot};
use linerate::{
    ConnId, ControlSocket, Io, ListenerConfig, Queues, Service, Shutdown, Silent, Stack,
    StackConfig,
};
use serde_json::Value;
use support::{LEFT_OWN, Net, connect, eventually, linerate_json};

const CONNECTIONS: usize = 600;
const PORT: u16 = 7;

/// A service that writes back what fits.
struct Echo;

impl Service for Echo {
    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut buffer = [0; 512];
        let n = io.read(conn, &mut buffer);
        io.write(conn, &buffer[..n]);
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        io.close(conn);
    }
}

/// Starts the program on both queues of the left side.
fn start(net: &Net, socket: ControlSocket) -> Stack {
    net.on_left(move || {
        let mut config = StackConfig::new("veth0", vec![(IpAddr::V4(LEFT_OWN), 24)]);
        config.queues = Queues::new([0, 1]).expect("they differ");
        config.listeners = vec![ListenerConfig::on_port(PORT)];
        let mut stack = Stack::start(&config, |_| Box::new(Echo)).expect("the stack starts");
        stack.serve_control(socket).expect("a thread");
        stack
    })
}

fn hold(net: &Net, count: usize) -> Vec<TcpStream> {
    net.on_right(move || {
        let open = |_| {
            let mut stream = connect((LEFT_OWN, PORT).into());
            stream.write_all(b"seven b").expect("it is open");
            stream.read_exact(&mut [0; 7]).expect("the echo");
            stream
        };
        (0..count).map(open).collect()
    })
}

fn path(net: &Net) -> PathBuf {
    std::env::temp_dir().join(format!("{}-program.sock", net.left()))
}

/// Sends bytes as a client of its own and returns the response.
fn request(socket: &Path, bytes: &[u8]) -> Vec<Value> {
    let mut stream = UnixStream::connect(socket).expect("the program listens");
    // The program may close the socket before an overlong request is written.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.map(|line| serde_json::from_str(&line).expect("a line of JSON")).collect()
}

fn ask(socket: &Path, of: &Request) -> Vec<Value> {
    request(socket, serde_json::to_string(of).expect("a request").as_bytes())
}

fn listed(stack: &Stack) -> usize {
    let mut count = 0;
    let ended = stack.observer().connections(|_, _| {
        count += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(ended, Ok(()));
    count
}

#[test]
fn a_program_with_a_control_socket_is_watched_from_outside_and_inside() {
    let net = Net::with_queues(2);
    let socket = path(&net);
    let stack = start(&net, ControlSocket::open(&socket).expect("the name is free"));
    let held = hold(&net, CONNECTIONS);

    let query = |subcommand: &str| {
        linerate_json(&net.right(), &format!("{subcommand} --json --control {}", socket.display()))
    };
    assert_eq!(query("connections")["shown"], CONNECTIONS);
    let figures = query("top");
    assert_eq!(
        (&figures["interface"], &figures["pid"]),
        (&"veth0".into(), &std::process::id().into())
    );
    assert_eq!(figures["connections"], CONNECTIONS);
    assert_eq!(figures["workers"].as_array().map(Vec::len), Some(2));

    let response = ask(&socket, &Request::Figures).remove(0);
    let snapshot: Snapshot = serde_json::from_value(response).expect("a snapshot");
    assert_eq!(snapshot.sum(|worker| worker.connections), CONNECTIONS as u64);
    let filter = Filter { port: Some(held[3].local_addr().unwrap().port()), ..Filter::default() };
    let rows = ask(&socket, &Request::Connections(filter));
    assert_eq!((rows.len(), &rows[0]["bytes_acked"]), (2, &7.into()), "a row and the end");

    let observer = stack.observer();
    assert_eq!((observer.interface(), listed(&stack)), ("veth0", CONNECTIONS));
    assert_eq!(observer.report().connections(), CONNECTIONS);
    // Clients and observers do not get each other's pages.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(query("connections")["shown"], CONNECTIONS));
            scope.spawn(|| (0..20).for_each(|_| assert_eq!(listed(&stack), CONNECTIONS)));
        }
    });
    drop(held);
    eventually("all are closed", || query("connections")["shown"] == 0);

    net.on_left(|| stack.stop(Shutdown::Abort));
    assert!(!socket.exists(), "the socket ends with the stack");
    assert_eq!(observer.connections(|_, _| ControlFlow::Continue(())), Err(Silent(0)));
    assert_eq!(observer.report().workers.len(), 2, "the last counters stay");
}

#[test]
fn invalid_requests_and_clients_that_never_read_do_not_disturb_a_program() {
    let net = Net::with_queues(2);
    let socket = path(&net);
    let stack = start(&net, ControlSocket::open(&socket).expect("the name is free"));
    let held = hold(&net, CONNECTIONS);
    for invalid in [&b"\xff\xfe\n"[..], b"{}\n", b"GET / HTTP/1.1\r\n", &[b'x'; 100_000]] {
        let lines = request(&socket, invalid);
        assert!(lines.len() == 1 && lines[0]["error"].is_string(), "{lines:?}");
    }
    // More than are served at once: silent ones, and ones that never read.
    let idle: Vec<_> = (0..12)
        .map(|n| {
            let mut stream = UnixStream::connect(&socket).expect("the program listens");
            if n % 2 == 0 {
                stream.write_all(b"{\"ask\":\"connections\"}\n").expect("there is room");
            }
            stream
        })
        .collect();
    assert_eq!(ask(&socket, &Request::Figures).len(), 1);
    assert_eq!(ask(&socket, &Request::Connections(Filter::default())).len(), CONNECTIONS + 1);
    assert_eq!(listed(&stack), CONNECTIONS);
    let mut stream = &held[0];
    stream.write_all(b"echo").expect("it is open");
    stream.read_exact(&mut [0; 4]).expect("the service goes on");
    net.on_left(|| drop(stack));
    assert!(!socket.exists());
    drop(idle);
}

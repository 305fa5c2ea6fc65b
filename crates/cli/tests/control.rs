//! `linerate top` and `linerate connections`, which query a running server through its control
//! socket.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use support::{
    LEFT_OWN, Net, RIGHT_OWN, Server, both, cidr, connect, eventually, linerate, linerate_json,
};

const CONNECTIONS: usize = 700;

/// Starts a server with its own control socket, so that parallel tests do not interfere.
fn serve(net: &Net, socket: &Path, more: &str) -> Server {
    let [v4, v6] = both(LEFT_OWN);
    let services = "--service echo:7 --service close:9000";
    net.serve(&format!(
        "--address {} --address {} {services} --control {} {more}",
        cidr(v4),
        cidr(v6),
        socket.display()
    ))
}

fn socket(net: &Net) -> PathBuf {
    std::env::temp_dir().join(format!("{}.sock", net.left()))
}

/// Opens connections, echoes a few bytes over each and keeps them open.
fn hold(net: &Net, count: usize) -> Vec<TcpStream> {
    net.on_right(move || {
        let targets = both(LEFT_OWN).into_iter().cycle().take(count);
        targets
            .map(|address| {
                let mut stream = connect((address, 7).into());
                stream.write_all(b"seven b").expect("it is open");
                stream.read_exact(&mut [0; 7]).expect("the echo");
                stream
            })
            .collect()
    })
}

fn query(net: &Net, subcommand: &str, socket: &Path) -> Value {
    linerate_json(&net.right(), &format!("{subcommand} --json --control {}", socket.display()))
}

fn rows(report: &Value) -> &Vec<Value> {
    report["connections"].as_array().expect("a list")
}

#[test]
fn the_connections_of_a_server_are_listed_with_their_tcp_state() {
    let net = Net::new();
    let socket = socket(&net);
    let mut server = serve(&net, &socket, "");
    let held = hold(&net, CONNECTIONS);
    let report = query(&net, "connections", &socket);
    assert_eq!((rows(&report).len(), &report["shown"]), (CONNECTIONS, &CONNECTIONS.into()));
    let mut remotes: Vec<_> = held.iter().map(|it| it.local_addr().unwrap().to_string()).collect();
    let mut listed: Vec<_> =
        rows(&report).iter().map(|row| row["remote"].as_str().unwrap().to_owned()).collect();
    remotes.sort();
    listed.sort();
    assert_eq!(remotes, listed);
    for row in rows(&report) {
        assert_eq!(
            (&row["state"], &row["congestion_control"]),
            (&"ESTABLISHED".into(), &"cubic".into())
        );
        assert_eq!((&row["bytes_received"], &row["bytes_acked"]), (&7.into(), &7.into()));
        assert!(row["rtt"].as_u64().unwrap() > 0 && row["cwnd"].as_u64().unwrap() > 1000, "{row}");
    }
    assert_eq!(rows(&query(&net, "connections --limit 5", &socket)).len(), 5);
    assert_eq!(rows(&query(&net, "connections --state time-wait", &socket)).len(), 0);
    assert_eq!(rows(&query(&net, "connections --port 9000", &socket)).len(), 0);
    let arguments = format!("connections --control {}", socket.display());
    let text = stdout(linerate(&net.right(), &arguments));
    assert_eq!(text.lines().count(), 1 + 2 * CONNECTIONS, "{text}");
    drop(held);
    eventually("all are closed", || rows(&query(&net, "connections", &socket)).is_empty());
    assert_eq!(server.stop(), Some(0));
    assert!(!socket.exists(), "the server removes its socket");
}

#[test]
fn top_shows_rates_drops_and_latencies_of_a_busy_server() {
    let net = Net::new();
    let socket = socket(&net);
    let _server = serve(&net, &socket, "");
    let held = hold(&net, 20);
    let refused = net.on_right(|| TcpStream::connect((LEFT_OWN, 81)).map(drop));
    assert!(refused.is_err(), "the port is closed");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let client_stop = std::sync::Arc::clone(&stop);
    let ns = net.right();
    let busy = support::inside(&ns, move || {
        while !client_stop.load(std::sync::atomic::Ordering::Relaxed) {
            let mut stream = connect((LEFT_OWN, 9000).into());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read(&mut [0]);
        }
    });
    let figures = query(&net, "top", &socket);
    let text = stdout(linerate(&ns, &format!("top --count 1 --control {}", socket.display())));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    busy.join().expect("the client runs to the end");

    assert!(figures["connections"].as_u64().unwrap() >= 20, "{figures}");
    assert!(figures["events"]["passive-opens"]["per_second"].as_f64().unwrap() > 1.0, "{figures}");
    assert!(figures["drops"]["no-connection"]["total"].as_u64().unwrap() >= 1, "{figures}");
    for latency in ["turn", "handshake"] {
        assert!(figures[latency]["p50"].as_u64().unwrap() > 0, "{figures}");
        assert!(figures[latency]["count"].as_u64().unwrap() > 1, "{figures}");
    }
    assert_eq!(figures["workers"].as_array().map(Vec::len), Some(1));
    assert!(figures["workers"][0]["link"]["rx_frames"]["per_second"].as_f64().unwrap() > 1.0);
    assert!(figures["seconds"].as_f64().unwrap() >= 1.0, "{figures}");
    assert!(text.contains("passive-opens") && text.contains("handshake"), "{text}");
    drop(held);
}

#[test]
fn invalid_requests_and_lost_clients_do_not_disturb_the_server() {
    let net = Net::new();
    let socket = socket(&net);
    let _server = serve(&net, &socket, "");
    let held = hold(&net, CONNECTIONS);
    let invalid: [&[u8]; 5] =
        [b"\n", b"{}\n", b"\xff\xfe\n", b"{\"ask\":\"passwords\"}\n", &[b'x'; 9000]];
    for request in invalid {
        let mut stream = UnixStream::connect(&socket).expect("the server listens");
        // The server may close the socket before an overlong request is written.
        let _ = stream.write_all(request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut response = String::new();
        let _ = stream.read_to_string(&mut response);
        assert!(!response.contains("remote"), "{response}");
    }
    for _ in 0..3 {
        let mut stream = UnixStream::connect(&socket).expect("the server listens");
        stream.write_all(b"{\"ask\":\"connections\"}\n").expect("the server reads a request");
        // Closes without reading the response.
    }
    drop(UnixStream::connect(&socket).expect("the server listens"));
    assert_eq!(rows(&query(&net, "connections", &socket)).len(), CONNECTIONS);
    drop(held);
}

#[test]
fn a_query_without_a_server_fails_with_a_remedy() {
    let net = Net::new();
    let path = std::env::temp_dir().join(format!("{}-none.sock", net.left()));
    for subcommand in ["top", "connections"] {
        let output = linerate(&net.left(), &format!("{subcommand} --control {}", path.display()))
            .output()
            .expect("the binary runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(&*path.display().to_string()) && text.contains("to do"), "{text}");
    }
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let net = Net::with_queues(2);
    let socket = socket(&net);
    let mut first = serve(&net, &socket, "");
    first.kill();
    assert!(socket.exists(), "a killed server leaves its socket");
    let _second = serve(&net, &socket, "");
    let request = format!(
        "serve --interface veth0 --address {} --service echo:7 --control {}",
        cidr(both(RIGHT_OWN)[0]),
        socket.display()
    );
    let output = linerate(&net.right(), &request).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("another process listens"), "{text}");
    assert_eq!(rows(&query(&net, "connections", &socket)).len(), 0);
}

#[track_caller]
fn stdout(mut command: std::process::Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

#[test]
fn waits_are_reported_if_frames_are_timestamped() {
    let net = Net::new();
    let socket = socket(&net);
    for (arguments, mode) in
        [("--rx-timestamps", "native"), ("--rx-timestamps", "generic"), ("", "native")]
    {
        let server = serve(&net, &socket, &format!("{arguments} --xdp-mode {mode}"));
        let wait = std::thread::scope(|scope| {
            let top = scope.spawn(|| query(&net, "top", &socket)["wait"].take());
            for _ in 0..10 {
                drop(hold(&net, 20));
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            top.join().expect("the server responds")
        });
        match arguments {
            "" => assert!(wait.is_null(), "{wait}"),
            _ => {
                assert!(wait["count"].as_u64().is_some_and(|count| count > 20), "{wait}");
                let median = wait["p50"].as_u64().expect("nanoseconds");
                assert!((1..1_000_000_000).contains(&median), "{wait}");
            }
        }
        drop(server);
    }
}

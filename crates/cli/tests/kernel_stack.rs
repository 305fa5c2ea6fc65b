//! Services and load patterns over kernel sockets, on the loopback interface: `serve` and `load` as
//! a user runs them, against each other and against plain sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const LINERATE: &str = env!("CARGO_BIN_EXE_linerate");

/// A running `serve`; killed when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(service: &str, more: &[&str]) -> Self {
        Self::start_at("127.0.0.1", service, more)
    }

    fn start_at(host: &str, service: &str, more: &[&str]) -> Self {
        // Find a free port. The kernel does not assign it again soon, so `serve` can bind it.
        let probe = TcpListener::bind((host, 0)).expect("the loopback interface is up");
        let address = probe.local_addr().expect("the listener is bound");
        drop(probe);
        let mut child = Command::new(LINERATE)
            .args(["serve", "--stack", "kernel", "--address", host])
            .args(["--service", &format!("{service}:{}", address.port())])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary is built");
        let mut first = String::new();
        let out = child.stdout.take().expect("stdout is piped");
        BufReader::new(out).read_line(&mut first).expect("the server prints a line");
        assert_eq!(first, "ready\n");
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("the timeout is not zero");
        stream
    }

    fn target(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `load --json` and returns its exit status and its report.
fn load(target: &str, arguments: &[&str]) -> (i32, Value) {
    let output = Command::new(LINERATE)
        .args(["load", "--stack", "kernel", "--json", "--target", target])
        .args(arguments)
        .output()
        .expect("the binary is built");
    let object = serde_json::from_slice(&output.stdout).expect("one object on standard output");
    (output.status.code().unwrap_or(-1), object)
}

fn assert_clean(report: &Value, connections: u64) {
    assert_eq!(report["connections_opened"], connections, "{report}");
    assert_eq!(report["connections_completed"], connections, "{report}");
    assert_eq!(report["failed"], serde_json::json!({}), "{report}");
}

fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("the stream ends with a FIN");
    all
}

#[test]
fn echo_returns_everything_sent_before_a_half_close() {
    let server = Server::start("echo", &[]);
    let mut stream = server.connect();
    let sent: Vec<u8> = (0..20_000_000u32).map(|at| (at * 7 / 3) as u8).collect();
    let mut writer = stream.try_clone().expect("the socket is cloned");
    let copy = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&copy).expect("the echo service reads");
        writer.shutdown(Shutdown::Write).expect("the connection is open");
    });
    assert!(read_all(&mut stream) == sent);
    writing.join().expect("the writer succeeds");
}

#[test]
fn echo_buffers_a_bounded_amount_if_the_peer_does_not_read() {
    let server = Server::start("echo", &[]);
    let mut stream = server.connect();
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("the timeout is not zero");
    let chunk = vec![1; 1 << 20];
    let mut written = 0;
    while let Ok(count) = stream.write(&chunk) {
        written += count;
        assert!(written < 200 << 20, "echo buffers without a limit");
    }
    stream.shutdown(Shutdown::Write).expect("the connection is open");
    assert_eq!(read_all(&mut stream).len(), written);
}

#[test]
fn discard_reads_everything_and_sends_nothing() {
    let server = Server::start("discard", &[]);
    let mut stream = server.connect();
    stream.write_all(&vec![0; 5 << 20]).expect("the service reads");
    stream.shutdown(Shutdown::Write).expect("the connection is open");
    assert!(read_all(&mut stream).is_empty());
}

#[test]
fn chargen_streams_its_pattern_until_the_peer_closes() {
    let server = Server::start("chargen", &[]);
    let mut stream = server.connect();
    let mut got = vec![0; 3 << 20];
    stream.read_exact(&mut got).expect("the service sends");
    // RFC 864: lines of 72 characters and CRLF; each line starts one character later in the
    // pattern.
    assert!(got.starts_with(b" !\"#"));
    assert_eq!(&got[72..78], b"\r\n!\"#$");
    assert!(got.iter().zip(&got[95 * 74..]).all(|(one, next)| one == next));
    stream.shutdown(Shutdown::Write).expect("the connection is open");
    read_all(&mut stream);
}

#[test]
fn daytime_sends_a_line_closes_first_and_accepts_more_data() {
    let server = Server::start("daytime", &[]);
    let mut stream = server.connect();
    let line = String::from_utf8(read_all(&mut stream)).expect("valid UTF-8");
    assert!(line.ends_with("-UTC\r\n") && line.matches('\n').count() == 1, "{line}");
    for _ in 0..10 {
        stream.write_all(&[0; 10_000]).expect("the service accepts data without a reset");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn close_waits_for_the_peer() {
    let server = Server::start("close", &[]);
    let mut stream = server.connect();
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("the timeout is not zero");
    assert!(stream.read(&mut [0; 10]).is_err(), "it sends nothing and does not close first");
    stream.shutdown(Shutdown::Write).expect("the connection is open");
    assert!(read_all(&mut stream).is_empty());
}

#[test]
fn http_serves_a_file_with_keep_alive_and_404() {
    let path = std::env::temp_dir().join(format!("linerate-http-{}.html", std::process::id()));
    let body: String = (0..200_000).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
    std::fs::write(&path, &body).expect("the temporary directory is writable");
    let server = Server::start("http", &["--file", path.to_str().expect("the path is UTF-8")]);
    let mut stream = server.connect();
    let name = path.file_name().and_then(|name| name.to_str()).expect("the path has a file name");
    write!(
        stream,
        "GET /{name} HTTP/1.1\r\nHost: a\r\n\r\nGET /other HTTP/1.1\r\nHost: a\r\n\r\n\
         HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    .expect("the server reads");
    let text = String::from_utf8(read_all(&mut stream)).expect("valid UTF-8");
    let answers: Vec<&str> = text.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(answers.len(), 3);
    assert!(answers[0].starts_with("200 OK") && answers[0].ends_with(&body));
    assert!(answers[0].contains("content-type: text/html"));
    assert!(answers[1].starts_with("404 ") && answers[2].starts_with("200 OK"));
    assert!(answers[2].contains("content-length: 200000") && answers[2].ends_with("\r\n\r\n"));
    std::fs::remove_file(&path).expect("the file exists");
}

#[test]
fn http_reads_chunks_and_closes_what_takes_too_long_on_kernel_sockets() {
    let server = Server::start("http", &["--http-header-timeout", "0.2", "--body-bytes", "4"]);
    let mut stream = server.connect();
    let chunked =
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for request in [chunked, "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"] {
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nline") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    }
    stream.write_all(b"GET / HTTP/1.1\r\n").expect("the server reads");
    assert!(read_all(&mut stream).starts_with(b"HTTP/1.1 408 "));
}

#[test]
fn http_answers_a_client_that_has_half_closed() {
    let server = Server::start("http", &["--body-bytes", "5M"]);
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("the server reads");
    stream.shutdown(Shutdown::Write).expect("the connection is open");
    let bytes = read_all(&mut stream);
    let head = bytes.windows(4).position(|it| it == b"\r\n\r\n").expect("a head");
    assert_eq!(bytes.len() - head - 4, 5 << 20);
}

#[test]
fn http_and_another_service_run_side_by_side() {
    let other = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let port = other.expect("the loopback interface is up").port();
    let server = Server::start("http", &["--service", &format!("echo:{port}")]);
    let mut http = server.connect();
    let mut echo = TcpStream::connect(("127.0.0.1", port)).expect("the server accepts");
    echo.write_all(b"hello").expect("the server reads");
    http.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("the server reads");
    echo.shutdown(Shutdown::Write).expect("the connection is open");
    assert_eq!(read_all(&mut echo), b"hello");
    assert!(read_all(&mut http).starts_with(b"HTTP/1.0 200 OK"));
}

#[test]
fn connect_closes_every_connection_cleanly() {
    let server = Server::start("close", &[]);
    let (status, report) =
        load(&server.target(), &["--pattern", "connect", "--connections", "3000"]);
    assert_eq!(status, 0);
    assert_clean(&report, 3000);
    assert_eq!(report["handshake"]["count"], 3000);
    assert_eq!(report["teardown"]["count"], 3000);
    assert!(report["request"].is_null());
    assert!(report["connections_per_second"].as_f64() > Some(100.0), "{report}");
}

#[test]
fn connect_works_when_the_peer_closes_first() {
    let server = Server::start("daytime", &[]);
    let (status, report) =
        load(&server.target(), &["--pattern", "connect", "--connections", "300"]);
    assert_eq!(status, 0);
    assert_clean(&report, 300);
}

#[test]
fn connect_with_a_duration_counts_connections_opened_in_it() {
    let server = Server::start("close", &["--cores", "0,1"]);
    let arguments = ["--pattern", "connect", "--duration", "1", "--cores", "0,1"];
    let (status, report) = load(&server.target(), &arguments);
    assert_eq!(status, 0);
    assert_eq!(report["connections_opened"], report["connections_completed"], "{report}");
    let seconds = report["seconds"].as_f64().unwrap_or(0.0);
    assert!((1.0..1.3).contains(&seconds), "{report}");
}

#[test]
fn source_addresses_are_used_round_robin() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface is up");
    let target = listener.local_addr().expect("the listener is bound").to_string();
    let accepting = std::thread::spawn(move || {
        let mut peers: Vec<String> = (0..6)
            .map(|_| {
                let (mut stream, peer) = listener.accept().expect("the clients connect");
                read_all(&mut stream);
                peer.ip().to_string()
            })
            .collect();
        peers.sort();
        peers
    });
    let addresses = ["--address", "127.0.0.2", "--address", "127.0.0.3", "--address", "127.0.0.1"];
    let mut arguments = vec!["--pattern", "connect", "--connections", "6", "--concurrency", "1"];
    arguments.extend(addresses);
    let (_, report) = load(&target, &arguments);
    assert_clean(&report, 6);
    let peers = accepting.join().expect("the accepting thread succeeds");
    let expected = ["127.0.0.1", "127.0.0.2", "127.0.0.3"].map(|it| [it, it]).concat();
    assert_eq!(peers, expected);
}

#[test]
fn request_verifies_every_response() {
    let server = Server::start("echo", &[]);
    for (bytes, connections) in [("1", "50"), ("64", "50"), ("3M", "3")] {
        let arguments =
            ["--pattern", "request", "--connections", connections, "--request-bytes", bytes];
        let (status, report) =
            load(&server.target(), &[&arguments[..], &["--requests-per-connection", "4"]].concat());
        assert_eq!(status, 0);
        let connections: u64 = connections.parse().expect("a number");
        assert_clean(&report, connections);
        assert_eq!(report["requests"], connections * 4);
        assert_eq!(report["request"]["count"], connections * 4);
        assert_eq!(report["bytes_sent"], report["bytes_received"]);
    }
}

#[test]
fn a_wrong_response_counts_as_corrupt() {
    let server = Server::start("chargen", &[]);
    let (_, report) = load(&server.target(), &["--pattern", "request", "--connections", "2"]);
    assert_eq!(report["failed"]["corrupt"], 2, "{report}");
}

#[test]
fn request_with_a_duration_measures_after_the_ramp() {
    let server = Server::start("echo", &[]);
    let arguments = ["--pattern", "request", "--duration", "0.5", "--concurrency", "4"];
    let (status, report) = load(&server.target(), &[&arguments[..], &["--idle", "spin"]].concat());
    assert_eq!(status, 0);
    assert_clean(&report, 4);
    assert!(report["requests_per_second"].as_f64() > Some(100.0), "{report}");
}

#[test]
fn stream_sends_to_discard_and_receives_from_chargen() {
    for (service, used, other) in
        [("discard", "bytes_sent", "bytes_received"), ("chargen", "bytes_received", "bytes_sent")]
    {
        let server = Server::start(service, &[]);
        let arguments = ["--pattern", "stream", "--duration", "0.5", "--concurrency", "2"];
        let (status, report) = load(&server.target(), &arguments);
        assert_eq!(status, 0);
        assert_clean(&report, 2);
        assert!(report[used].as_u64() > Some(1 << 20), "{report}");
        assert_eq!(report[other], 0, "{report}");
    }
}

#[test]
fn stream_through_echo_receives_every_byte() {
    let server = Server::start("echo", &[]);
    let arguments = ["--pattern", "stream", "--connections", "3", "--bytes-per-connection", "5M"];
    let (status, report) = load(&server.target(), &arguments);
    assert_eq!(status, 0);
    assert_clean(&report, 3);
    assert_eq!(
        (&report["bytes_sent"], &report["bytes_received"]),
        (&15_728_640.into(), &15_728_640.into())
    );
}

#[test]
fn idle_holds_its_connections_and_closes_them() {
    let server = Server::start("close", &[]);
    let arguments = ["--pattern", "idle", "--connections", "2000", "--duration", "0.5"];
    let (status, report) = load(&server.target(), &arguments);
    assert_eq!(status, 0);
    assert_clean(&report, 2000);
}

#[test]
fn a_refusing_target_is_reported_with_exit_status_1() {
    let probe = TcpListener::bind("127.0.0.1:0").expect("the loopback interface is up");
    let target = probe.local_addr().expect("the listener is bound").to_string();
    drop(probe);
    let (status, report) = load(&target, &["--pattern", "connect", "--connections", "5"]);
    assert_eq!((status, &report["failed"]["refused"]), (1, &5.into()));
    assert_eq!(report["connections_opened"], 0);
}

#[test]
fn a_reset_by_the_peer_is_counted_as_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface is up");
    let target = listener.local_addr().expect("the listener is bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Closing with unread data resets the connection.
            let _ = stream.peek(&mut [0; 1]);
        }
    });
    let (_, report) = load(&target, &["--pattern", "request", "--connections", "5"]);
    assert_eq!(report["failed"]["reset"], 5, "{report}");
}

#[test]
fn load_works_over_ipv6() {
    let server = Server::start_at("::1", "echo", &[]);
    let arguments = ["--pattern", "request", "--connections", "20", "--address", "::1/128"];
    let (status, report) = load(&server.target(), &arguments);
    assert_eq!(status, 0);
    assert_clean(&report, 20);
}

#[test]
fn handshake_and_teardown_histograms_are_written() {
    let server = Server::start("close", &[]);
    let path = std::env::temp_dir().join(format!("linerate-{}.hgrm", std::process::id()));
    let name = path.to_str().expect("the path is UTF-8");
    load(&server.target(), &["--pattern", "connect", "--connections", "50", "--histogram", name]);
    for path in [path.clone(), path.with_extension("teardown.hgrm")] {
        let text = std::fs::read_to_string(&path).expect("the histogram exists");
        assert!(text.contains("Percentile") && text.contains("Total count    =           50]"));
        std::fs::remove_file(&path).expect("the file exists");
    }
}

#[test]
fn serve_exits_with_0_on_sigterm() {
    use nix::sys::signal::{Signal, kill};
    let mut server = Server::start("echo", &[]);
    let id = i32::try_from(server.child.id()).expect("a process id fits");
    kill(nix::unistd::Pid::from_raw(id), Signal::SIGTERM).expect("the process runs");
    let signalled_at = Instant::now();
    assert_eq!(server.child.wait().expect("the process exits").code(), Some(0));
    assert!(signalled_at.elapsed() < Duration::from_secs(2));
}

#[test]
fn load_reports_partial_results_on_sigint() {
    use nix::sys::signal::{Signal, kill};
    let server = Server::start("echo", &[]);
    let child = Command::new(LINERATE)
        .args(["load", "--stack", "kernel", "--json", "--pattern", "request", "--duration", "60"])
        .args(["--warm-up", "0", "--target", &server.target()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary is built");
    std::thread::sleep(Duration::from_millis(700));
    let id = i32::try_from(child.id()).expect("a process id fits");
    kill(nix::unistd::Pid::from_raw(id), Signal::SIGINT).expect("the process runs");
    let output = child.wait_with_output().expect("the process exits");
    let report: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(output.status.code(), Some(0));
    assert!(report["requests"].as_u64() > Some(0), "{report}");
}

//! `resp` with redis-cli and redis-benchmark.

use std::io::{Read, Write};

use crate::namespaces::Net;
use crate::{client, connect, example, exchange};

#[test]
fn resp_answers_redis_cli() {
    let net = Net::new();
    let mut server = example(&net, "resp", &[]);
    let cli = |line: &str| client(&net, &format!("redis-cli -h {{server}} {line}"));
    for (line, reply) in [
        ("PING", "PONG"),
        ("SET name 'two words'", "OK"),
        ("GET name", "two words"),
        ("GET none", ""),
        ("INCR count", "1"),
        ("INCRBY count 41", "42"),
        ("MGET count none name", "42\n\ntwo words"),
        ("TTL name", "-1"),
        ("EXPIRE name 100", "1"),
        ("TTL name", "100"),
        ("SET name brief PX 1", "OK"),
        ("DBSIZE", "1"),
        ("GET name", ""),
        ("DEL count name", "1"),
        ("HSET a b c", "ERR unknown command 'HSET'\n"),
    ] {
        assert_eq!(cli(line), format!("{reply}\n"), "{line}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn resp_counts_every_request_of_a_pipelined_benchmark() {
    let net = Net::new();
    let mut server = example(&net, "resp", &["7000"]);
    let report = client(
        &net,
        "redis-benchmark -h {server} -p 7000 -t ping,set,get,incr,mset -n 20000 -c 20 -P 16 -q",
    );
    let report = report.replace('\r', "\n");
    for name in ["PING_INLINE:", "PING_MBULK:", "SET:", "GET:", "INCR:", "MSET (10 keys):"] {
        let done = |line: &str| line.starts_with(name) && line.contains("requests per second");
        assert!(report.lines().any(done), "no result of {name} in {report}");
    }
    let counted = client(&net, "redis-cli -h {server} -p 7000 GET counter:__rand_int__");
    assert_eq!(counted, "20000\n");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn resp_answers_pipelined_and_inline_requests_in_order() {
    let net = Net::new();
    let mut server = example(&net, "resp", &[]);
    let sent = b"SET a 'x y'\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n\r\nPING\nQUIT\r\nPING\r\n";
    let received = exchange(&net, 6379, sent.to_vec());
    assert_eq!(String::from_utf8_lossy(&received), "+OK\r\n$3\r\nx y\r\n+PONG\r\n+OK\r\n");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn resp_closes_after_a_protocol_error() {
    let net = Net::new();
    let mut server = example(&net, "resp", &[]);
    for (sent, text) in [
        ("*1\r\n$999999999\r\n", "invalid bulk length"),
        ("*99999\r\n", "invalid multibulk length"),
        ("*1\r\nPING\r\n", "expected '$', got 'P'"),
    ] {
        let received = net.on_right(move || {
            let mut stream = connect(6379);
            stream.write_all(sent.as_bytes()).expect("the server reads");
            let mut received = String::new();
            stream.read_to_string(&mut received).expect("the server closes");
            received
        });
        assert_eq!(received, format!("-ERR Protocol error: {text}\r\n"));
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn resp_lets_idle_clients_go_on_sigterm() {
    let net = Net::new();
    let mut server = example(&net, "resp", &[]);
    let mut idle = net.on_right(|| {
        let mut stream = connect(6379);
        stream.write_all(b"PING\r\n").expect("the server reads");
        stream.read_exact(&mut [0; 7]).expect("a reply");
        stream
    });
    // Reads the end and closes its side, too.
    let idle = std::thread::spawn(move || idle.read(&mut [0]));
    assert_eq!(server.stop(), Some(0));
    assert_eq!(idle.join().expect("no panic").expect("a clean end"), 0);
}

//! The time that clients may take.

use std::io::ErrorKind;

use linerate::Duration;
use linerate::net::{TcpStream, now, sleep};

use super::support::{TIMEOUTS, rest, run, server, site, statuses, until};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Returns true for a span of this length, give or take round trips and a turn.
fn is_about(span: Duration, expected: Duration) -> bool {
    span >= expected - Duration::from_millis(100) && span <= expected + Duration::from_millis(100)
}

#[test]
fn a_head_that_trickles_in_gets_408() {
    let (text, took) = run(server(site(4)), async |mut stream: TcpStream| {
        let began = now();
        stream.write_all(b"GET / HTTP/1.1\r\n").await.expect("the server reads");
        for _ in 0..9 {
            sleep(seconds(1)).await;
            stream.write_all(b"A: b\r\n").await.expect("the server reads");
        }
        (rest(&mut stream).await, now().since(began))
    });
    assert_eq!(statuses(&text), [408]);
    assert!(is_about(took, TIMEOUTS.header), "{took:?}");
}

#[test]
fn a_connection_without_a_request_is_closed_silently() {
    let (text, took) = run(server(site(4)), async |mut stream: TcpStream| {
        let began = now();
        (rest(&mut stream).await, now().since(began))
    });
    assert_eq!(text, "");
    assert!(is_about(took, TIMEOUTS.header), "{took:?}");
}

#[test]
fn an_idle_connection_is_closed_after_its_own_timeout() {
    let (text, took) = run(server(site(4)), async |mut stream: TcpStream| {
        let mut began = now();
        for _ in 0..3 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("an open stream");
            until(&mut stream, "\r\n\r\nline").await;
            began = now();
            // Longer than the header timeout, which does not count between requests.
            sleep(seconds(30)).await;
        }
        (rest(&mut stream).await, now().since(began))
    });
    assert_eq!(text, "");
    assert!(is_about(took, TIMEOUTS.idle), "{took:?}");
}

#[test]
fn the_header_timeout_starts_again_with_each_request() {
    let (text, took) = run(server(site(4)), async |mut stream: TcpStream| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("an open stream");
        until(&mut stream, "\r\n\r\nline").await;
        sleep(seconds(30)).await;
        let began = now();
        stream.write_all(b"GET").await.expect("an open stream");
        (rest(&mut stream).await, now().since(began))
    });
    assert_eq!(statuses(&text), [408]);
    assert!(is_about(took, TIMEOUTS.header), "{took:?}");
}

#[test]
fn a_body_that_does_not_come_ends_the_connection() {
    let (error, took) = run(server(site(4)), async |mut stream: TcpStream| {
        let began = now();
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\n\r\n";
        stream.write_all(head).await.expect("the server reads");
        let error = loop {
            sleep(seconds(1)).await;
            if let Err(error) = stream.write_all(b"x").await {
                break error;
            }
        };
        (error.kind(), now().since(began))
    });
    assert_eq!(error, ErrorKind::ConnectionReset);
    assert!(took >= TIMEOUTS.idle && took <= TIMEOUTS.idle + seconds(2), "{took:?}");
}

#[test]
fn a_peer_that_stops_reading_is_reset() {
    let (error, took) = run(server(site(20_000_000)), async |mut stream: TcpStream| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("the server reads");
        let began = now();
        sleep(seconds(90)).await;
        let mut received = Vec::new();
        let error = stream.read_to_end(&mut received).await.expect_err("a reset");
        (error.kind(), now().since(began))
    });
    assert_eq!(error, ErrorKind::ConnectionReset);
    assert!(is_about(took, seconds(90)), "{took:?}");
}

#[test]
fn a_peer_that_reads_slowly_gets_everything() {
    let bytes = run(server(site(20_000_000)), async |mut stream: TcpStream| {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("the server reads");
        let (mut chunk, mut bytes) = (vec![0; 2_000_000], 0);
        for _ in 0..9 {
            sleep(seconds(30)).await;
            stream.read_exact(&mut chunk).await.expect("no reset");
            bytes += chunk.len();
        }
        bytes + rest(&mut stream).await.len()
    });
    assert!(bytes > 20_000_000, "{bytes}");
}

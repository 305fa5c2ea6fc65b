//! `iperf` with the stock iperf3 client.

use serde_json::Value;

use crate::namespaces::Net;
use crate::{all_of, client, example, try_client};

/// Runs iperf3 and returns its report.
#[track_caller]
fn report(net: &Net, arguments: &str) -> Value {
    let text = client(net, &format!("iperf3 -c {{server}} -J {arguments}"));
    let report: Value = serde_json::from_str(&text).expect("a report in JSON");
    assert_eq!(report["error"], Value::Null, "{text}");
    report
}

/// Returns the bytes that the two ends of each stream report.
fn bytes(report: &Value) -> Vec<(u64, u64)> {
    let of = |stream: &Value, end: &str| stream[end]["bytes"].as_u64().expect("a number");
    let streams = report["end"]["streams"].as_array().expect("streams");
    streams.iter().map(|stream| (of(stream, "sender"), of(stream, "receiver"))).collect()
}

#[test]
fn iperf3_sends_and_receives_exactly_the_bytes_it_asks_for() {
    let net = Net::new();
    let mut server = example(&net, "iperf", &[]);
    const BYTES: u64 = 16 << 20;
    assert_eq!(bytes(&report(&net, "-n 16M")), [(BYTES, BYTES)]);
    assert_eq!(bytes(&report(&net, "-n 16M -R")), [(BYTES, BYTES)]);
    for direction in ["", "-R"] {
        let streams = bytes(&report(&net, &format!("-n 16M -P 4 {direction}")));
        assert_eq!(streams.len(), 4);
        assert!(streams.iter().all(|(sent, received)| sent == received), "{streams:?}");
        let total: u64 = streams.iter().map(|(sent, _)| sent).sum();
        // iperf3's client finishes the round of its streams; this server stops at the byte.
        let may_exceed = direction.is_empty();
        assert!(total == BYTES || may_exceed && total > BYTES, "{streams:?}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn iperf3_measures_both_directions_at_once() {
    let net = Net::new();
    let mut server = example(&net, "iperf", &["5000"]);
    let report = report(&net, "-p 5000 -t 1 --bidir -P 2");
    let streams = bytes(&report);
    assert_eq!(streams.len(), 4);
    assert!(streams.iter().all(|(_, received)| *received > 100_000), "{streams:?}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn iperf3_is_refused_what_the_server_does_not_do() {
    let net = Net::new();
    let mut server = example(&net, "iperf", &[]);
    let output = try_client(&net, "iperf3 -c {server} -u -n 1M");
    let text = all_of(&output);
    assert!(!output.status.success() && text.contains("not implemented"), "{text}");
    std::thread::scope(|scope| {
        scope.spawn(|| client(&net, "iperf3 -c {server} -t 2"));
        std::thread::sleep(std::time::Duration::from_millis(500));
        let output = try_client(&net, "iperf3 -c {server} -t 1");
        let text = all_of(&output);
        assert!(!output.status.success() && text.contains("busy running a test"), "{text}");
    });
    assert_eq!(server.stop(), Some(0));
}

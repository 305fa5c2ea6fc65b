//! Per-connection socket options, and the soft errors that a program receives (RFC 9293 §3.9.1).

use super::raw::{Callback, IRS, PEER_PORT, Raw, ack, quoted_segment, segment_of};
use super::stage::PORT;
use crate::metrics::DropReason;
use crate::shard::{CloseReason, SocketOption, SoftError};
use crate::tcp::KeepAlive;
use crate::time::Duration;
use crate::wire::Protocol;
use crate::wire::icmp::v4;
use crate::wire::tcp::flag;

fn write(t: &mut Raw, bytes: usize) {
    let conn = t.conn();
    t.with_io(move |io| assert_eq!(io.write(conn, &vec![0; bytes]), bytes));
}

fn set_option(t: &mut Raw, option: SocketOption) {
    let conn = t.conn();
    t.with_io(move |io| io.set_option(conn, option));
}

#[test]
fn nagle_can_be_turned_off_for_one_connection() {
    // RFC 9293 §3.7.4, MUST-17
    let mut t = Raw::new(|_| {});
    t.accept();
    write(&mut t, 10);
    write(&mut t, 10);
    assert_eq!(t.sent().len(), 1, "the second write waits for the ACK of the first");
    set_option(&mut t, SocketOption::Nagle(false));
    write(&mut t, 10);
    assert_eq!(t.sent().iter().map(|got| got.len).collect::<Vec<_>>(), [10, 10]);
}

#[test]
fn keep_alive_can_be_turned_on_for_one_connection() {
    // RFC 9293 §3.8.4, MUST-24: configured, but turned off and on per connection; off by default.
    let keep_alive =
        KeepAlive { idle: Duration::from_secs(2), interval: Duration::from_secs(1), probes: 3 };
    let mut t = Raw::new(|config| config.settings.keep_alive = Some(keep_alive));
    let iss = t.accept();
    set_option(&mut t, SocketOption::KeepAlive(false));
    t.after_ms(5_000);
    assert!(t.sent().is_empty());
    set_option(&mut t, SocketOption::KeepAlive(true));
    t.after_ms(2_010);
    let probe = t.sent().remove(0);
    assert_eq!((probe.seq, probe.len), (iss, 0));
    let mut t = Raw::new(|_| {});
    t.accept();
    set_option(&mut t, SocketOption::KeepAlive(true));
    t.after_ms(10_000);
    assert!(t.sent().is_empty(), "MUST-28: two hours");
}

#[test]
fn a_program_sets_the_dscp_of_a_connection() {
    // RFC 9293 §3.9.1.9, MUST-48, SHLD-21, SHLD-22
    let mut t = Raw::new(|_| {});
    t.accept();
    write(&mut t, 1000);
    assert_eq!(t.sent()[0].class >> 2, 0);
    set_option(&mut t, SocketOption::DiffServ(46));
    write(&mut t, 1000);
    assert_eq!(t.sent()[0].class >> 2, 46);
}

#[test]
fn the_ttl_is_configurable_per_host() {
    // RFC 9293 §3.9.2, MUST-49
    let mut t = Raw::new(|config| config.hop_limit = 17);
    t.accept();
    write(&mut t, 10);
    assert_eq!(t.sent()[0].ttl, 17);
    let mut t = Raw::new(|_| {});
    assert_eq!(t.connect().ttl, 64);
}

#[test]
fn unanswered_retransmissions_report_a_soft_error_then_a_timeout() {
    // RFC 9293 §3.8.3, SHLD-9, SHLD-10, MUST-20; §3.9.1.8, MUST-47
    let mut t = Raw::new(|_| {});
    t.accept();
    write(&mut t, 10);
    t.after_ms(500); // the first retransmission
    assert_eq!(t.callbacks(), []);
    let requests = t.arp_requests;
    t.after_ms(20_000);
    assert_eq!(t.callbacks(), [Callback::SoftError(SoftError::Unanswered)], "once");
    assert!(t.arp_requests > requests, "(b): negative advice makes IP probe the neighbour");
    t.after_ms(130_000);
    assert_eq!(t.callbacks(), [Callback::Closed(CloseReason::TimedOut)]);
}

#[test]
fn an_unanswered_syn_reports_a_soft_error() {
    // RFC 9293 §3.8.3, MUST-22: a SYN is handled like data, including the notification.
    let mut t = Raw::new(|_| {});
    t.connect();
    t.after_ms(10_000);
    assert_eq!(t.callbacks(), [Callback::SoftError(SoftError::Unanswered)]);
}

#[test]
fn a_soft_error_is_reported_and_the_connection_continues() {
    // RFC 9293 §3.9.2.2, MUST-54, MUST-56, SHLD-25
    let mut t = Raw::new(|_| {});
    let iss = t.accept();
    write(&mut t, 10);
    let segment = t.sent().remove(0);
    assert_eq!(segment.seq, iss + 1);
    unreachable(&mut t, v4::Unreachable::Host, segment.seq);
    assert_eq!(t.callbacks(), [Callback::SoftError(SoftError::Unreachable)]);
    t.receives(&ack(IRS + 1, iss + 11), &[]);
    t.receives(&segment_of(flag::ACK | flag::PSH, IRS + 1, iss + 11), b"still here");
    assert_eq!(t.callbacks(), [Callback::Readable]);
}

#[test]
fn time_exceeded_and_parameter_problems_are_soft_errors() {
    // RFC 9293 §3.9.2.2, MUST-56
    for established in [false, true] {
        let mut t = Raw::new(|config| config.ports = 1024..=1024);
        let seq = open(&mut t, established);
        let quote = quote_of(seq, established);
        let errors = [
            v4::Message::TimeExceeded { code: 0, quote: &quote },
            v4::Message::TimeExceeded { code: 1, quote: &quote },
            v4::Message::ParameterProblem { code: 0, pointer: 1, quote: &quote },
        ];
        for error in errors {
            t.inject_ip(Protocol::ICMP, |bytes| error.emit(bytes).expect("room"));
            t.run_turns();
            assert_eq!(t.callbacks(), [Callback::SoftError(SoftError::Unreachable)], "{error:?}");
        }
        assert_eq!(t.shard.connections(), 1);
    }
}

#[test]
fn a_source_quench_is_silently_discarded() {
    // RFC 9293 §3.9.2.2, MUST-55
    let mut t = Raw::new(|_| {});
    let seq = open(&mut t, true);
    let quote = quoted_segment((PORT, PEER_PORT), seq, 20);
    // Replace type 11 by 4, and correct the checksum by the difference.
    let error = v4::Message::TimeExceeded { code: 0, quote: &quote };
    t.inject_ip(Protocol::ICMP, |bytes| {
        let len = error.emit(bytes).expect("room");
        bytes[0] = 4;
        bytes[2] += 7;
        len
    });
    t.run_turns();
    assert_eq!((t.callbacks(), t.sent()), (vec![], vec![]));
    assert_eq!(t.shard.counters().dropped(DropReason::IcmpChecksum), 0);
    assert_eq!(t.shard.connections(), 1);
}

#[test]
fn port_unreachable_ends_a_connect_but_no_established_connection() {
    // RFC 9293 §3.9.2.2, SHLD-26, as RFC 5927 §5.2 narrows it
    let mut t = Raw::new(|config| config.ports = 1024..=1024);
    let seq = open(&mut t, false);
    let quote = quote_of(seq, false);
    let error = v4::Message::Unreachable { reason: v4::Unreachable::Port, quote: &quote };
    t.inject_ip(Protocol::ICMP, |bytes| error.emit(bytes).expect("room"));
    t.run_turns();
    assert_eq!(t.callbacks(), [Callback::Closed(CloseReason::Unreachable)]);
    let mut t = Raw::new(|_| {});
    let seq = open(&mut t, true);
    unreachable(&mut t, v4::Unreachable::Port, seq);
    assert_eq!(t.callbacks(), [Callback::SoftError(SoftError::Unreachable)]);
}

/// Opens a connection: established with data in flight, or in SYN-SENT. Returns the sequence number
/// in flight.
fn open(t: &mut Raw, established: bool) -> u32 {
    if !established {
        return t.connect().seq;
    }
    t.accept();
    write(t, 10);
    t.sent().remove(0).seq
}

/// Quotes a segment of the accepted connection, or of the one that [`open`] left in SYN-SENT.
fn quote_of(seq: u32, accepted: bool) -> [u8; 28] {
    quoted_segment((if accepted { PORT } else { 1024 }, PEER_PORT), seq, 20)
}

/// Delivers an ICMP error from the peer's address about the segment at `seq`.
fn unreachable(t: &mut Raw, reason: v4::Unreachable, seq: u32) {
    let quote = quoted_segment((PORT, PEER_PORT), seq, 20);
    let error = v4::Message::Unreachable { reason, quote: &quote };
    t.inject_ip(Protocol::ICMP, |bytes| error.emit(bytes).expect("room"));
    t.run_turns();
}

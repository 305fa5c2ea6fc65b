//! What a program chooses for one connection, and what it is told of a connection in trouble
//! (RFC 9293 §3.9.1).

use super::raw::{IRS, PEER_PORT, Raw, Told, ack, quote_of_ours, segment_of};
use super::stage::PORT;
use crate::metrics::DropReason;
use crate::shard::{CloseReason, SocketOption, SoftError};
use crate::tcp::KeepAlive;
use crate::time::Duration;
use crate::wire::Protocol;
use crate::wire::icmp::v4;
use crate::wire::tcp::flag;

fn writes(t: &mut Raw, bytes: usize) {
    let conn = t.conn();
    t.orders(move |io| assert_eq!(io.write(conn, &vec![0; bytes]), bytes));
}

fn chooses(t: &mut Raw, choice: SocketOption) {
    let conn = t.conn();
    t.orders(move |io| io.set_option(conn, choice));
}

#[test]
fn nagle_can_be_turned_off_for_one_connection() {
    // RFC 9293 §3.7.4, MUST-17
    let mut t = Raw::new(|_| {});
    t.accepts();
    writes(&mut t, 10);
    writes(&mut t, 10);
    assert_eq!(t.got().len(), 1, "the second write waits for the ACK of the first");
    chooses(&mut t, SocketOption::Nagle(false));
    writes(&mut t, 10);
    assert_eq!(t.got().iter().map(|got| got.len).collect::<Vec<_>>(), [10, 10]);
}

#[test]
fn keep_alive_can_be_turned_on_for_one_connection() {
    // RFC 9293 §3.8.4, MUST-24: off by default, on for this one, and off again.
    let keep_alive =
        KeepAlive { idle: Duration::from_secs(2), interval: Duration::from_secs(1), probes: 3 };
    let mut t = Raw::new(|config| config.settings.keep_alive = Some(keep_alive));
    let iss = t.accepts();
    chooses(&mut t, SocketOption::KeepAlive(false));
    t.after_ms(5_000);
    assert!(t.got().is_empty());
    chooses(&mut t, SocketOption::KeepAlive(true));
    t.after_ms(2_010);
    let probe = t.got().remove(0);
    assert_eq!((probe.seq, probe.len), (iss, 0));
    let mut t = Raw::new(|_| {});
    t.accepts();
    chooses(&mut t, SocketOption::KeepAlive(true));
    t.after_ms(10_000);
    assert!(t.got().is_empty(), "MUST-28: two hours");
}

#[test]
fn the_differentiated_services_field_is_the_programs() {
    // RFC 9293 §3.9.1.9, MUST-48, SHLD-21, SHLD-22
    let mut t = Raw::new(|_| {});
    t.accepts();
    writes(&mut t, 1000);
    assert_eq!(t.got()[0].class >> 2, 0);
    chooses(&mut t, SocketOption::DiffServ(46));
    writes(&mut t, 1000);
    assert_eq!(t.got()[0].class >> 2, 46);
}

#[test]
fn the_time_to_live_is_the_hosts() {
    // RFC 9293 §3.9.2, MUST-49
    let mut t = Raw::new(|config| config.hop_limit = 17);
    t.accepts();
    writes(&mut t, 10);
    assert_eq!(t.got()[0].ttl, 17);
    let mut t = Raw::new(|_| {});
    assert_eq!(t.opens().ttl, 64);
}

#[test]
fn a_program_hears_of_three_retransmissions_without_answer_and_then_of_the_end() {
    // RFC 9293 §3.8.3, SHLD-9, SHLD-10, MUST-20; §3.9.1.8, MUST-47
    let mut t = Raw::new(|_| {});
    t.accepts();
    writes(&mut t, 10);
    t.after_ms(500); // the first retransmission
    assert_eq!(t.told(), []);
    let asked = t.questions;
    t.after_ms(20_000);
    assert_eq!(t.told(), [Told::SoftError(SoftError::Unanswered)], "once");
    assert!(t.questions > asked, "(b): negative advice, so the neighbour has to prove itself");
    t.after_ms(130_000);
    assert_eq!(t.told(), [Told::Closed(CloseReason::TimedOut)]);
}

#[test]
fn a_program_hears_of_a_syn_without_answer() {
    // RFC 9293 §3.8.3, MUST-22: in the way of data, notification included.
    let mut t = Raw::new(|_| {});
    t.opens();
    t.after_ms(10_000);
    assert_eq!(t.told(), [Told::SoftError(SoftError::Unanswered)]);
}

#[test]
fn a_soft_error_is_told_and_the_connection_goes_on() {
    // RFC 9293 §3.9.2.2, MUST-54, MUST-56, SHLD-25
    let mut t = Raw::new(|_| {});
    let iss = t.accepts();
    writes(&mut t, 10);
    let port = t.got().remove(0);
    assert_eq!(port.seq, iss + 1);
    unreachable(&mut t, v4::Unreachable::Host, port.seq);
    assert_eq!(t.told(), [Told::SoftError(SoftError::Unreachable)]);
    t.hears(&ack(IRS + 1, iss + 11), &[]);
    t.hears(&segment_of(flag::ACK | flag::PSH, IRS + 1, iss + 11), b"still here");
    assert_eq!(t.told(), [Told::Readable]);
}

#[test]
fn time_exceeded_and_parameter_problems_end_not_even_an_open() {
    // RFC 9293 §3.9.2.2, MUST-56
    for established in [false, true] {
        let mut t = Raw::new(|config| config.ports = 1024..=1024);
        let seq = opened(&mut t, established);
        let quote = quoted_to(seq, established);
        let errors = [
            v4::Message::TimeExceeded { code: 0, quote: &quote },
            v4::Message::TimeExceeded { code: 1, quote: &quote },
            v4::Message::ParameterProblem { code: 0, pointer: 1, quote: &quote },
        ];
        for error in errors {
            t.puts_ip(Protocol::ICMP, |bytes| error.emit(bytes).expect("room"));
            t.turns();
            assert_eq!(t.told(), [Told::SoftError(SoftError::Unreachable)], "{error:?}");
        }
        assert_eq!(t.shard.connections(), 1);
    }
}

#[test]
fn a_source_quench_is_discarded_in_silence() {
    // RFC 9293 §3.9.2.2, MUST-55
    let mut t = Raw::new(|_| {});
    let seq = opened(&mut t, true);
    let quote = quote_of_ours((PORT, PEER_PORT), seq, 20);
    // Type 4 in place of 11; the sum is mended by the same difference.
    let error = v4::Message::TimeExceeded { code: 0, quote: &quote };
    t.puts_ip(Protocol::ICMP, |bytes| {
        let len = error.emit(bytes).expect("room");
        bytes[0] = 4;
        bytes[2] += 7;
        len
    });
    t.turns();
    assert_eq!((t.told(), t.got()), (vec![], vec![]));
    assert_eq!(t.shard.counters().dropped(DropReason::IcmpChecksum), 0);
    assert_eq!(t.shard.connections(), 1);
}

#[test]
fn an_unreachable_port_ends_an_open_and_no_connection() {
    // RFC 9293 §3.9.2.2, SHLD-26, as RFC 5927 §5.2 narrows it
    let mut t = Raw::new(|config| config.ports = 1024..=1024);
    let seq = opened(&mut t, false);
    let quote = quoted_to(seq, false);
    let error = v4::Message::Unreachable { reason: v4::Unreachable::Port, quote: &quote };
    t.puts_ip(Protocol::ICMP, |bytes| error.emit(bytes).expect("room"));
    t.turns();
    assert_eq!(t.told(), [Told::Closed(CloseReason::Unreachable)]);
    let mut t = Raw::new(|_| {});
    let seq = opened(&mut t, true);
    unreachable(&mut t, v4::Unreachable::Port, seq);
    assert_eq!(t.told(), [Told::SoftError(SoftError::Unreachable)]);
}

/// A connection with something in flight, or in SYN-SENT; the number in flight.
fn opened(t: &mut Raw, established: bool) -> u32 {
    if !established {
        return t.opens().seq;
    }
    t.accepts();
    writes(t, 10);
    t.got().remove(0).seq
}

/// The start of a packet of a connection that was accepted, or of one from the only port for opens.
fn quoted_to(seq: u32, accepted: bool) -> [u8; 28] {
    quote_of_ours((if accepted { PORT } else { 1024 }, PEER_PORT), seq, 20)
}

/// An ICMP error about the segment at `seq`, from the peer's host.
fn unreachable(t: &mut Raw, reason: v4::Unreachable, seq: u32) {
    let quote = quote_of_ours((PORT, PEER_PORT), seq, 20);
    let error = v4::Message::Unreachable { reason, quote: &quote };
    t.puts_ip(Protocol::ICMP, |bytes| error.emit(bytes).expect("room"));
    t.turns();
}

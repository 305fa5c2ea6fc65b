//! Listeners that a service opens and closes while the stack runs.

use core::net::{IpAddr, Ipv4Addr};

use super::raw::{Callback, IRS, LOCAL, Raw, ack, segment_of, syn};
use super::stage::PORT;
use crate::shard::{ListenError, ListenerConfig, ListenerId};
use crate::wire::tcp::flag;

const OTHER: u16 = 4000;

fn listen(t: &mut Raw, config: ListenerConfig) -> Result<ListenerId, ListenError> {
    t.ask(move |io| io.listen(&config))
}

/// Sends the peer's SYN to [`OTHER`] and returns the flags of the answer, and our ISS.
fn knock(t: &mut Raw) -> (u16, u32) {
    let mut opening = syn();
    opening.dst_port = OTHER;
    t.receives(&opening, &[]);
    let answer = t.sent().remove(0);
    (answer.flags, answer.seq)
}

fn open(t: &mut Raw) -> u32 {
    let (flags, iss) = knock(t);
    assert_eq!(flags & (flag::SYN | flag::ACK), flag::SYN | flag::ACK);
    let mut last = ack(IRS + 1, iss + 1);
    last.dst_port = OTHER;
    t.receives(&last, &[]);
    iss
}

#[test]
fn a_listener_opened_at_run_time_accepts() {
    let mut t = Raw::new(|_| {});
    assert_ne!(knock(&mut t).0 & flag::RST, 0, "nothing listens there");
    let listener = listen(&mut t, ListenerConfig::on_port(OTHER));
    assert_eq!(listener, Ok(ListenerId(1)), "the second of the shard");
    open(&mut t);
    assert_eq!(t.callbacks(), [Callback::Accepted]);
}

#[test]
fn a_port_in_use_is_refused_until_its_listener_closes() {
    let mut t = Raw::new(|_| {});
    assert_eq!(listen(&mut t, ListenerConfig::on_port(PORT)), Err(ListenError::InUse));
    let listener = listen(&mut t, ListenerConfig::on_port(OTHER)).expect("a free port");
    assert_eq!(listen(&mut t, ListenerConfig::on_port(OTHER)), Err(ListenError::InUse));
    t.with_io(move |io| io.unlisten(listener));
    let again = listen(&mut t, ListenerConfig::on_port(OTHER)).expect("free again");
    assert_ne!(again, listener);
}

#[test]
fn only_local_addresses_can_be_listened_on() {
    let mut t = Raw::new(|_| {});
    let on = |address: Ipv4Addr| ListenerConfig {
        address: Some(IpAddr::V4(address)),
        ..ListenerConfig::on_port(OTHER)
    };
    let foreign = on(Ipv4Addr::new(192, 0, 2, 99));
    assert_eq!(listen(&mut t, foreign), Err(ListenError::NotLocal));
    assert!(listen(&mut t, on(LOCAL)).is_ok());
    assert_eq!(listen(&mut t, ListenerConfig::on_port(0)), Err(ListenError::NoPort));
}

#[test]
fn connections_outlive_their_listener_and_handshakes_do_not() {
    let mut t = Raw::new(|_| {});
    let listener = listen(&mut t, ListenerConfig::on_port(OTHER)).expect("a free port");
    let iss = open(&mut t);
    t.callbacks();
    let mut second = syn();
    (second.src_port, second.dst_port) = (6000, OTHER);
    t.receives(&second, &[]);
    let pending = t.sent().remove(0);
    t.with_io(move |io| io.unlisten(listener));
    let mut last = ack(IRS + 1, pending.seq + 1);
    (last.src_port, last.dst_port) = (6000, OTHER);
    t.receives(&last, &[]);
    assert_eq!(t.callbacks(), [], "the handshake in progress is dropped");
    let mut text = segment_of(flag::ACK | flag::PSH, IRS + 1, iss + 1);
    text.dst_port = OTHER;
    t.receives(&text, b"still here");
    assert_eq!(t.callbacks(), [Callback::Readable]);
    let conn = t.conn();
    assert_eq!(t.ask(move |io| io.readable(conn)), 10);
    t.sent();
    let mut third = syn();
    (third.src_port, third.dst_port) = (6001, OTHER);
    t.receives(&third, &[]);
    assert_ne!(t.sent().remove(0).flags & flag::RST, 0);
}

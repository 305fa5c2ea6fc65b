//! Listeners that accept a connection only once data has arrived (`TCP_DEFER_ACCEPT`).

use super::raw::{Callback, IRS, Raw, ack, segment_of, syn};
use crate::shard::ListenerConfig;
use crate::time::Duration;
use crate::wire::tcp::{HeaderOut, flag};

const OTHER: u16 = 4000;

/// A shard whose listener on [`OTHER`] waits two seconds for data.
fn deferring() -> Raw {
    let mut t = Raw::new(|_| {});
    let defer_accept = Some(Duration::from_secs(2));
    let config = ListenerConfig { defer_accept, ..ListenerConfig::on_port(OTHER) };
    t.with_io(move |io| {
        io.listen(&config).expect("a free port");
    });
    t
}

fn to_other(header: HeaderOut<'static>) -> HeaderOut<'static> {
    HeaderOut { dst_port: OTHER, ..header }
}

/// Completes the handshake. Returns our initial sequence number.
fn shake_hands(t: &mut Raw) -> u32 {
    t.receives(&to_other(syn()), &[]);
    let iss = t.sent().remove(0).seq;
    t.receives(&to_other(ack(IRS + 1, iss + 1)), &[]);
    iss
}

#[test]
fn a_connection_is_accepted_with_its_first_data() {
    // Linux, net/ipv4/tcp_minisocks.c, tcp_check_req
    let mut t = deferring();
    let iss = shake_hands(&mut t);
    assert_eq!((t.callbacks(), t.sent()), (vec![], vec![]));
    assert_eq!(t.shard.connections(), 1, "a handshake in progress");
    t.after_ms(1_500);
    assert_eq!(t.sent(), [], "no SYN-ACK is retransmitted meanwhile");
    t.receives(&to_other(segment_of(flag::ACK | flag::PSH, IRS + 1, iss + 1)), b"request");
    assert_eq!(t.callbacks(), [Callback::Accepted, Callback::Readable]);
    let conn = t.conn();
    let srtt = t.ask(move |io| io.info(conn).map(|info| info.srtt_ns));
    assert_eq!(srtt, Some(0), "the pause is no round trip");
    assert_eq!(t.ask(move |io| io.readable(conn)), 7);
}

#[test]
fn a_connection_is_accepted_with_a_fin() {
    let mut t = deferring();
    let iss = shake_hands(&mut t);
    t.receives(&to_other(segment_of(flag::ACK | flag::FIN, IRS + 1, iss + 1)), &[]);
    assert_eq!(t.callbacks(), [Callback::Accepted, Callback::PeerClosed]);
}

#[test]
fn a_silent_connection_is_accepted_after_the_time() {
    // Linux, net/ipv4/inet_connection_sock.c, syn_ack_recalc
    let mut t = deferring();
    let iss = shake_hands(&mut t);
    t.after_ms(1_000);
    t.receives(&to_other(ack(IRS + 1, iss + 1)), &[]);
    assert_eq!(t.callbacks(), [], "another ACK changes nothing");
    t.after_ms(990);
    assert_eq!(t.sent(), []);
    t.after_ms(20);
    let again = t.sent();
    assert_eq!(again.len(), 1);
    let synack = flag::SYN | flag::ACK;
    assert_eq!((again[0].seq, again[0].flags & synack), (iss, synack));
    assert_eq!(t.callbacks(), []);
    t.receives(&to_other(ack(IRS + 1, iss + 1)), &[]);
    assert_eq!(t.callbacks(), [Callback::Accepted]);
    t.receives(&to_other(segment_of(flag::ACK, IRS + 1, iss + 1)), b"late");
    assert_eq!(t.callbacks(), [Callback::Readable]);
}

#[test]
fn a_peer_that_has_gone_is_given_up() {
    let mut t = deferring();
    shake_hands(&mut t);
    t.after_ms(100_000);
    assert_eq!((t.callbacks(), t.shard.connections()), (vec![], 0));
    assert_eq!(t.sent().len(), 6, "at the end of the time, and five retries");
}

#[test]
fn a_reset_ends_the_wait() {
    let mut t = deferring();
    shake_hands(&mut t);
    t.receives(&to_other(segment_of(flag::RST, IRS + 1, 0)), &[]);
    assert_eq!((t.callbacks(), t.shard.connections()), (vec![], 0));
}

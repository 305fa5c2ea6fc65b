//! What one turn makes of a batch in which segments of many flows stand between each other.

use super::raw::{IRS, PEER, PEER_PORT, Raw, Told, US, ack, segment_of, syn};
use crate::shard::CloseReason;
use crate::wire::Protocol;
use crate::wire::checksum::PseudoHeader;
use crate::wire::tcp::{HeaderOut, flag};

/// Puts a segment from a port of the peer on the cable, without a turn.
fn puts(t: &mut Raw, port: u16, header: HeaderOut<'_>, payload: &[u8]) {
    let header = HeaderOut { src_port: port, ..header };
    t.puts_ip(Protocol::TCP, |bytes| {
        header.emit(PseudoHeader::v4(PEER, US), (payload, &[]), bytes).expect("room")
    });
}

#[test]
fn the_segments_of_a_flow_keep_their_order_between_those_of_other_kinds_of_flows() {
    let mut t = Raw::new(|_| {});
    let iss = t.accepts();
    let [young, new, stranger] = [1, 2, 3].map(|n| PEER_PORT + n);
    puts(&mut t, young, syn(), &[]);
    t.turns();
    let young_iss = t.got().remove(0).seq;
    // A connection, a stranger, an embryo and a new flow, by turns.
    puts(&mut t, PEER_PORT, ack(IRS + 1, iss + 1), b"one");
    puts(&mut t, young, ack(IRS + 1, young_iss + 1), &[]);
    puts(&mut t, stranger, ack(7, 8), &[]);
    puts(&mut t, PEER_PORT, ack(IRS + 4, iss + 1), b"two");
    puts(&mut t, young, ack(IRS + 1, young_iss + 1), b"three");
    puts(&mut t, new, syn(), &[]);
    // RFC 5961 §3.2: a reset is one exactly at RCV.NXT only, behind all that came before it.
    puts(&mut t, PEER_PORT, segment_of(flag::RST, IRS + 7, 0), &[]);
    puts(&mut t, young, segment_of(flag::RST, IRS + 6, 0), &[]);
    t.turns();
    let mut answers: Vec<_> = t.got().iter().map(|got| (got.to_port, got.flags)).collect();
    answers.sort_unstable();
    assert_eq!(answers, [(new, flag::SYN | flag::ACK), (stranger, flag::RST)]);
    let ended =
        t.told().into_iter().filter(|told| *told == Told::Closed(CloseReason::Reset)).count();
    assert_eq!(ended, 2);
}

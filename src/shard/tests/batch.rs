//! One turn over a batch that interleaves segments of several flows.

use super::raw::{Callback, IRS, LOCAL, PEER, PEER_PORT, Raw, ack, segment_of, syn};
use crate::shard::CloseReason;
use crate::wire::Protocol;
use crate::wire::checksum::PseudoHeader;
use crate::wire::tcp::{HeaderOut, flag};

/// Transmits a segment from one of the peer's ports without running a turn.
fn inject_from(t: &mut Raw, port: u16, header: HeaderOut<'_>, payload: &[u8]) {
    let header = HeaderOut { src_port: port, ..header };
    t.inject_ip(Protocol::TCP, |bytes| {
        header.emit(PseudoHeader::v4(PEER, LOCAL), (payload, &[]), bytes).expect("room")
    });
}

#[test]
fn a_batch_preserves_segment_order_within_each_flow() {
    let mut t = Raw::new(|_| {});
    let iss = t.accept();
    let [embryo, new, unknown] = [1, 2, 3].map(|n| PEER_PORT + n);
    inject_from(&mut t, embryo, syn(), &[]);
    t.run_turns();
    let embryo_iss = t.sent().remove(0).seq;
    // A connection, an unknown flow, an embryo and a new flow, interleaved.
    inject_from(&mut t, PEER_PORT, ack(IRS + 1, iss + 1), b"one");
    inject_from(&mut t, embryo, ack(IRS + 1, embryo_iss + 1), &[]);
    inject_from(&mut t, unknown, ack(7, 8), &[]);
    inject_from(&mut t, PEER_PORT, ack(IRS + 4, iss + 1), b"two");
    inject_from(&mut t, embryo, ack(IRS + 1, embryo_iss + 1), b"three");
    inject_from(&mut t, new, syn(), &[]);
    // RFC 5961 §3.2: a reset counts only exactly at RCV.NXT, that is, after the data before it.
    inject_from(&mut t, PEER_PORT, segment_of(flag::RST, IRS + 7, 0), &[]);
    inject_from(&mut t, embryo, segment_of(flag::RST, IRS + 6, 0), &[]);
    t.run_turns();
    let mut answers: Vec<_> = t.sent().iter().map(|got| (got.to_port, got.flags)).collect();
    answers.sort_unstable();
    assert_eq!(answers, [(new, flag::SYN | flag::ACK), (unknown, flag::RST)]);
    let ended = t
        .callbacks()
        .into_iter()
        .filter(|callback| *callback == Callback::Closed(CloseReason::Reset))
        .count();
    assert_eq!(ended, 2);
}

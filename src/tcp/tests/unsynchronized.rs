//! Every kind of segment in SYN-SENT and in SYN-RECEIVED of a simultaneous open, against tables of
//! RFC 9293 §3.10.7.3 and §3.10.7.4. LISTEN, CLOSED and SYN-RECEIVED of a passive open belong to
//! the shard.

use super::phases::script_in;
use super::{ack, data, fin, rst, syn};
use crate::tcp::Phase::{self, CloseWait, Closed, Established, SynReceived, SynSent};
use crate::tcp::tests::literals::In;
use crate::tcp::{CloseReason, Disposition, Flags};

const SYN_ACK: Flags = Flags(0x12);

/// Response to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Silence,
    /// <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>; the value is RCV.NXT.
    Ack(u32),
    /// <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>
    SynAck,
    /// <SEQ=SEG.ACK><CTL=RST>, built by the shard.
    Reset,
}
use Answer::{Ack, Reset, Silence, SynAck};

type Row = (&'static str, fn() -> In, Phase, Answer);

/// SND.UNA = ISS, SND.NXT = ISS + 1.
const IN_SYN_SENT: [Row; 25] = [
    // First, the ACK: "If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset (unless the RST bit is
    // set".
    ("an ACK of nothing", || ack(0).seq(0), SynSent, Reset),
    ("an ACK of unsent data", || ack(2).seq(0), SynSent, Reset),
    ("a SYN-ACK of nothing", || syn().ack(0), SynSent, Reset),
    ("a SYN-ACK of unsent data", || syn().ack(2), SynSent, Reset),
    ("data with a bad ACK", || data(1..11).ack(2), SynSent, Reset),
    ("a FIN with a bad ACK", || fin(1).ack(2), SynSent, Reset),
    // Second, the RST.
    ("a RST without ACK", || rst(0), SynSent, Silence),
    ("a RST with an ACK of nothing", || rst(0).ack(0), SynSent, Silence),
    ("a RST with a bad ACK", || rst(0).ack(2), SynSent, Silence),
    ("a RST that acknowledges the SYN", || rst(0).ack(1), Closed, Silence),
    ("the same with data (SHLD-2)", || data(0..9).ack(1).flag(Flags::RST), Closed, Silence),
    ("a RST with SYN that acknowledges the SYN", || syn().ack(1).flag(Flags::RST), Closed, Silence),
    // Fourth, the SYN.
    ("a SYN", || syn(), SynReceived, SynAck),
    ("a SYN with FIN", || syn().fin(), SynReceived, SynAck),
    ("a SYN with URG", || syn().urgent(1), SynReceived, SynAck),
    ("a SYN with data", || data(1..11).no_ack().flag(Flags::SYN).seq_of_syn(), SynReceived, SynAck),
    ("a SYN-ACK", || syn().ack(1), Established, Ack(1)),
    (
        "a SYN-ACK with data",
        || data(1..11).ack(1).flag(Flags::SYN).seq_of_syn(),
        Established,
        Ack(11),
    ),
    ("a SYN-ACK with FIN", || syn().ack(1).fin(), CloseWait, Ack(2)),
    // Fifth, "if neither of the SYN or RST bits is set, then drop the segment and return".
    ("an ACK of the SYN", || ack(1).seq(0), SynSent, Silence),
    ("data that acknowledges the SYN", || data(1..11).ack(1), SynSent, Silence),
    ("a FIN that acknowledges the SYN", || fin(1).ack(1), SynSent, Silence),
    ("a FIN without ACK", || fin(1).no_ack(), SynSent, Silence),
    ("data without ACK", || data(1..11).no_ack(), SynSent, Silence),
    ("no flags", || ack(0).seq(0).no_ack(), SynSent, Silence),
];

/// RCV.NXT = IRS + 1, SND.UNA = ISS, SND.NXT = ISS + 1.
const IN_SYN_RECEIVED: [Row; 28] = [
    // First, the sequence number.
    ("a duplicate SYN", || syn(), SynReceived, Ack(1)),
    ("an ACK left of the window", || ack(1).seq(0), SynReceived, Ack(1)),
    ("an ACK right of the window", || ack(1).seq(60_002), SynReceived, Ack(1)),
    ("data right of the window", || data(60_002..60_012).ack(1), SynReceived, Ack(1)),
    ("a RST left of the window", || rst(0), SynReceived, Silence),
    ("a RST right of the window", || rst(60_002), SynReceived, Silence),
    // Second, the RST: "the connection was refused".
    ("a RST at RCV.NXT", || rst(1), Closed, Silence),
    ("a RST in the window", || rst(2), SynReceived, Ack(1)),
    // Fourth, the SYN: "handle per the directions for synchronized states".
    ("a SYN at RCV.NXT", || syn().seq(1), SynReceived, Ack(1)),
    ("a SYN in the window", || syn().seq(100), SynReceived, Ack(1)),
    ("a SYN-ACK in the window", || syn().seq(100).ack(1), SynReceived, Ack(1)),
    ("a SYN right of the window", || syn().seq(70_000), SynReceived, Ack(1)),
    // Figure 7, line 6: the SYN,ACK of a simultaneous open still carries the SYN, which is a
    // duplicate: "an acknowledgment should be sent in reply".
    ("the SYN-ACK that answers ours", || syn().ack(1), Established, Ack(1)),
    (
        "the SYN-ACK with data",
        || data(1..11).ack(1).flag(Flags::SYN).seq_of_syn(),
        Established,
        Ack(11),
    ),
    ("the SYN-ACK of nothing", || syn().ack(0), SynReceived, Reset),
    ("the SYN-ACK of unsent data", || syn().ack(2), SynReceived, Reset),
    // Fifth, the ACK.
    ("no flags", || ack(0).seq(1).no_ack(), SynReceived, Silence),
    ("data without ACK", || data(1..11).no_ack(), SynReceived, Silence),
    ("a FIN without ACK", || fin(1).no_ack(), SynReceived, Silence),
    ("an ACK of the SYN", || ack(1).seq(1), Established, Silence),
    ("an ACK of nothing", || ack(0).seq(1), SynReceived, Reset),
    ("an ACK of unsent data", || ack(2).seq(1), SynReceived, Reset),
    ("data with a bad ACK", || data(1..11).ack(2), SynReceived, Reset),
    // Sixth to eighth, in ESTABLISHED, to which the ACK leads.
    ("URG", || ack(1).seq(1).urgent(9), Established, Silence),
    ("data", || data(1..11).ack(1), Established, Ack(11)),
    ("data past a hole", || data(5..11).ack(1), Established, Ack(1)),
    ("a FIN", || fin(1).ack(1), CloseWait, Ack(2)),
    ("data with FIN", || data(1..11).ack(1).fin(), CloseWait, Ack(12)),
];

fn check(from: Phase, (name, segment, next, answer): &Row) {
    let mut t = script_in(from);
    let disposition = t.receives(segment());
    assert_eq!(t.c.phase(), *next, "{name} in {from:?}");
    let mut sent = t.sent();
    t.after_ms(50);
    sent.extend(t.sent());
    let said: Vec<_> = sent.iter().map(|s| (s.seq, s.ack, s.flags, s.len)).collect();
    let expected = match answer {
        Silence | Reset => vec![],
        Ack(nxt) => vec![(1, *nxt, Flags::ACK, 0)],
        SynAck => vec![(0, 1, SYN_ACK, 0)],
    };
    assert_eq!(said, expected, "{name} in {from:?}");
    assert_eq!(disposition == Disposition::Reset, *answer == Reset, "{name} in {from:?}");
    // "error: connection reset" in SYN-SENT, "connection refused" in SYN-RECEIVED: one word here.
    let refused = (*next == Closed).then_some(CloseReason::Refused);
    assert_eq!(t.c.close_reason(), refused, "{name} in {from:?}");
}

#[test]
fn every_segment_in_syn_sent_has_the_outcome_of_the_rfc() {
    for row in &IN_SYN_SENT {
        check(SynSent, row);
    }
}

#[test]
fn every_segment_in_syn_received_has_the_outcome_of_the_rfc() {
    for row in &IN_SYN_RECEIVED {
        check(SynReceived, row);
    }
}

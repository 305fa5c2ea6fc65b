//! Every kind of segment in the states without a full connection: CLOSED, LISTEN, SYN-RECEIVED of a
//! passive open, and TIME-WAIT. The tables follow RFC 9293 §3.10.7.

use super::raw::{Callback, IRS, PEER_PORT, Raw, SentSegment, ack, segment_of, syn};
use super::stage::PORT;
use crate::shard::{CloseReason, ConnectError, ConnectOptions, ListenError, ListenerConfig};
use crate::wire::tcp::flag::{ACK, FIN, PSH, RST, SYN, URG};
use crate::wire::tcp::{HeaderOut, OptionsOut, Timestamps};

/// A port without a listener.
const CLOSED_PORT: u16 = 9;

/// Sequence number, acknowledgment number and flags of the only reply; `None` if there is none.
type Reply = Option<(u32, u32, u16)>;

fn only_reply(t: &mut Raw) -> Reply {
    let sent: Vec<SentSegment> = t.sent();
    assert!(sent.len() <= 1, "{sent:?}");
    sent.first().map(|segment| (segment.seq, segment.ack, segment.flags))
}

/// SEG.SEQ of the segments in CLOSED and LISTEN.
const SEQ: u32 = 500;
/// SEG.ACK of the same segments.
const SEG_ACK: u32 = 900;

#[test]
fn every_segment_to_closed_has_the_answer_of_the_rfc() {
    // §3.10.7.1: a RST is discarded; a segment without ACK gets <SEQ=0><ACK=SEG.SEQ+SEG.LEN>
    // <CTL=RST,ACK>; a segment with ACK gets <SEQ=SEG.ACK><CTL=RST>.
    let with_ack = Some((SEG_ACK, 0, RST));
    let without = |len| Some((0, SEQ + len, RST | ACK));
    let table: [(u16, &[u8], Reply); 14] = [
        (RST, &[], None),
        (RST | ACK, &[], None),
        (RST | SYN, &[], None),
        (RST | ACK, b"data", None),
        (SYN, &[], without(1)),
        (SYN | FIN, &[], without(2)),
        (SYN, b"data", without(5)),
        (FIN, &[], without(1)),
        (0, &[], without(0)),
        (PSH, b"data", without(4)),
        (URG, &[], without(0)),
        (ACK, &[], with_ack),
        (SYN | ACK, &[], with_ack),
        (FIN | ACK, b"data", with_ack),
    ];
    for (flags, payload, reply) in table {
        let mut t = Raw::new(|_| {});
        let header = segment_of(flags, SEQ, SEG_ACK);
        t.receives(&HeaderOut { dst_port: CLOSED_PORT, ..header }, payload);
        assert_eq!(only_reply(&mut t), reply, "flags {flags:#x}, {} bytes", payload.len());
        assert_eq!(t.shard.connections(), 0);
    }
}

#[test]
fn every_segment_to_listen_has_the_answer_of_the_rfc() {
    // §3.10.7.2: a RST is ignored; any ACK gets a reset; a SYN gets <SEQ=ISS><ACK=RCV.NXT>
    // <CTL=SYN,ACK> that does not acknowledge its text; "other data or control" is dropped.
    enum Expected {
        Nothing,
        Reset,
        SynAck,
    }
    use Expected::{Nothing, Reset, SynAck};
    let table: [(u16, &[u8], Expected); 17] = [
        (RST, &[], Nothing),
        (RST | ACK, &[], Nothing),
        (RST | SYN, &[], Nothing),
        (RST | SYN | ACK, &[], Nothing),
        (ACK, &[], Reset),
        (SYN | ACK, &[], Reset),
        (FIN | ACK, &[], Reset),
        (PSH | ACK, b"data", Reset),
        (SYN, &[], SynAck),
        (SYN, b"data", SynAck),
        (SYN | URG, &[], SynAck),
        (SYN | PSH, b"data", SynAck),
        (SYN | FIN, &[], Nothing), // deliberate: only scanners send it
        (FIN, &[], Nothing),
        (0, &[], Nothing),
        (PSH, b"data", Nothing),
        (URG, &[], Nothing),
    ];
    for (flags, payload, expected) in table {
        let mut t = Raw::new(|_| {});
        t.receives(&segment_of(flags, SEQ, SEG_ACK), payload);
        let reply = only_reply(&mut t);
        let name = format!("flags {flags:#x}, {} bytes", payload.len());
        match expected {
            Nothing => assert_eq!(reply, None, "{name}"),
            Reset => assert_eq!(reply, Some((SEG_ACK, 0, RST)), "{name}"),
            SynAck => {
                let (_, acknowledged, flags) = reply.expect("a reply");
                assert_eq!((acknowledged, flags), (SEQ + 1, SYN | ACK), "{name}");
            }
        }
        assert_eq!(t.shard.connections(), usize::from(matches!(expected, SynAck)), "{name}");
        assert_eq!(t.callbacks(), [], "{name}");
    }
}

/// State of an embryo after the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    SynReceived,
    Established,
    /// Back to LISTEN: the embryo is removed.
    Listen,
}
use Next::{Established, Listen, SynReceived};

/// Reply of an embryo to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EmbryoReply {
    Nothing,
    /// <SEQ=ISS+1><ACK=RCV.NXT><CTL=ACK>; the value is RCV.NXT - IRS.
    Ack(u32),
    SynAck,
    /// <SEQ=SEG.ACK><CTL=RST>
    Reset,
}

/// A segment to an embryo: name; flags, SEG.SEQ - IRS, SEG.ACK - ISS; payload; next state; reply.
type Row = (&'static str, (u16, u32, u32), &'static [u8], Next, EmbryoReply);

const TO_AN_EMBRYO: [Row; 26] = [
    // First, the sequence number. The window is 65,535.
    ("the SYN retransmitted", (SYN, 0, 0), &[], SynReceived, EmbryoReply::SynAck),
    ("an ACK left of the window", (ACK, 0, 1), &[], SynReceived, EmbryoReply::Ack(1)),
    ("an ACK right of the window", (ACK, 65_537, 1), &[], SynReceived, EmbryoReply::Ack(1)),
    ("data right of the window", (ACK, 65_537, 1), b"data", SynReceived, EmbryoReply::Ack(1)),
    ("a RST left of the window", (RST, 0, 0), &[], SynReceived, EmbryoReply::Nothing),
    ("a RST right of the window", (RST, 65_537, 0), &[], SynReceived, EmbryoReply::Nothing),
    // Second, the RST: "return this connection to LISTEN state", "The user need not be informed".
    ("a RST at RCV.NXT", (RST, 1, 0), &[], Listen, EmbryoReply::Nothing),
    ("a RST with ACK at RCV.NXT", (RST | ACK, 1, 1), &[], Listen, EmbryoReply::Nothing),
    ("a RST with data (SHLD-2)", (RST, 1, 0), b"why", Listen, EmbryoReply::Nothing),
    ("a RST in the window", (RST, 2, 0), &[], SynReceived, EmbryoReply::Ack(1)),
    // Fourth, the SYN: a challenge ACK, as in the synchronized states.
    ("a SYN in the window", (SYN, 100, 0), &[], SynReceived, EmbryoReply::Ack(1)),
    ("a SYN right of the window", (SYN, 70_000, 0), &[], SynReceived, EmbryoReply::Ack(1)),
    ("a SYN-ACK at IRS", (SYN | ACK, 0, 1), &[], SynReceived, EmbryoReply::Ack(1)),
    ("a SYN-ACK in the window", (SYN | ACK, 100, 1), &[], SynReceived, EmbryoReply::Ack(1)),
    // Fifth, the ACK.
    ("no flags", (0, 1, 0), &[], SynReceived, EmbryoReply::Nothing),
    ("data without ACK", (PSH, 1, 0), b"data", SynReceived, EmbryoReply::Nothing),
    ("a FIN without ACK", (FIN, 1, 0), &[], SynReceived, EmbryoReply::Nothing),
    ("an ACK of nothing", (ACK, 1, 0), &[], SynReceived, EmbryoReply::Reset),
    ("an ACK of what was never sent", (ACK, 1, 2), &[], SynReceived, EmbryoReply::Reset),
    ("data with a bad ACK", (ACK, 1, 9), b"data", SynReceived, EmbryoReply::Reset),
    ("an ACK of the SYN", (ACK, 1, 1), &[], Established, EmbryoReply::Nothing),
    // Sixth to eighth, in ESTABLISHED.
    ("URG", (ACK | URG, 1, 1), &[], Established, EmbryoReply::Nothing),
    ("data", (ACK, 1, 1), b"data", Established, EmbryoReply::Ack(5)),
    ("data past a hole", (ACK, 3, 1), b"data", Established, EmbryoReply::Ack(1)),
    ("a FIN", (ACK | FIN, 1, 1), &[], Established, EmbryoReply::Ack(2)),
    ("data with FIN", (ACK | FIN, 1, 1), b"data", Established, EmbryoReply::Ack(6)),
];

#[test]
fn every_segment_to_an_embryo_has_the_outcome_of_the_rfc() {
    for (name, (flags, seq, acknowledged), payload, next, reply) in TO_AN_EMBRYO {
        let mut t = Raw::new(|_| {});
        t.receives(&syn(), &[]);
        let iss = t.sent().remove(0).seq;
        t.receives(&segment_of(flags, IRS + seq, iss + acknowledged), payload);
        let expected = match reply {
            EmbryoReply::Nothing => None,
            EmbryoReply::Ack(rcv_nxt) => Some((iss + 1, IRS + rcv_nxt, ACK)),
            EmbryoReply::SynAck => Some((iss, IRS + 1, SYN | ACK)),
            EmbryoReply::Reset => Some((iss + acknowledged, 0, RST)),
        };
        assert_eq!(only_reply(&mut t), expected, "{name}");
        assert_eq!(t.shard.connections(), usize::from(next != Listen), "{name}");
        assert_eq!(t.callbacks().contains(&Callback::Accepted), next == Established, "{name}");
    }
}

/// Brings a connection into TIME-WAIT by closing first. Returns SND.NXT and RCV.NXT too.
fn time_wait(stamps: bool) -> (Raw, u32, u32) {
    let mut t = Raw::new(|_| {});
    let options = OptionsOut { timestamps: stamps.then_some(stamp(100)), ..OptionsOut::default() };
    t.receives(&HeaderOut { options, ..syn() }, &[]);
    let iss = t.sent().remove(0).seq;
    t.receives(&HeaderOut { options, ..ack(IRS + 1, iss + 1) }, &[]);
    let conn = t.conn();
    t.with_io(move |io| io.close(conn));
    t.receives(&HeaderOut { options, ..segment_of(FIN | ACK, IRS + 1, iss + 2) }, &[]);
    assert_eq!(t.shard.time_waits(), 1);
    assert_eq!(
        t.callbacks(),
        [Callback::Accepted, Callback::PeerClosed, Callback::Closed(CloseReason::Finished)]
    );
    t.sent();
    (t, iss + 2, IRS + 2)
}

fn stamp(value: u32) -> Timestamps {
    Timestamps { value, echo: 0 }
}

#[test]
fn every_segment_to_time_wait_has_the_outcome_of_the_rfc() {
    // §3.10.7.4, TIME-WAIT: name, flags, SEG.SEQ - RCV.NXT, payload, and true if it gets an ACK.
    // RFC 1337: no RST ends TIME-WAIT.
    let table: [(&str, u16, i32, &[u8], bool); 14] = [
        ("the FIN retransmitted", FIN | ACK, -1, &[], true),
        ("an old SYN", SYN, -2, &[], true),
        ("an old SYN-ACK", SYN | ACK, -2, &[], true),
        ("a SYN-ACK in the window", SYN | ACK, 5, &[], true),
        ("an ACK at RCV.NXT", ACK, 0, &[], false),
        ("an old ACK", ACK, -1, &[], true),
        ("an ACK past the window", ACK, 70_000, &[], true),
        ("old data", ACK, -4, b"old", true),
        ("data past the window", ACK, 70_000, b"far", true),
        ("a RST at RCV.NXT", RST, 0, &[], false),
        ("a RST in the window", RST, 5, &[], false),
        ("an old RST", RST, -5, &[], false),
        ("a RST with ACK", RST | ACK, 0, &[], false),
        ("a RST with SYN", RST | SYN, 0, &[], false),
    ];
    for (name, flags, past, payload, acknowledged) in table {
        let (mut t, snd_nxt, rcv_nxt) = time_wait(false);
        t.receives(&segment_of(flags, rcv_nxt.wrapping_add_signed(past), snd_nxt), payload);
        let expected = acknowledged.then_some((snd_nxt, rcv_nxt, ACK));
        assert_eq!(only_reply(&mut t), expected, "{name}");
        assert_eq!(t.shard.time_waits(), 1, "{name}");
        assert_eq!((t.callbacks(), t.shard.connections()), (vec![], 0), "{name}");
    }
}

#[test]
fn a_new_syn_ends_time_wait_if_timestamps_or_sequence_numbers_allow() {
    // §3.6.1, SHLD-4, RFC 6191 §2: timestamps of the old connection, timestamp of the SYN,
    // SEG.SEQ - RCV.NXT, and true if the SYN is accepted.
    let table = [
        (true, Some(101), -100, true),
        (true, Some(100), 100, true),
        (true, Some(100), -100, false),
        (true, Some(99), 100, false),
        (true, None, 100, true),
        (true, None, -100, false),
        (false, Some(1), -100, true),
        (false, None, 100, true),
        (false, None, -100, false),
    ];
    for (before, now, past, accepted) in table {
        let (mut t, snd_nxt, rcv_nxt) = time_wait(before);
        let seq = rcv_nxt.wrapping_add_signed(past);
        let options = OptionsOut { timestamps: now.map(stamp), ..OptionsOut::default() };
        t.receives(&HeaderOut { options, ..segment_of(SYN, seq, 0) }, &[]);
        let (reply_seq, acknowledged, flags) = only_reply(&mut t).expect("a reply");
        let name = format!("{before} {now:?} {past}");
        if accepted {
            assert_eq!((acknowledged, flags), (seq + 1, SYN | ACK), "{name}");
            // "larger than the maximum sequence number it used on the previous connection
            // incarnation"
            assert!((reply_seq.wrapping_sub(snd_nxt) as i32) > 65_535, "{name}");
        } else {
            assert_eq!((reply_seq, acknowledged, flags), (snd_nxt, rcv_nxt, ACK), "{name}");
        }
        assert_eq!(t.shard.time_waits(), usize::from(!accepted), "{name}");
    }
}

#[test]
fn time_wait_lasts_two_msl_from_the_last_fin() {
    // §3.6.1, MUST-13; §3.10.8
    let (mut t, snd_nxt, rcv_nxt) = time_wait(false);
    t.after_ms(40_000);
    t.receives(&segment_of(FIN | ACK, rcv_nxt - 1, snd_nxt), &[]);
    t.after_ms(59_900);
    assert_eq!(t.shard.time_waits(), 1, "\"restart the 2 MSL timeout\"");
    t.after_ms(1_100);
    assert_eq!(t.shard.time_waits(), 0);
}

#[test]
fn a_second_listener_on_the_same_port_is_refused_and_changes_nothing() {
    // §3.9.1.1, MUST-41
    let mut t = Raw::new(|_| {});
    assert_eq!(t.shard.listen(ListenerConfig::on_port(PORT)), Err(ListenError::InUse));
    t.accept();
    assert_eq!(t.shard.listen(ListenerConfig::on_port(PORT)), Err(ListenError::InUse));
    let conn = t.conn();
    t.with_io(move |io| assert_eq!(io.write(conn, b"still here"), 10));
    assert_eq!(t.sent()[0].len, 10);
}

#[test]
fn a_port_can_be_listened_on_while_a_connection_opens_from_it() {
    // §3.9.1.1, MUST-42
    let mut t = Raw::new(|config| config.ports = 3_000..=3_000);
    assert_eq!(t.connect().flags, SYN);
    assert!(t.shard.listen(ListenerConfig::on_port(3_000)).is_ok());
    t.receives(&HeaderOut { dst_port: 3_000, src_port: PEER_PORT + 1, ..syn() }, &[]);
    assert_eq!(only_reply(&mut t).map(|(_, _, flags)| flags), Some(SYN | ACK));
}

#[test]
fn a_connect_may_choose_its_local_address_and_keeps_it() {
    // §3.9.1.1, MUST-43, MUST-44, MUST-45
    use super::raw::{LOCAL, PEER};
    use core::net::Ipv4Addr;
    let second = Ipv4Addr::new(192, 0, 2, 51);
    let mut t = Raw::new(|config| config.addresses.push((second.into(), 24)));
    for (local, allowed) in [(Some(second), vec![second]), (None, vec![LOCAL, second])] {
        t.with_io(move |io| {
            let remote = (PEER, PEER_PORT).into();
            io.connect(&ConnectOptions { remote, local: local.map(Into::into), user: 0 })
                .expect("a route and a port");
        });
        let first = t.sent().remove(0);
        assert!(allowed.contains(&first.from), "{first:?}");
        t.after_ms(1_100);
        let retransmitted: Vec<_> =
            t.sent().into_iter().filter(|segment| segment.seq == first.seq).collect();
        assert_eq!((retransmitted.len(), retransmitted[0].from), (1, first.from));
    }
    t.with_io(|io| {
        let not_local = Some("203.0.113.9".parse().expect("an address"));
        let open = ConnectOptions { remote: (PEER, 1).into(), local: not_local, user: 0 };
        assert_eq!(io.connect(&open), Err(ConnectError::NoAddress));
    });
}

#[test]
fn connecting_to_a_multicast_or_broadcast_address_fails() {
    // §3.9.1.1, MUST-46
    let mut t = Raw::new(|_| {});
    for invalid in ["224.0.0.5", "255.255.255.255", "192.0.2.255", "0.0.0.0", "127.0.0.1"] {
        t.with_io(move |io| {
            let remote = (invalid.parse::<core::net::Ipv4Addr>().expect("an address"), 80).into();
            let result = io.connect(&ConnectOptions { remote, local: None, user: 0 });
            assert_eq!(result, Err(ConnectError::NoRoute), "{invalid}");
        });
    }
    assert_eq!(only_reply(&mut t), None);
}

#[test]
fn a_syn_from_or_to_an_invalid_address_is_ignored() {
    // §3.9.2.3, MUST-57, MUST-63
    use super::raw::{LOCAL, PEER};
    let sources =
        ["224.0.0.5", "255.255.255.255", "192.0.2.255", "0.0.0.0", "127.0.0.1", "192.0.2.1"];
    let targets = ["224.0.0.1", "255.255.255.255", "192.0.2.255"];
    let parse = |text: &str| text.parse().expect("an address");
    let pairs = sources.map(|from| (parse(from), LOCAL)).into_iter();
    for (from, to) in pairs.chain(targets.map(|to| (PEER, parse(to)))) {
        let mut t = Raw::new(|_| {});
        t.receives_between(from, to, &syn());
        assert_eq!(only_reply(&mut t), None, "{from} -> {to}");
        assert_eq!(t.shard.connections(), 0, "{from} -> {to}");
    }
}

#[test]
fn the_close_reason_is_reported_to_the_program() {
    // §3.6, MUST-12
    let mut t = Raw::new(|_| {});
    t.accept();
    t.receives(&segment_of(RST, IRS + 1, 0), &[]);
    assert_eq!(t.callbacks(), [Callback::Closed(CloseReason::Reset)]);
    let mut t = Raw::new(|_| {});
    let iss = t.accept();
    t.receives(&segment_of(FIN | ACK, IRS + 1, iss + 1), &[]);
    assert_eq!(t.callbacks(), [Callback::PeerClosed]);
    let conn = t.conn();
    t.with_io(move |io| io.close(conn));
    t.receives(&ack(IRS + 2, iss + 2), &[]);
    assert_eq!(t.callbacks(), [Callback::Closed(CloseReason::Finished)]);
}

//! Every kind of segment where there is no connection: CLOSED, LISTEN, SYN-RECEIVED of a passive open, and
//! TIME-WAIT. What RFC 9293 §3.10.7 says of it, as tables.

use super::raw::{Got, IRS, PEER_PORT, Raw, Told, ack, segment_of, syn};
use super::stage::PORT;
use crate::shard::{CloseReason, ConnectError, ConnectOptions, ListenError, ListenerConfig};
use crate::wire::tcp::flag::{ACK, FIN, PSH, RST, SYN, URG};
use crate::wire::tcp::{HeaderOut, OptionsOut, Timestamps};

/// Nobody listens there.
const CLOSED_PORT: u16 = 9;

/// Sequence, acknowledgment, flags of the only answer; `None` for silence.
type Answer = Option<(u32, u32, u16)>;

fn only_answer(t: &mut Raw) -> Answer {
    let got: Vec<Got> = t.got();
    assert!(got.len() <= 1, "{got:?}");
    got.first().map(|got| (got.seq, got.ack, got.flags))
}

/// SEG.SEQ and SEG.ACK of the segments for CLOSED and LISTEN.
const SEQ: u32 = 500;
const SEG_ACK: u32 = 900;

#[test]
fn every_segment_to_closed_has_the_answer_of_the_rfc() {
    // §3.10.7.1: a RST is discarded; without ACK <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>; with ACK
    // <SEQ=SEG.ACK><CTL=RST>.
    let with_ack = Some((SEG_ACK, 0, RST));
    let without = |len| Some((0, SEQ + len, RST | ACK));
    let table: [(u16, &[u8], Answer); 14] = [
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
    for (flags, payload, answer) in table {
        let mut t = Raw::new(|_| {});
        let header = segment_of(flags, SEQ, SEG_ACK);
        t.hears(&HeaderOut { dst_port: CLOSED_PORT, ..header }, payload);
        assert_eq!(only_answer(&mut t), answer, "flags {flags:#x}, {} bytes", payload.len());
        assert_eq!(t.shard.connections(), 0);
    }
}

#[test]
fn every_segment_to_listen_has_the_answer_of_the_rfc() {
    // §3.10.7.2: RST ignored; any ACK reset; SYN answered with <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>, text of
    // it not acknowledged; "other data or control" dropped.
    enum Says {
        Nothing,
        Reset,
        SynAck,
    }
    use Says::{Nothing, Reset, SynAck};
    let table: [(u16, &[u8], Says); 17] = [
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
        (SYN | FIN, &[], Nothing), // on purpose: only scanners send it
        (FIN, &[], Nothing),
        (0, &[], Nothing),
        (PSH, b"data", Nothing),
        (URG, &[], Nothing),
    ];
    for (flags, payload, says) in table {
        let mut t = Raw::new(|_| {});
        t.hears(&segment_of(flags, SEQ, SEG_ACK), payload);
        let answer = only_answer(&mut t);
        let name = format!("flags {flags:#x}, {} bytes", payload.len());
        match says {
            Nothing => assert_eq!(answer, None, "{name}"),
            Reset => assert_eq!(answer, Some((SEG_ACK, 0, RST)), "{name}"),
            SynAck => {
                let (_, acknowledged, flags) = answer.expect("an answer");
                assert_eq!((acknowledged, flags), (SEQ + 1, SYN | ACK), "{name}");
            }
        }
        assert_eq!(t.shard.connections(), usize::from(matches!(says, SynAck)), "{name}");
        assert_eq!(t.told(), [], "{name}");
    }
}

/// What becomes of an embryo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    Established,
    /// Back to LISTEN: there is no embryo any more.
    Gone,
}
use Fate::{Established, Gone, Stays};

/// What the peer gets from an embryo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Nothing,
    /// <SEQ=ISS+1><ACK=RCV.NXT><CTL=ACK>, RCV.NXT past IRS by so much.
    Ack(u32),
    SynAck,
    /// <SEQ=SEG.ACK><CTL=RST>
    Reset,
}

/// A segment to an embryo: its name; flags, sequence past IRS, acknowledgment past ISS; data; the outcome.
type Row = (&'static str, (u16, u32, u32), &'static [u8], Fate, Says);

const TO_AN_EMBRYO: [Row; 26] = [
    // First, the sequence number; the window is 65,535.
    ("the SYN again", (SYN, 0, 0), &[], Stays, Says::SynAck),
    ("an ACK left of the window", (ACK, 0, 1), &[], Stays, Says::Ack(1)),
    ("an ACK right of the window", (ACK, 65_537, 1), &[], Stays, Says::Ack(1)),
    ("data right of the window", (ACK, 65_537, 1), b"data", Stays, Says::Ack(1)),
    ("a RST left of the window", (RST, 0, 0), &[], Stays, Says::Nothing),
    ("a RST right of the window", (RST, 65_537, 0), &[], Stays, Says::Nothing),
    // Second, the RST: "return this connection to LISTEN state", "The user need not be informed".
    ("a RST at RCV.NXT", (RST, 1, 0), &[], Gone, Says::Nothing),
    ("a RST with ACK at RCV.NXT", (RST | ACK, 1, 1), &[], Gone, Says::Nothing),
    ("a RST with data (SHLD-2)", (RST, 1, 0), b"why", Gone, Says::Nothing),
    ("a RST in the window", (RST, 2, 0), &[], Stays, Says::Ack(1)),
    // Fourth, the SYN, challenged as in the synchronized states.
    ("a SYN in the window", (SYN, 100, 0), &[], Stays, Says::Ack(1)),
    ("a SYN right of the window", (SYN, 70_000, 0), &[], Stays, Says::Ack(1)),
    ("a SYN-ACK at IRS", (SYN | ACK, 0, 1), &[], Stays, Says::Ack(1)),
    ("a SYN-ACK in the window", (SYN | ACK, 100, 1), &[], Stays, Says::Ack(1)),
    // Fifth, the ACK.
    ("no flags", (0, 1, 0), &[], Stays, Says::Nothing),
    ("data without ACK", (PSH, 1, 0), b"data", Stays, Says::Nothing),
    ("a FIN without ACK", (FIN, 1, 0), &[], Stays, Says::Nothing),
    ("an ACK of nothing", (ACK, 1, 0), &[], Stays, Says::Reset),
    ("an ACK of what was never sent", (ACK, 1, 2), &[], Stays, Says::Reset),
    ("data with a bad ACK", (ACK, 1, 9), b"data", Stays, Says::Reset),
    ("an ACK of the SYN", (ACK, 1, 1), &[], Established, Says::Nothing),
    // Sixth to eighth, in ESTABLISHED.
    ("URG", (ACK | URG, 1, 1), &[], Established, Says::Nothing),
    ("data", (ACK, 1, 1), b"data", Established, Says::Ack(5)),
    ("data past a hole", (ACK, 3, 1), b"data", Established, Says::Ack(1)),
    ("a FIN", (ACK | FIN, 1, 1), &[], Established, Says::Ack(2)),
    ("data with FIN", (ACK | FIN, 1, 1), b"data", Established, Says::Ack(6)),
];

#[test]
fn every_segment_to_an_embryo_has_the_outcome_of_the_rfc() {
    for (name, (flags, seq, acknowledged), payload, fate, says) in TO_AN_EMBRYO {
        let mut t = Raw::new(|_| {});
        t.hears(&syn(), &[]);
        let iss = t.got().remove(0).seq;
        t.hears(&segment_of(flags, IRS + seq, iss + acknowledged), payload);
        let expected = match says {
            Says::Nothing => None,
            Says::Ack(next) => Some((iss + 1, IRS + next, ACK)),
            Says::SynAck => Some((iss, IRS + 1, SYN | ACK)),
            Says::Reset => Some((iss + acknowledged, 0, RST)),
        };
        assert_eq!(only_answer(&mut t), expected, "{name}");
        assert_eq!(t.shard.connections(), usize::from(fate != Gone), "{name}");
        assert_eq!(t.told().contains(&Told::Accepted), fate == Established, "{name}");
    }
}

/// TIME-WAIT after we closed first, with the sequence numbers of both ends.
fn waiting(stamps: bool) -> (Raw, u32, u32) {
    let mut t = Raw::new(|_| {});
    let options = OptionsOut { timestamps: stamps.then_some(stamp(100)), ..OptionsOut::default() };
    t.hears(&HeaderOut { options, ..syn() }, &[]);
    let iss = t.got().remove(0).seq;
    t.hears(&HeaderOut { options, ..ack(IRS + 1, iss + 1) }, &[]);
    let conn = t.conn();
    t.orders(move |io| io.close(conn));
    t.hears(&HeaderOut { options, ..segment_of(FIN | ACK, IRS + 1, iss + 2) }, &[]);
    assert_eq!(t.shard.time_waits(), 1);
    assert_eq!(t.told(), [Told::Accepted, Told::PeerClosed, Told::Closed(CloseReason::Finished)]);
    t.got();
    (t, iss + 2, IRS + 2)
}

fn stamp(value: u32) -> Timestamps {
    Timestamps { value, echo: 0 }
}

#[test]
fn every_segment_to_time_wait_has_the_outcome_of_the_rfc() {
    // §3.10.7.4, TIME-WAIT: flags, sequence past RCV.NXT, data; whether it is acknowledged. RFC 1337: no
    // RST ends it.
    let table: [(&str, u16, i32, &[u8], bool); 14] = [
        ("the FIN again", FIN | ACK, -1, &[], true),
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
        let (mut t, snd_nxt, rcv_nxt) = waiting(false);
        t.hears(&segment_of(flags, rcv_nxt.wrapping_add_signed(past), snd_nxt), payload);
        let expected = acknowledged.then_some((snd_nxt, rcv_nxt, ACK));
        assert_eq!(only_answer(&mut t), expected, "{name}");
        assert_eq!(t.shard.time_waits(), 1, "{name}");
        assert_eq!((t.told(), t.shard.connections()), (vec![], 0), "{name}");
    }
}

#[test]
fn a_new_syn_ends_time_wait_where_timestamps_or_numbers_allow() {
    // §3.6.1, SHLD-4, RFC 6191 §2: timestamps before, in the SYN; its number past RCV.NXT; taken?
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
    for (before, now, past, taken) in table {
        let (mut t, snd_nxt, rcv_nxt) = waiting(before);
        let seq = rcv_nxt.wrapping_add_signed(past);
        let options = OptionsOut { timestamps: now.map(stamp), ..OptionsOut::default() };
        t.hears(&HeaderOut { options, ..segment_of(SYN, seq, 0) }, &[]);
        let (answer_seq, acknowledged, flags) = only_answer(&mut t).expect("an answer");
        let name = format!("{before} {now:?} {past}");
        if taken {
            assert_eq!((acknowledged, flags), (seq + 1, SYN | ACK), "{name}");
            // "larger than the maximum sequence number it used on the previous connection incarnation"
            assert!((answer_seq.wrapping_sub(snd_nxt) as i32) > 65_535, "{name}");
        } else {
            assert_eq!((answer_seq, acknowledged, flags), (snd_nxt, rcv_nxt, ACK), "{name}");
        }
        assert_eq!(t.shard.time_waits(), usize::from(!taken), "{name}");
    }
}

#[test]
fn time_wait_lasts_two_msl_from_the_last_fin() {
    // §3.6.1, MUST-13; §3.10.8
    let (mut t, snd_nxt, rcv_nxt) = waiting(false);
    t.after_ms(40_000);
    t.hears(&segment_of(FIN | ACK, rcv_nxt - 1, snd_nxt), &[]);
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
    t.accepts();
    assert_eq!(t.shard.listen(ListenerConfig::on_port(PORT)), Err(ListenError::InUse));
    let conn = t.conn();
    t.orders(move |io| assert_eq!(io.write(conn, b"still here"), 10));
    assert_eq!(t.got()[0].len, 10);
}

#[test]
fn a_port_can_be_listened_on_while_a_connection_opens_from_it() {
    // §3.9.1.1, MUST-42
    let mut t = Raw::new(|config| config.ports = 3_000..=3_000);
    assert_eq!(t.opens().flags, SYN);
    assert!(t.shard.listen(ListenerConfig::on_port(3_000)).is_ok());
    t.hears(&HeaderOut { dst_port: 3_000, src_port: PEER_PORT + 1, ..syn() }, &[]);
    assert_eq!(only_answer(&mut t).map(|(_, _, flags)| flags), Some(SYN | ACK));
}

#[test]
fn an_open_may_name_its_local_address_and_keeps_it() {
    // §3.9.1.1, MUST-43, MUST-44, MUST-45
    use super::raw::{PEER, US};
    use core::net::Ipv4Addr;
    let second = Ipv4Addr::new(192, 0, 2, 51);
    let mut t = Raw::new(|config| config.addresses.push((second.into(), 24)));
    for (local, allowed) in [(Some(second), vec![second]), (None, vec![US, second])] {
        t.orders(move |io| {
            let remote = (PEER, PEER_PORT).into();
            io.connect(&ConnectOptions { remote, local: local.map(Into::into), user: 0 })
                .expect("it opens");
        });
        let first = t.got().remove(0);
        assert!(allowed.contains(&first.from), "{first:?}");
        t.after_ms(1_100);
        let again: Vec<_> = t.got().into_iter().filter(|got| got.seq == first.seq).collect();
        assert_eq!((again.len(), again[0].from), (1, first.from));
    }
    t.orders(|io| {
        let foreign = Some("203.0.113.9".parse().expect("an address"));
        let open = ConnectOptions { remote: (PEER, 1).into(), local: foreign, user: 0 };
        assert_eq!(io.connect(&open), Err(ConnectError::NoAddress));
    });
}

#[test]
fn an_open_to_a_group_or_to_everyone_is_an_error() {
    // §3.9.1.1, MUST-46
    let mut t = Raw::new(|_| {});
    for invalid in ["224.0.0.5", "255.255.255.255", "192.0.2.255", "0.0.0.0", "127.0.0.1"] {
        t.orders(move |io| {
            let remote = (invalid.parse::<core::net::Ipv4Addr>().expect("an address"), 80).into();
            let result = io.connect(&ConnectOptions { remote, local: None, user: 0 });
            assert_eq!(result, Err(ConnectError::NoRoute), "{invalid}");
        });
    }
    assert_eq!(only_answer(&mut t), None);
}

#[test]
fn a_syn_from_or_to_an_address_that_cannot_be_is_ignored() {
    // §3.9.2.3, MUST-57, MUST-63
    use super::raw::{PEER, US};
    let sources =
        ["224.0.0.5", "255.255.255.255", "192.0.2.255", "0.0.0.0", "127.0.0.1", "192.0.2.1"];
    let targets = ["224.0.0.1", "255.255.255.255", "192.0.2.255"];
    let parse = |text: &str| text.parse().expect("an address");
    let pairs = sources.map(|from| (parse(from), US)).into_iter();
    for (from, to) in pairs.chain(targets.map(|to| (PEER, parse(to)))) {
        let mut t = Raw::new(|_| {});
        t.hears_between(from, to, &syn());
        assert_eq!(only_answer(&mut t), None, "{from} -> {to}");
        assert_eq!(t.shard.connections(), 0, "{from} -> {to}");
    }
}

#[test]
fn the_program_is_told_how_a_connection_ended() {
    // §3.6, MUST-12
    let mut t = Raw::new(|_| {});
    t.accepts();
    t.hears(&segment_of(RST, IRS + 1, 0), &[]);
    assert_eq!(t.told(), [Told::Closed(CloseReason::Reset)]);
    let mut t = Raw::new(|_| {});
    let iss = t.accepts();
    t.hears(&segment_of(FIN | ACK, IRS + 1, iss + 1), &[]);
    assert_eq!(t.told(), [Told::PeerClosed]);
    let conn = t.conn();
    t.orders(move |io| io.close(conn));
    t.hears(&ack(IRS + 2, iss + 2), &[]);
    assert_eq!(t.told(), [Told::Closed(CloseReason::Finished)]);
}

//! Negotiating ECN: RFC 3168 §6.1.1 and RFC 9768 §3.1 to §3.2.2, over whole handshakes.

use super::literals::{In, Sent};
use super::script::{ECN, plain};
use super::{Script, ack, bare, data, syn};
use crate::tcp::{
    ByteCounters, Codepoint, Connection, Disposition, EcnMode, EcnPolicy, Embryo, EmbryoAnswer,
    EmbryoDeadline, Env, Phase, Segment, SegmentOut, SeqNum,
};
use crate::time::{Duration, Instant};

pub(super) fn requesting(ecn: EcnPolicy) -> Script {
    Script::open(crate::tcp::Settings { ecn, ..plain() })
}

/// Returns a client whose SYN-ACK had these flags; its ACK is not checked.
pub(super) fn client(ecn: EcnPolicy, field: u16) -> Script {
    connected(ecn, syn().mss(1000).ace(field))
}

fn connected(ecn: EcnPolicy, syn_ack: In) -> Script {
    let mut t = requesting(ecn);
    t.sends_syn();
    t.gets(syn_ack.ack(1)).is(Phase::Established);
    t.c.rcv.quick = 0;
    t
}

fn passive() -> crate::tcp::Settings {
    plain()
}

fn embryo(syn: In) -> Embryo {
    Embryo::from_syn(&raw(&syn), 0, SeqNum(7_000), Instant::ZERO, &passive(), false)
}

fn raw(segment: &In) -> Segment<'static> {
    Segment {
        seq: SeqNum(90_000) + segment.range.clone().map_or(1, |range| range.start),
        ack: SeqNum(7_000) + segment.ack.unwrap_or(0),
        flags: segment.flags,
        window: 60_000,
        ecn: segment.ecn,
        options: segment.options,
        ..Segment::default()
    }
}

fn syn_ack(embryo: &Embryo) -> SegmentOut<'static> {
    embryo.syn_ack(Instant::ZERO, 0, &passive(), false)
}

/// Returns a server with accurate ECN whose SYN-ACK was acknowledged by `last`.
pub(super) fn server(last: In) -> Script {
    server_of(embryo(syn().mss(1000).ace(0b111)), last)
}

fn server_of(mut embryo: Embryo, last: In) -> Script {
    let mut t = Script::open(passive());
    assert_eq!(embryo.on_segment(&raw(&last), &passive()), EmbryoAnswer::Establish);
    let env = &mut Env {
        now: t.now,
        settings: &t.settings,
        pool: &mut t.pool,
        challenge_acks: &mut t.challenge_acks,
    };
    t.c = Connection::from_embryo(env, &embryo, 0, false, &raw(&last));
    t.set_peer_nxt(1);
    t.gets(last);
    t.c.rcv.quick = 0;
    t
}

/// Returns SND.NXT at the last response to marks.
pub(super) fn responded(t: &Script) -> Option<u32> {
    let at = t.c.ecn_state()?.responded_at().distance_from(t.iss());
    (at > 0).then_some(at)
}

fn first_data(t: &mut Script) -> Sent {
    assert_eq!(t.writes(100), 100);
    t.sent().pop().expect("data")
}

#[test]
fn the_policy_sets_the_request_of_the_client() {
    for (policy, field) in [
        (EcnPolicy::Off, 0b000),
        (EcnPolicy::Passive, 0b000),
        (EcnPolicy::On, 0b011),
        (EcnPolicy::Accurate, 0b111),
    ] {
        let sent = requesting(policy).sends_syn();
        assert_eq!(sent.ace(), field, "{policy:?}");
        // RFC 9768 §3.2.3.2.1: "The TCP Client MUST NOT include an AccECN TCP Option on the SYN."
        assert_eq!(sent.rare.accecn, None);
        // RFC 3168 §6.1.1: "A host MUST NOT set ECT on SYN or SYN-ACK packets."
        assert_eq!(sent.ecn, Codepoint::NotEct);
    }
}

#[test]
fn a_program_may_request_ecn_for_one_connection() {
    let mut t = requesting(EcnPolicy::Passive);
    t.calls(|c, _| c.set_ecn(EcnPolicy::Accurate));
    assert_eq!(t.sends_syn().ace(), 0b111);
}

#[test]
fn retransmitted_syns_stop_requesting_ecn() {
    // RFC 9768 §3.1.4.1, RFC 3168 §6.1.1.1
    for (policy, fields) in
        [(EcnPolicy::Accurate, [0b111, 0b111, 0, 0]), (EcnPolicy::On, [0b011, 0, 0, 0])]
    {
        let mut t = requesting(policy);
        t.after_ms(7_500);
        let sent = t.sent();
        assert!(sent.iter().map(Sent::ace).eq(fields), "{policy:?}: {sent:?}");
        // "MUST use the same initial sequence number (ISN) as the original SYN".
        assert!(sent.iter().all(|syn| syn.seq == 0));
    }
}

#[test]
fn every_syn_ack_gives_the_mode_of_table_2() {
    // RFC 9768 §3.1, table 2
    for (policy, field, mode) in [
        (EcnPolicy::Accurate, 0b010, EcnMode::Accurate),
        (EcnPolicy::Accurate, 0b011, EcnMode::Accurate),
        (EcnPolicy::Accurate, 0b100, EcnMode::Accurate),
        (EcnPolicy::Accurate, 0b110, EcnMode::Accurate),
        (EcnPolicy::Accurate, 0b101, EcnMode::Accurate),
        (EcnPolicy::Accurate, 0b001, EcnMode::Classic),
        (EcnPolicy::Accurate, 0b000, EcnMode::None),
        (EcnPolicy::Accurate, 0b111, EcnMode::None),
        (EcnPolicy::On, 0b001, EcnMode::Classic),
        (EcnPolicy::On, 0b000, EcnMode::None),
        (EcnPolicy::On, 0b011, EcnMode::None),
        (EcnPolicy::Passive, 0b001, EcnMode::None),
    ] {
        let mut t = client(policy, field);
        assert_eq!(t.c.ecn_mode(), mode, "{policy:?} {field:03b}");
        // RFC 9768 §3.1.5: "MUST NOT set ECT if it is in Not ECN feedback mode".
        if mode == EcnMode::None {
            let sent = first_data(&mut t);
            assert_eq!((sent.ecn, sent.ace()), (Codepoint::NotEct, 0));
        }
    }
}

#[test]
fn the_ack_of_the_syn_ack_reports_its_codepoint() {
    // RFC 9768 §3.2.2.1, table 3
    for (came, field) in [(0, 0b010), (1, 0b011), (2, 0b100), (3, 0b110)] {
        let came = Codepoint::from_bits(came);
        let mut t = connected(EcnPolicy::Accurate, syn().mss(1000).ace(0b010).came(came));
        // "if it has data to include on the ACK, it SHOULD first send a pure ACK".
        assert_eq!(t.writes(100), 100);
        let sent = t.sent();
        assert_eq!((sent[0].len, sent[0].ace()), (0, field), "{came:?}");
        // §3.2.2.2: "MUST increment r.cep".
        let cep = if came == Codepoint::Ce { 6 } else { 5 };
        assert_eq!((sent[1].len, sent[1].ace()), (100, cep));
        // §3.2.3.2.1: an option on the first ACK and on the first data.
        assert_eq!(sent[0].rare.accecn.and_then(|c| c.e0b), Some(1));
        assert_eq!(sent[1].rare.accecn.and_then(|c| c.e0b), Some(1));
    }
}

#[test]
fn the_ack_of_a_retransmitted_syn_ack_reports_its_codepoint() {
    // RFC 9768 §3.2.2.1: "MUST also use the handshake encoding for the pure ACK of any
    // retransmitted SYN/ACK"
    let mut t = client(EcnPolicy::Accurate, 0b010);
    assert_eq!(t.sent()[0].ace(), 0b010);
    let retransmitted = syn().seq(0).ack(1).ace(0b010).came(Codepoint::Ect0);
    t.refuses(retransmitted, Disposition::ChallengedSyn);
    assert_eq!(t.sent()[0].ace(), 0b100);
    t.gets(data(1..11));
    t.after_ms(100);
    assert_eq!(t.sent()[0].ace(), 5);
}

#[test]
fn a_client_whose_syn_was_mangled_sends_no_ect() {
    // RFC 9768 §3.2.2.3
    for (field, codepoint) in [
        (0b010, Codepoint::Ect0),
        (0b101, Codepoint::Ect0),
        (0b011, Codepoint::NotEct),
        (0b100, Codepoint::NotEct),
        (0b110, Codepoint::NotEct),
    ] {
        let mut t = client(EcnPolicy::Accurate, field);
        assert_eq!(first_data(&mut t).ecn, codepoint, "{field:03b}");
        assert_eq!(t.c.ecn_mode(), EcnMode::Accurate, "it MUST remain in the feedback mode");
    }
}

#[test]
fn a_mark_on_the_syn_reduces_the_window() {
    // RFC 9768 §3.2.2.2
    let mut t = client(EcnPolicy::Accurate, 0b110);
    assert_eq!(t.writes(10_000), 10_000);
    t.sent();
    t.gets(ack(1001).ace(5));
    assert_eq!(responded(&t), Some(10_001));
}

#[test]
fn the_syn_ack_of_a_server_reports_the_codepoint_of_the_syn() {
    // RFC 9768 table 2, RFC 3168 §6.1.1
    for (asked, came, answer, mode) in [
        (0b000, 0, 0b000, EcnMode::None),
        (0b011, 0, 0b001, EcnMode::Classic),
        (0b111, 0, 0b010, EcnMode::Accurate),
        (0b111, 1, 0b011, EcnMode::Accurate),
        (0b111, 2, 0b100, EcnMode::Accurate),
        (0b111, 3, 0b110, EcnMode::Accurate),
        // §3.1.3: combinations not yet used.
        (0b001, 0, 0b010, EcnMode::Accurate),
        (0b100, 0, 0b010, EcnMode::Accurate),
        (0b110, 0, 0b010, EcnMode::Accurate),
    ] {
        let embryo = embryo(syn().ace(asked).came(Codepoint::from_bits(came)));
        let answered = syn_ack(&embryo);
        assert_eq!(embryo.ecn_mode(), mode);
        assert_eq!(answered.flags.0 >> 6, answer, "{asked:03b}");
        assert_eq!(answered.ecn, Codepoint::NotEct);
        // RFC 9768 §3.2.3.2.1: "SHOULD include an AccECN TCP Option on the SYN/ACK".
        assert_eq!(answered.rare.accecn.is_some(), mode == EcnMode::Accurate);
    }
    let settings = crate::tcp::Settings { ecn: EcnPolicy::Off, ..plain() };
    let syn = raw(&syn().ace(0b111));
    let off = Embryo::from_syn(&syn, 0, SeqNum(7_000), Instant::ZERO, &settings, false);
    assert_eq!((off.ecn_mode(), syn_ack(&off).flags.intersects(ECN)), (EcnMode::None, false));
}

#[test]
fn a_retransmitted_syn_ack_drops_the_option_first_and_the_flags_later() {
    // RFC 9768 §3.2.3.2.2
    let mut embryo = embryo(syn().ace(0b111));
    assert!(syn_ack(&embryo).rare.accecn.is_some());
    let mut now = Instant::ZERO;
    for field in [0b010, 0, 0] {
        now += Duration::from_secs(40);
        assert_eq!(embryo.on_deadline(now, &passive()), EmbryoDeadline::Retransmit);
        let retransmitted = syn_ack(&embryo);
        assert_eq!((retransmitted.flags.0 >> 6, retransmitted.rare.accecn), (field, None));
        assert_eq!(embryo.ecn_mode(), EcnMode::Accurate, "it remains in AccECN feedback mode");
    }
    // §3.1.5: it MUST NOT set ECT on any packet for the rest of the connection.
    let mut t = server_of(embryo, ack(1).ace(0b010));
    assert_eq!(first_data(&mut t).ecn, Codepoint::NotEct);
}

#[test]
fn a_second_syn_without_ecn_ends_ect() {
    // RFC 9768 §3.1.5
    let mut embryo = embryo(syn().ace(0b111));
    let retransmitted = raw(&syn().came(Codepoint::Ect1));
    assert_eq!(embryo.on_segment(&retransmitted, &passive()), EmbryoAnswer::SynAckAgain);
    // "MUST feed back the IP-ECN field on the latest valid SYN".
    assert_eq!(syn_ack(&embryo).flags.0 >> 6, 0b011);
    let mut t = server_of(embryo, ack(1).ace(0b010));
    assert_eq!(first_data(&mut t).ecn, Codepoint::NotEct);
}

#[test]
fn two_kinds_of_requests_in_one_handshake_are_reset() {
    // RFC 9768 §3.1.5
    for (first, second) in [(0b111, 0b011), (0b011, 0b111)] {
        let mut embryo = embryo(syn().ace(first));
        let answer = embryo.on_segment(&raw(&syn().ace(second)), &passive());
        assert_eq!(answer, EmbryoAnswer::Refuse);
    }
}

#[test]
fn a_server_decodes_the_last_ack_by_table_4() {
    // RFC 9768 §3.2.2.1, §3.2.2.3
    for (field, codepoint, next) in [
        (0b001, Codepoint::Ect0, 5),
        (0b010, Codepoint::Ect0, 5),
        (0b011, Codepoint::NotEct, 5),
        (0b100, Codepoint::NotEct, 5),
        (0b101, Codepoint::Ect0, 5),
        (0b110, Codepoint::NotEct, 6),
        (0b111, Codepoint::Ect0, 5),
    ] {
        let mut t = server(ack(1).ace(field));
        assert_eq!(responded(&t).is_some(), field == 0b110, "{field:03b}: marks are responded to");
        let sent = first_data(&mut t);
        assert_eq!((sent.ecn, sent.ace()), (codepoint, 5), "{field:03b}");
        // s.cep is set as in the table: the next ACK reports no further mark.
        let before = responded(&t);
        t.gets(ack(101).ace(next));
        assert_eq!(responded(&t), before, "{field:03b}");
    }
}

#[test]
fn a_zeroed_last_ack_ends_ect_and_responses_but_not_feedback() {
    // RFC 9768 table 4, note 1
    let mut t = server(ack(1).ace(0));
    let sent = first_data(&mut t);
    assert_eq!((sent.ecn, sent.ace()), (Codepoint::NotEct, 5));
    t.gets(ack(101).ace(7));
    assert_eq!(responded(&t), None);
    t.gets(data(1..11).came(Codepoint::Ce));
    assert_eq!(t.sent()[0].ace(), 6);
}

#[test]
fn a_zeroed_first_ace_field_ends_ect_and_responses() {
    // RFC 9768 §3.2.2.4
    let mut t = client(EcnPolicy::Accurate, 0b010);
    assert_eq!(first_data(&mut t).ecn, Codepoint::Ect0);
    t.gets(ack(101).ace(0));
    assert_eq!(responded(&t), None);
    assert_eq!(first_data(&mut t).ecn, Codepoint::NotEct);
}

#[test]
fn options_with_a_zeroed_first_counter_are_ignored() {
    // RFC 9768 §3.2.3.2.4
    let zeroed = ByteCounters { e0b: Some(0), ceb: Some(0), e1b: Some(1) };
    let mut t = connected(EcnPolicy::Accurate, syn().mss(1000).ace(0b010).counts(zeroed));
    assert_eq!(t.writes(3000), 3000);
    t.sent();
    let lie = ByteCounters { e0b: Some(1), ceb: Some(3000), e1b: None };
    t.gets(ack(1001).ace(5).counts(lie));
    assert_eq!(responded(&t), None);
}

#[test]
fn both_ends_may_open_at_once() {
    let mut t = requesting(EcnPolicy::Accurate);
    t.sends_syn();
    t.gets(syn().mss(1000).ace(0b111).came(Codepoint::Ect0)).is(Phase::SynReceived);
    let answer = t.sent().remove(0);
    assert_eq!((answer.flags.syn(), answer.flags.ack(), answer.ace()), (true, true, 0b100));
    t.gets(ack(1).ace(0b010)).is(Phase::Established);
    assert_eq!(t.c.ecn_mode(), EcnMode::Accurate);
    assert_eq!(first_data(&mut t).ecn, Codepoint::Ect0);
}

#[test]
fn a_classic_client_sends_ect_on_data() {
    let mut t = client(EcnPolicy::On, 0b001);
    t.sends([bare(1)]);
    let sent = first_data(&mut t);
    assert_eq!((sent.ecn, sent.flags.intersects(ECN)), (Codepoint::Ect0, false));
}

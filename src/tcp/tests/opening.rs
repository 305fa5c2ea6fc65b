//! Opening: active, passive, simultaneous; retries; negotiation in the SYNs.

use super::script::plain;
use super::{Script, ack, bare, data, rst, syn, text};
use crate::tcp::{
    CloseReason, Connection, Disposition, Embryo, EmbryoAnswer, Env, Events, Flags, PathError,
    Phase, Segment, SeqNum, Settings,
};

const SYN_ACK: Flags = Flags(0x12);

#[test]
fn three_segments_open_a_connection() {
    let mut t = Script::open(plain());
    t.is(Phase::SynSent).sends_syn();
    t.gets(syn().ack(1)).is(Phase::Established).sends([bare(1).at(1)]);
    assert_eq!(t.events(), Events::CONNECTED);
    assert_eq!(t.deadline_ms(), None);
}

#[test]
fn data_of_the_same_turn_carries_the_ack_of_the_handshake() {
    let mut t = Script::open(plain());
    t.sends_syn();
    t.gets(syn().ack(1).mss(1000));
    t.writes(10);
    t.sends([text(1..11).ack(1)]);
}

#[test]
fn a_fin_of_the_same_turn_carries_the_ack_of_the_handshake() {
    let mut t = Script::open(plain());
    t.sends_syn();
    t.gets(syn().ack(1)).closes().sends([text(1..1).fin().ack(1)]);
    t.is(Phase::FinWait1);
}

#[test]
fn data_written_before_the_handshake_follows_it() {
    let mut t = Script::open(plain());
    assert_eq!(t.writes(1500), 1500);
    t.sends_syn();
    t.gets(syn().ack(1).mss(1000)).sends([text(1..1001).ack(1), text(1001..1501)]);
}

#[test]
fn a_syn_offers_what_the_settings_allow() {
    let mut t = Script::open(Settings::default());
    let options = t.sends_syn().options;
    assert_eq!(options.mss, Some(1460));
    assert_eq!(options.window_shift.map(|s| s.get()), Some(8));
    assert_eq!(options.timestamps.map(|ts| ts.echo), Some(0));
}

#[test]
fn scaling_is_off_unless_both_offer_it() {
    // RFC 7323 §2.2
    let mut t = Script::open(Settings::default());
    t.sends_syn();
    t.gets(syn().ack(1)); // without the option
    assert_eq!((t.c.snd.shift.get(), t.c.rcv.shift.get()), (0, 0));
    let mut t = Script::open(Settings { timestamps: false, ..Settings::default() });
    t.sends_syn();
    t.gets(syn().ack(1).shift(7).window(1000));
    assert_eq!((t.c.snd.shift.get(), t.c.rcv.shift.get()), (7, 8));
    assert_eq!(t.c.snd.wnd, 1000, "the window of a SYN is not scaled");
    t.gets(ack(1).window(1000));
    assert_eq!(t.c.snd.wnd, 128_000);
}

#[test]
fn timestamps_are_off_unless_both_offer_them() {
    let mut t = Script::open(Settings::default());
    t.sends_syn();
    t.gets(syn().ack(1).mss(1460));
    assert_eq!(t.sent()[0].options.timestamps, None);
    assert_eq!(t.c.snd.mss, 1460);
    let mut t = Script::open(Settings::default());
    t.sends_syn();
    t.gets(syn().ack(1).mss(1460).stamp(77, 0));
    let sent = t.sent();
    assert_eq!(sent[0].options.timestamps.map(|ts| ts.echo), Some(77));
    assert_eq!(t.c.snd.mss, 1448, "RFC 6691: the option is subtracted from each segment");
}

#[test]
fn without_an_mss_option_the_default_of_536_applies() {
    let mut t = Script::open(Settings { timestamps: false, ..Settings::default() });
    t.sends_syn();
    t.gets(syn().ack(1));
    assert_eq!(t.c.snd.mss, 536);
}

#[test]
fn a_lost_syn_is_retransmitted_after_one_second_then_two_and_so_on() {
    let mut t = Script::open(plain());
    t.sends_syn();
    for seconds in [1, 2, 4] {
        t.after_ms(seconds * 1000 - 1).quiet();
        t.after_ms(1).sends_syn();
    }
}

#[test]
fn an_unanswered_open_fails_after_all_retries() {
    let mut t = Script::open(Settings { syn_retries: 3, ..plain() });
    t.sends_syn();
    t.after_ms(14_999).is(Phase::SynSent);
    assert_eq!(t.sent().len(), 3);
    // RFC 9293 §3.8.3: R1 is reported as for data.
    assert_eq!(t.events(), Events::UNANSWERED);
    t.after_ms(1).is(Phase::Closed).quiet();
    assert_eq!(t.c.close_reason(), Some(CloseReason::TimedOut));
    assert_eq!(t.events(), Events::CLOSED);
}

#[test]
fn after_a_lost_syn_the_timeout_starts_at_three_seconds_and_the_window_at_one_segment() {
    // RFC 6298 (5.7), RFC 5681 §3.1
    let mut t = Script::open(plain());
    t.sends_syn();
    t.after_ms(1000).sends_syn();
    t.gets(syn().ack(1).mss(1000)).sends([bare(1)]);
    t.writes(3000);
    t.sends([1..1001]);
    assert_eq!(t.deadline_ms(), Some(3000));
}

#[test]
fn a_reset_that_acknowledges_the_syn_refuses_the_open() {
    let mut t = Script::open(plain());
    t.sends_syn();
    t.gets(rst(0).ack(1)).is(Phase::Closed).quiet();
    assert_eq!(t.c.close_reason(), Some(CloseReason::Refused));
}

#[test]
fn a_reset_without_a_valid_ack_is_ignored_while_opening() {
    let mut t = Script::open(plain());
    t.sends_syn();
    t.refuses(rst(0), Disposition::NoAck).refuses(rst(0).ack(2), Disposition::BadAck);
    t.refuses(rst(0).ack(0), Disposition::BadAck).is(Phase::SynSent).quiet();
}

#[test]
fn an_unacceptable_ack_triggers_a_reset_and_the_open_continues() {
    let mut t = Script::open(plain());
    t.sends_syn();
    t.refuses(syn().ack(2), Disposition::Reset).refuses(ack(0), Disposition::Reset);
    t.is(Phase::SynSent).refuses(ack(1), Disposition::NoAck);
    t.gets(syn().ack(1)).is(Phase::Established);
}

#[test]
fn data_on_the_syn_ack_is_accepted() {
    let mut t = Script::open(plain());
    t.sends_syn();
    let mut segment = data(1..11).ack(1).flag(Flags::SYN).fin();
    segment = segment.seq_of_syn();
    t.gets(segment).is(Phase::CloseWait).sends([bare(12)]);
    assert_eq!(t.reads(100), 10);
}

#[test]
fn both_ends_may_open_at_once() {
    // RFC 9293 figure 7.
    let mut t = Script::open(plain());
    t.sends_syn();
    t.gets(syn().mss(1000)).is(Phase::SynReceived);
    t.sends([text(0..0).flags(SYN_ACK).ack(1)]);
    // §3.10.7.4, first: the SYN is outside of the window, so "an acknowledgment should be sent in
    // reply".
    t.gets(syn().ack(1)).is(Phase::Established).sends([bare(1).at(1)]);
    assert_eq!(t.events(), Events::CONNECTED);
    assert_eq!(t.deadline_ms(), None);
}

#[test]
fn a_plain_ack_completes_a_simultaneous_open() {
    let mut t = Script::open(plain());
    t.sends_syn();
    t.gets(syn()).sends([text(0..0).flags(SYN_ACK)]);
    t.gets(ack(1)).is(Phase::Established);
}

#[test]
fn a_lost_syn_ack_of_a_simultaneous_open_is_retransmitted() {
    let mut t = Script::open(plain());
    t.sends_syn();
    t.gets(syn()).sends([text(0..0).flags(SYN_ACK)]);
    t.after_ms(1000).sends([text(0..0).flags(SYN_ACK)]);
    t.refuses(syn(), Disposition::ChallengedSyn).sends([bare(1).at(1)]);
    t.refuses(ack(2), Disposition::Reset).is(Phase::SynReceived);
    t.gets(rst(1)).is(Phase::Closed);
    assert_eq!(t.c.close_reason(), Some(CloseReason::Refused));
}

#[test]
fn a_close_during_a_simultaneous_open_takes_effect_when_established() {
    let mut t = Script::open(plain());
    t.sends_syn();
    t.gets(syn()).sends([text(0..0).flags(SYN_ACK)]);
    t.closes().is(Phase::SynReceived).quiet();
    assert_eq!(t.writes(1), 0);
    t.gets(syn().ack(1)).is(Phase::FinWait1).sends([text(1..1).fin()]);
}

#[test]
fn a_close_before_any_response_deletes_the_connection() {
    let mut t = Script::open(plain());
    t.sends_syn();
    t.writes(100);
    t.closes().is(Phase::Closed).quiet();
    assert_eq!(t.c.close_reason(), Some(CloseReason::Aborted));
    assert_eq!(t.pool.in_use(), 0);
}

#[test]
fn icmp_unreachable_is_hard_while_opening_and_soft_afterwards() {
    let mut t = Script::open(plain());
    t.sends_syn();
    t.path_error(PathError::Unreachable, 5).is(Phase::SynSent);
    t.path_error(PathError::Unreachable, 0).is(Phase::Closed);
    assert_eq!(t.c.close_reason(), Some(CloseReason::Unreachable));
    let mut t = Script::established().write(100);
    t.sends([1..101]);
    t.path_error(PathError::Unreachable, 1).is(Phase::Established);
}

#[test]
fn an_embryo_becomes_a_connection_and_the_ack_may_carry_data_and_fin() {
    let mut t = Script::open(Settings::default());
    t.irs = SeqNum(500);
    let first = Segment {
        seq: SeqNum(500),
        flags: Flags::SYN,
        window: 1000,
        options: syn().mss(1460).shift(4).stamp(9, 0).options(),
        ..Segment::default()
    };
    let mut embryo = Embryo::from_syn(&first, 0, SeqNum(7000), t.now, &t.settings, false);
    let payload = [1, 2, 3];
    let last = Segment {
        seq: SeqNum(501),
        ack: SeqNum(7001),
        flags: Flags::ACK.with(Flags::FIN),
        options: syn().stamp(10, 5).options(),
        payload: &payload,
        ..first
    };
    assert_eq!(embryo.on_segment(&last, &t.settings), EmbryoAnswer::Establish);
    let env = &mut Env {
        now: t.now,
        settings: &t.settings,
        pool: &mut t.pool,
        challenge_acks: &mut t.challenge_acks,
    };
    t.c = Connection::from_embryo(env, &embryo, 5, false, &last);
    assert_eq!(t.c.phase(), Phase::Established);
    assert_eq!(t.c.on_segment(env, &last), Disposition::Accepted);
    assert_eq!(t.c.snd.wnd, 16_000);
    assert_eq!(t.c.snd.mss, 1448);
    assert!(!t.c.take_events().contains(Events::CONNECTED));
    t.is(Phase::CloseWait).closes().sends([text(1..1).fin().ack(5)]);
}

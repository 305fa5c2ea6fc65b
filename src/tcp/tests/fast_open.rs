//! TCP Fast Open (RFC 7413): data on SYNs, at both ends.

use super::literals::{In, Sent, cookie};
use super::script::{env, plain};
use super::{Script, ack, bare, data, fin, rst, syn, text};
use crate::tcp::{
    Attempt, CloseReason, Connection, Disposition, Embryo, Events, Flags, Form, Loss, Outcome,
    PathError, Phase, Segment, SeqNum, Settings, SynData,
};

const SYN_ACK: Flags = Flags(0x12);
const COOKIE: [u8; 8] = [0xc0, 0x0c, 1, 2, 3, 4, 5, 6];

/// Opens actively with `attempt` and `bytes` written; returns the script and the SYN sent.
fn opened(attempt: Attempt, bytes: u32) -> (Script, Sent) {
    let mut t = Script::open(plain());
    t.calls(|c, _| c.attempt_fast_open(attempt));
    assert_eq!(t.writes(bytes), bytes);
    let syn = t.sends_syn();
    (t, syn)
}

/// Opens with a cookie, to a server that accepts segments of 1000 bytes.
fn opened_with(bytes: u32) -> (Script, Sent) {
    opened(Attempt::Send { cookie: Some(cookie(&COOKIE)), mss: 1000 }, bytes)
}

fn outcome(t: &mut Script) -> Outcome {
    t.c.take_fast_open_outcome().expect("the attempt is over")
}

/// Opens passively from a SYN with a valid cookie and `len` bytes of data; the SYN-ACK is not sent
/// yet.
fn served(settings: Settings, options: In, len: u32) -> Script {
    served_flags(settings, options, len, Flags::SYN)
}

fn served_flags(settings: Settings, options: In, len: u32, flags: Flags) -> Script {
    let mut t = Script::open(settings);
    let payload: Vec<u8> = (1..=len).map(super::literals::content).collect();
    let syn = Segment {
        seq: t.irs,
        flags,
        window: 20_000,
        options: options.options(),
        payload: &payload,
        ..Segment::default()
    };
    let embryo = Embryo::from_syn(&syn, 0, SeqNum(7_000), t.now, &t.settings, false);
    t.c = Connection::from_fast_open(env!(t), &embryo, 5, false, &syn);
    t.c.take_syn_data(env!(t), &syn);
    t.set_peer_nxt(1 + len);
    t
}

fn first_syn_ack(t: &mut Script, len: u32) {
    t.sends([text(0..0).flags(SYN_ACK).ack(1 + len)]);
}

// The client side.

#[test]
fn a_client_without_a_cookie_requests_one_and_sends_no_data() {
    // RFC 7413 §4.2.1 (1)
    let (mut t, syn_sent) = opened(Attempt::Ask(Form::Assigned), 300);
    assert_eq!((syn_sent.len, syn_sent.rare.fast_open), (0, Some(cookie(&[]))));
    t.gets(syn().ack(1).mss(1000).cookie(&COOKIE)).sends([text(1..301).ack(1)]);
    // §4.2.2: "update the corresponding cookie and MSS information".
    let learned = outcome(&mut t);
    assert_eq!((learned.answer, learned.mss), (Some(cookie(&COOKIE)), Some(1000)));
    assert!(learned.asked && !learned.sent && !learned.timed_out);
    assert_eq!(t.c.syn_data(), SynData::None);
    assert_eq!(t.c.take_fast_open_outcome(), None, "reported once");
}

#[test]
fn a_syn_with_a_cookie_carries_data_up_to_the_cached_mss() {
    // RFC 7413 §4.2.2, client (1): "Include any data up to the cached server MSS", minus the
    // options.
    for (mss, written, carried) in
        [(1000, 300, 300), (1000, 5000, 960), (1460, 5000, 960), (536, 5000, 496)]
    {
        let attempt = Attempt::Send { cookie: Some(cookie(&COOKIE)), mss };
        let (t, syn) = opened(attempt, written);
        assert_eq!((syn.len, syn.rare.fast_open), (carried, Some(cookie(&COOKIE))));
        // (2): "Advance to SYN-SENT state and update SND.NXT to include the data accordingly."
        assert_eq!(t.c.snd.nxt, t.iss() + 1 + carried);
    }
}

#[test]
fn a_syn_ack_of_all_data_completes_the_handshake() {
    // RFC 7413 §4.2.2
    let (mut t, _) = opened_with(2000);
    t.gets(syn().ack(961).mss(1000)).is(Phase::Established);
    t.sends([text(961..1961).ack(1), text(1961..2001)]);
    assert_eq!((t.events(), t.c.syn_data()), (Events::CONNECTED, SynData::Acknowledged));
    assert!(outcome(&mut t).acked);
    t.gets(ack(2001)).quiet();
    assert_eq!((t.c.info(&t.settings).bytes_acked, t.deadline_ms()), (2000, None));
    assert_eq!(t.pool.in_use(), 0);
}

#[test]
fn data_not_acknowledged_by_the_syn_ack_is_sent_with_the_first_ack() {
    // RFC 7413 §4.2.2: "The client SHOULD retransmit any unacknowledged data in the first ACK
    // packet".
    for (acked, sack) in [(0, false), (0, true), (400, false), (400, true)] {
        let (mut t, _) = opened_with(900);
        let answer = syn().ack(1 + acked).mss(1000);
        t.gets(if sack { answer.permits_sack() } else { answer });
        t.sends([text(1 + acked..901).ack(1)]);
        assert_eq!(t.c.syn_data(), SynData::Sent);
        let learned = outcome(&mut t);
        assert_eq!((learned.sent, learned.acked), (true, acked > 0));
        let info = t.c.info(&t.settings);
        assert_eq!((info.cwnd, info.retransmissions), (10_000, 1), "no sign of congestion");
        t.gets(ack(901)).quiet();
        assert_eq!((t.deadline_ms(), t.pool.in_use()), (None, 0));
    }
}

#[test]
fn syn_data_is_retransmitted_in_segments_of_the_servers_mss() {
    // RFC 7413 §4.2.2, RFC 9293 §3.7.1: the MSS of the SYN-ACK applies, not the cached one.
    for sack in [false, true] {
        let (mut t, _) = opened_with(5000);
        let answer = syn().ack(101).mss(600);
        t.gets(if sack { answer.permits_sack() } else { answer });
        // 960 bytes went with the SYN; 860 of them are retransmitted first, the second segment has
        // room for new data.
        let sent: Vec<_> = t.sent().iter().map(|s| (s.seq, s.len)).take(3).collect();
        assert_eq!(sent, [(101, 600), (701, 600), (1301, 600)]);
        let info = t.c.info(&t.settings);
        assert_eq!((info.retransmissions, info.loss), (2, Loss::None));
        t.gets(ack(5001)).quiet();
        assert_eq!(t.deadline_ms(), None);
    }
}

#[test]
fn lost_syn_data_is_repaired_like_other_data() {
    // RFC 6675 §5 (4)
    let (mut t, _) = opened_with(5000);
    t.gets(syn().ack(1).mss(1000).permits_sack());
    assert_eq!(t.sent().len(), 6);
    t.after_ms(20).gets(ack(1).sack(961..3961));
    let retransmitted = t.sent();
    assert_eq!((retransmitted[0].seq, retransmitted[0].len), (1, 960));
    t.gets(ack(5001)).quiet();
}

#[test]
fn a_retransmitted_syn_has_neither_data_nor_the_option() {
    // RFC 7413 §4.2.2: "when the SYN timer fires, the client SHOULD retransmit a SYN packet without
    // data and Fast Open options".
    for (attempt, len) in [
        (Attempt::Send { cookie: Some(cookie(&COOKIE)), mss: 1000 }, 500),
        (Attempt::Send { cookie: None, mss: 1000 }, 500),
        (Attempt::Ask(Form::Experimental), 0),
    ] {
        let (mut t, first) = opened(attempt, 500);
        assert_eq!(first.len, len);
        for seconds in [1, 2] {
            t.after_ms(seconds * 1000);
            let retransmitted = t.sends_syn();
            assert_eq!((retransmitted.len, retransmitted.rare.fast_open), (0, None));
        }
        t.gets(syn().ack(1).mss(1000)).sends([text(1..501).ack(1)]);
        let learned = outcome(&mut t);
        assert!(learned.timed_out && !learned.acked);
    }
}

#[test]
fn a_late_syn_ack_of_the_data_is_accepted_after_a_spurious_timeout() {
    // RFC 7413 §4.2.2: the heuristic is for a SYN-ACK that "acknowledges only the initial
    // sequence".
    let (mut t, _) = opened_with(500);
    t.after_ms(1000).sends_syn();
    t.gets(syn().ack(501).mss(1000)).sends([bare(1).at(501)]);
    let learned = outcome(&mut t);
    assert!(learned.timed_out && learned.acked);
    assert_eq!(t.c.syn_data(), SynData::Acknowledged);
}

#[test]
fn a_syn_ack_of_unsent_data_triggers_a_reset() {
    // RFC 9293 §3.10.7.3
    let (mut t, _) = opened_with(100);
    t.refuses(syn().ack(102), Disposition::Reset).is(Phase::SynSent);
    t.refuses(syn().ack(0), Disposition::Reset);
    t.gets(syn().ack(101)).is(Phase::Established);
}

#[test]
fn an_unsolicited_cookie_is_not_reported() {
    let (mut t, syn_sent) = opened(Attempt::Send { cookie: None, mss: 1000 }, 100);
    assert_eq!((syn_sent.len, syn_sent.rare.fast_open), (100, None));
    t.gets(syn().ack(101).cookie(&COOKIE));
    assert_eq!(outcome(&mut t).answer, None);
}

#[test]
fn the_syn_measures_the_round_trip_even_if_its_data_is_not_acknowledged() {
    for ack in [1, 200, 501] {
        let (mut t, _) = opened_with(500);
        t.after_ms(30).gets(syn().ack(ack).mss(1000));
        assert_eq!(t.c.info(&t.settings).srtt.as_millis(), 30);
    }
}

#[test]
fn a_syn_too_big_for_the_path_is_retransmitted_at_once_without_data() {
    // RFC 7413 §4.1.3.1: ICMP errors are negative responses.
    let (mut t, _) = opened_with(900);
    t.after_ms(20).path_error(PathError::TooBig(640), 0);
    let retransmitted = t.sends_syn();
    assert_eq!(
        (retransmitted.len, retransmitted.rare.fast_open, retransmitted.options.mss),
        (0, None, Some(600))
    );
    t.path_error(PathError::TooBig(640), 0).quiet();
    t.gets(syn().ack(1).mss(1000));
    let learned = outcome(&mut t);
    assert!(learned.too_big && learned.sent && !learned.acked && !learned.timed_out);
}

#[test]
fn an_unanswered_attempt_is_reported() {
    // RFC 7413 §4.1.3.1: "no response (SYN-ACK) from the server at all".
    let (mut t, _) = opened_with(100);
    t.after_ms(400_000).is(Phase::Closed);
    assert_eq!(t.c.close_reason(), Some(CloseReason::TimedOut));
    let learned = outcome(&mut t);
    assert!(learned.timed_out && learned.sent && learned.mss.is_none());
    assert_eq!(t.pool.in_use(), 0);
}

#[test]
fn a_syn_ack_with_data_and_fin_is_accepted_after_syn_data() {
    // RFC 7413 §4.2.2: "The server MAY include data in the SYN-ACK packet".
    let (mut t, _) = opened_with(100);
    t.gets(data(1..11).ack(101).flag(Flags::SYN).fin().seq_of_syn()).is(Phase::CloseWait);
    t.sends([bare(12).at(101)]);
    assert_eq!(t.reads(100), 10);
}

#[test]
fn both_ends_may_open_at_once_with_data_in_the_syns() {
    // RFC 7413 §4.2.2: "A special case is simultaneous open"; the peer's data is not acknowledged,
    // ours is.
    let (mut t, _) = opened_with(300);
    t.gets(data(1..51).no_ack().flag(Flags::SYN).seq_of_syn().mss(1000).cookie(&COOKIE));
    t.is(Phase::SynReceived).sends([text(0..0).flags(SYN_ACK).ack(1)]);
    t.set_peer_nxt(1);
    t.gets(syn().ack(301)).is(Phase::Established).sends([bare(1).at(301)]);
    assert_eq!(t.c.syn_data(), SynData::Acknowledged);
    t.gets(data(1..51)).sends([bare(51).at(301)]);
}

#[test]
fn a_reset_ends_an_open_with_data() {
    let (mut t, _) = opened_with(300);
    t.gets(rst(0).ack(1)).is(Phase::Closed).quiet();
    assert_eq!(t.c.close_reason(), Some(CloseReason::Refused));
    assert_eq!(t.pool.in_use(), 0);
}

#[test]
fn a_syn_ack_with_a_timestamp_echo_never_sent_is_rejected() {
    // RFC 7323 §4
    let mut t = Script::open(Settings { timestamps: true, ..plain() });
    let sent = t.sends_syn().options.timestamps.expect("timestamps").value;
    t.after_ms(20);
    let answer = |echo| syn().ack(1).mss(1000).stamp(9, echo);
    t.refuses(answer(sent - 5_000), Disposition::Reset).is(Phase::SynSent);
    t.refuses(answer(sent + 5_000), Disposition::Reset).is(Phase::SynSent);
    t.gets(answer(sent)).is(Phase::Established);
}

// The server side.

#[test]
fn a_valid_cookie_delivers_syn_data_before_the_handshake_completes() {
    // RFC 7413 §4.2.2, server (4), (5): "Buffer the data and notify the application"; "the packet
    // acknowledges the SYN and data sequence".
    let mut t = served(plain(), syn().mss(1000), 100);
    t.is(Phase::SynReceived);
    assert_eq!(t.events(), Events::READABLE);
    assert_eq!((t.reads(200), t.c.syn_data()), (100, SynData::Received));
    first_syn_ack(&mut t, 100);
    assert!(t.c.is_pending_fast_open());
    t.gets(ack(1)).is(Phase::Established).quiet();
    assert!(!t.c.is_pending_fast_open());
    assert_eq!((t.events(), t.deadline_ms()), (Events::default(), None));
}

#[test]
fn the_response_follows_the_syn_ack_without_waiting_for_the_ack() {
    // RFC 7413 §3, §4.2.2 (6): "the server MUST follow [RFC5681] (based on [RFC3390]) to set the
    // initial congestion window".
    let mut t = served(plain(), syn().mss(1000), 100);
    t.writes(30_000);
    let sent = t.sent();
    assert_eq!((sent[0].flags, sent[0].len, sent[0].ack), (SYN_ACK, 0, 101));
    let data: u32 = sent[1..].iter().map(|segment| segment.len).sum();
    assert_eq!((data, sent[1].seq, sent[1].ack), (10_000, 1, 101));
    t.gets(ack(4001)).is(Phase::Established);
    assert!(t.sent().iter().all(|segment| segment.seq >= 10_001));
}

#[test]
fn the_window_of_the_syn_limits_data_sent_before_the_ack() {
    // RFC 7323 §2.2: the window of a SYN is not scaled.
    let settings = Settings { initial_window: 64, window_scaling: true, ..plain() };
    let mut t = served(settings, syn().mss(1000).shift(7), 10);
    t.writes(40_000);
    assert_eq!(t.sent().iter().map(|segment| segment.len).sum::<u32>(), 20_000);
    t.gets(ack(1).window(300)).is(Phase::Established);
    assert_eq!(t.c.snd.wnd, 300 << 7);
}

#[test]
fn a_retransmitted_syn_ack_has_neither_data_nor_cookie() {
    // RFC 7413 §4.2.2: "If the SYN-ACK timer fires, the server SHOULD retransmit a SYN-ACK segment
    // with neither data nor Fast Open options".
    for sack in [false, true] {
        let offer = if sack { syn().mss(1000).permits_sack() } else { syn().mss(1000) };
        let mut t = served(plain(), offer, 100);
        t.calls(|c, _| c.renew_cookie(cookie(&COOKIE)));
        t.writes(500);
        let first = t.sent();
        assert_eq!(first[0].rare.fast_open, Some(cookie(&COOKIE)));
        assert_eq!((first.len(), first[1].len), (2, 500));
        for seconds in [1, 2, 4] {
            t.after_ms(seconds * 1000 - 1).quiet();
            t.after_ms(1);
            let retransmitted = t.sent();
            assert_eq!(retransmitted.len(), 1, "{retransmitted:?}");
            assert_eq!(
                (retransmitted[0].flags, retransmitted[0].ack, retransmitted[0].len),
                (SYN_ACK, 101, 0)
            );
            assert_eq!(retransmitted[0].rare.fast_open, None);
        }
        // The data is retransmitted after the handshake.
        t.gets(ack(1)).is(Phase::Established);
        t.after_ms(4000);
        let repaired = t.sent();
        assert_eq!((repaired[0].seq, repaired[0].len), (1, 500), "{repaired:?}");
        t.gets(ack(501)).quiet();
        assert_eq!(t.deadline_ms(), None);
    }
}

#[test]
fn a_retransmitted_syn_triggers_another_syn_ack() {
    // RFC 9293 §3.10.7.4, as for an embryo: the first SYN-ACK was lost.
    let mut t = served(plain(), syn().mss(1000), 100);
    first_syn_ack(&mut t, 100);
    t.after_ms(300).gets(syn().mss(1000));
    t.sends([text(0..0).flags(SYN_ACK).ack(101)]);
    // A retransmitted SYN with data: the data is acknowledged once.
    t.set_peer_nxt(101);
    let retransmitted = data(1..101).no_ack().flag(Flags::SYN).seq_of_syn();
    t.gets(retransmitted).sends([text(0..0).flags(SYN_ACK).ack(101)]);
    assert_eq!(t.reads(1000), 100);
    t.gets(ack(1).seq(101)).is(Phase::Established);
    // RFC 5961 §4: after the handshake a SYN is challenged.
    t.refuses(syn(), Disposition::ChallengedSyn).sends([bare(101)]);
}

#[test]
fn a_pending_connection_fails_after_all_retries() {
    let mut t = served(Settings { syn_ack_retries: 2, ..plain() }, syn().mss(1000), 100);
    first_syn_ack(&mut t, 100);
    t.after_ms(3_000);
    assert_eq!(t.sent().len(), 2);
    t.after_ms(3_999).is(Phase::SynReceived);
    t.after_ms(1).is(Phase::Closed).quiet();
    assert_eq!((t.c.close_reason(), t.pool.in_use()), (Some(CloseReason::TimedOut), 0));
}

#[test]
fn an_ack_of_unsent_data_triggers_a_reset_while_pending() {
    // RFC 9293 §3.10.7.4, fifth, SYN-RECEIVED
    let mut t = served(plain(), syn().mss(1000), 100);
    first_syn_ack(&mut t, 100);
    t.refuses(ack(0), Disposition::Reset).refuses(ack(2), Disposition::Reset);
    t.is(Phase::SynReceived).gets(ack(1)).is(Phase::Established);
}

#[test]
fn a_reset_while_pending_ends_the_connection() {
    // RFC 5961 §3.2: at RCV.NXT, after the data.
    let mut t = served(plain(), syn().mss(1000), 100);
    first_syn_ack(&mut t, 100);
    t.refuses(rst(50), Disposition::OutOfWindow);
    t.refuses(rst(102), Disposition::ChallengedReset);
    t.gets(rst(101)).is(Phase::Closed);
    assert_eq!(t.c.close_reason(), Some(CloseReason::Reset));
}

#[test]
fn icmp_unreachable_ends_only_a_pending_connection() {
    // RFC 5927 §5.2
    let mut t = served(plain(), syn().mss(1000), 100);
    first_syn_ack(&mut t, 100);
    t.path_error(PathError::Unreachable, 7).is(Phase::SynReceived);
    t.path_error(PathError::Unreachable, 0).is(Phase::Closed);
    assert_eq!(t.c.close_reason(), Some(CloseReason::Unreachable));
}

#[test]
fn a_fin_on_the_syn_is_accepted_after_the_handshake() {
    // RFC 9293 §3.10.7.4, eighth
    let mut t = served_flags(plain(), syn().mss(1000), 10, Flags::SYN.with(Flags::FIN));
    first_syn_ack(&mut t, 10);
    t.set_peer_nxt(12);
    t.gets(ack(1).seq(12)).is(Phase::CloseWait);
    assert!(t.events().contains(Events::PEER_CLOSED));
    t.sends([bare(12)]);
    // A retransmission of it is the same FIN.
    let _ = t.receives(fin(11));
    t.is(Phase::CloseWait).sends([bare(12)]);
}

#[test]
fn a_fin_on_the_ack_closes_the_peers_direction() {
    let mut t = served(plain(), syn().mss(1000), 10);
    first_syn_ack(&mut t, 10);
    t.gets(fin(11).ack(1)).is(Phase::CloseWait).sends([bare(12)]);
    t.closes().sends([text(1..1).fin()]);
}

#[test]
fn a_close_while_pending_follows_the_data_and_the_handshake() {
    let mut t = served(plain(), syn().mss(1000), 10);
    t.writes(100);
    t.closes();
    t.sends([text(0..0).flags(SYN_ACK).ack(11), text(1..101)]);
    t.gets(ack(1)).is(Phase::FinWait1).sends([text(101..101).fin()]);
}

#[test]
fn an_abort_while_pending_sends_a_reset_that_the_client_accepts() {
    // RFC 9293 §3.10.7.3: before the client knows our SYN, it accepts only a reset that
    // acknowledges its own SYN.
    let mut t = served(plain(), syn().mss(1000), 10);
    t.aborts().sends([text(0..0).flags(Flags::RST.with(Flags::ACK)).ack(11)]);
    let mut t = served(plain(), syn().mss(1000), 10);
    first_syn_ack(&mut t, 10);
    t.aborts().sends([text(1..1).flags(Flags::RST)]);
    assert_eq!(t.pool.in_use(), 0);
}

#[test]
fn a_cookie_without_data_opens_a_writable_connection() {
    let mut t = served(plain(), syn().mss(1000), 0);
    assert_eq!((t.events(), t.c.syn_data()), (Events::default(), SynData::None));
    t.writes(50);
    t.sends([text(0..0).flags(SYN_ACK).ack(1), text(1..51)]);
}

#[test]
fn the_ack_of_the_handshake_reveals_earlier_losses() {
    // RFC 8985: the ACK of the SYN-ACK carries blocks for data beyond a hole.
    let mut t = served(plain(), syn().mss(1000).permits_sack(), 10);
    t.writes(5000);
    assert_eq!(t.sent().len(), 6);
    t.after_ms(20).gets(ack(1).sack(2001..5001)).is(Phase::Established);
    t.sends([1..1001, 1001..2001]);
    t.gets(ack(5001)).quiet();
    assert_eq!(t.deadline_ms(), None);
}

#[test]
fn the_ack_may_carry_more_data() {
    let mut t = served(plain(), syn().mss(1000), 10);
    first_syn_ack(&mut t, 10);
    t.gets(data(11..500).ack(1)).is(Phase::Established).sends([bare(500)]);
    assert_eq!(t.reads(1000), 499);
}

#[test]
fn bursts_before_the_handshake_completes_end_with_psh() {
    let host = |s: &mut Settings| s.push_bursts = Some(2);
    let mut settings = plain();
    host(&mut settings);
    let mut t = served(settings, syn().mss(1000), 500);
    first_syn_ack(&mut t, 500);
    t.writes(20_000);
    let ends: Vec<_> = t.sent().iter().filter(|s| s.flags.psh()).map(|s| s.seq + s.len).collect();
    // Half of the initial window of ten segments.
    assert_eq!(ends, [5001, 10_001]);
}

//! Socket options of one connection: Nagle and cork, quick ACKs, keep-alive, the user timeout and
//! its option (RFC 5482), a close with a deadline.

use super::{Script, ack, bare, data, fin, syn, text};
use crate::tcp::{CloseReason, Flags, KeepAlive, Phase, UserTimeout};
use crate::time::Duration;

const SECOND: u64 = 1000;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_corked_connection_sends_full_segments_only() {
    let mut t = Script::established();
    t.calls(|c, env| c.set_cork(env, true));
    t.writes(1500);
    t.sends([1..1001]);
    t.gets(ack(1001)).quiet();
    t.calls(|c, env| c.set_cork(env, false)).sends([1001..1501]);
}

#[test]
fn the_override_timeout_and_close_release_a_cork() {
    // RFC 9293 §3.8.6.2.1 (4)
    let mut t = Script::established();
    t.calls(|c, env| c.set_cork(env, true));
    t.writes(10);
    t.quiet().after_ms(200).sends([1..11]);
    t.writes(10);
    t.gets(ack(11)).closes().sends([text(11..21).fin()]);
}

#[test]
fn with_quick_ack_every_segment_is_acknowledged_at_once() {
    let mut t = Script::established();
    t.gets(data(1..11)).quiet();
    t.calls(|c, _| c.set_quick_ack(true)).sends([bare(11)]);
    for i in 0..300 {
        t.gets(data(11 + i..12 + i)).sends([bare(12 + i)]);
    }
    t.calls(|c, _| c.set_quick_ack(false)).gets(data(311..312)).quiet();
}

#[test]
fn keep_alive_can_be_turned_on_and_off_for_one_connection() {
    // RFC 9293 §3.8.4: "Keep-alives MAY be turned on or off for each TCP connection" (MUST-24).
    let times = KeepAlive { idle: seconds(10), interval: seconds(1), probes: 2 };
    let mut t = Script::established();
    t.after_ms(4 * SECOND).calls(|c, env| c.set_keep_alive(env, Some(times)));
    assert_eq!(
        t.deadline_ms(),
        Some(6 * SECOND),
        "the idle time starts at the peer's last segment"
    );
    t.after_ms(6 * SECOND).sends([bare(1).at(0)]);
    t.calls(|c, env| c.set_keep_alive(env, None));
    assert_eq!(t.deadline_ms(), None);
    let mut t = Script::established_with(|s| s.keep_alive = Some(times));
    t.calls(|c, env| c.set_keep_alive(env, None)).after_ms(100 * SECOND).quiet();
}

#[test]
fn the_user_timeout_ends_a_connection_whose_data_stays_unacknowledged() {
    // RFC 9293 §3.8.3, §3.9.1.1: the connection is closed after the user timeout.
    let mut t = Script::established();
    t.calls(|c, env| c.set_user_timeout(env, Some(seconds(5))));
    t.writes(10);
    t.after_ms(5 * SECOND - 1).is(Phase::Established).after_ms(1).is(Phase::Closed);
    assert_eq!(t.c.close_reason(), Some(CloseReason::TimedOut));
}

#[test]
fn a_user_timeout_may_be_shorter_than_the_retransmission_timeout() {
    let mut t = Script::established();
    t.calls(|c, env| c.set_user_timeout(env, Some(Duration::from_millis(50))));
    t.writes(10);
    t.after_ms(49).is(Phase::Established).after_ms(1).is(Phase::Closed);
}

#[test]
fn a_longer_user_timeout_overrides_the_default() {
    // RFC 9293 §3.8.3: R2 "can be set by an application" (MUST-21).
    let mut t = Script::established();
    t.calls(|c, env| c.set_user_timeout(env, Some(seconds(600))));
    t.writes(10);
    t.after_ms(599 * SECOND).is(Phase::Established).after_ms(SECOND).is(Phase::Closed);
}

#[test]
fn a_user_timeout_set_with_data_outstanding_starts_then() {
    let mut t = Script::established();
    t.writes(10);
    t.after_ms(60 * SECOND).calls(|c, env| c.set_user_timeout(env, Some(seconds(2))));
    t.after_ms(2 * SECOND - 1).is(Phase::Established).after_ms(1).is(Phase::Closed);
}

#[test]
fn an_acknowledgment_restarts_the_user_timeout() {
    let mut t = Script::established();
    t.calls(|c, env| c.set_user_timeout(env, Some(seconds(5))));
    t.writes(10);
    t.after_ms(4 * SECOND).gets(ack(6));
    t.after_ms(4 * SECOND).is(Phase::Established);
}

#[test]
fn the_user_timeout_and_the_number_of_syns_bound_an_opening() {
    // RFC 9293 §3.8.3: R2 of a SYN is set by the application.
    let mut t = Script::open(super::script::plain());
    t.calls(|c, env| c.set_user_timeout(env, Some(seconds(10))));
    t.after_ms(10 * SECOND - 1).is(Phase::SynSent).after_ms(1).is(Phase::Closed);
    let mut t = Script::open(super::script::plain());
    t.calls(|c, _| c.set_syn_retries(2));
    t.after_ms(7 * SECOND - 1).is(Phase::SynSent).after_ms(1).is(Phase::Closed);
    assert_eq!(t.sent().len(), 3);
}

fn advice(span: u64) -> Option<UserTimeout> {
    Some(UserTimeout::from_span(seconds(span)))
}

#[test]
fn the_user_timeout_option_is_sent_only_when_enabled() {
    // RFC 5482 §3: ENABLED "Defaults to false".
    let mut t = Script::open(super::script::plain());
    t.calls(|c, env| c.set_user_timeout(env, Some(seconds(300))));
    assert_eq!(t.sends_syn().rare.user_timeout, None);
}

#[test]
fn the_syn_and_the_first_segment_after_it_carry_the_user_timeout_option() {
    // RFC 5482 §3
    let mut t = Script::open(super::script::plain());
    t.calls(|c, env| c.set_user_timeout(env, Some(seconds(300))))
        .calls(|c, env| c.set_user_timeout_option(env, true));
    assert_eq!(t.sends_syn().rare.user_timeout, advice(300));
    t.gets(syn().mss(1000).ack(1));
    assert_eq!(t.sent()[0].rare.user_timeout, advice(300));
    t.writes(10);
    assert_eq!(t.sent()[0].rare.user_timeout, None);
    t.calls(|c, env| c.set_user_timeout(env, Some(seconds(400))));
    t.writes(2000);
    let options: Vec<_> = t.sent().iter().map(|s| s.rare.user_timeout).collect();
    assert_eq!(options, [None, None], "no room beside a full segment");
    t.writes(10);
    assert_eq!(t.sent()[0].rare.user_timeout, advice(400));
}

#[test]
fn the_peers_user_timeout_is_adopted_within_limits() {
    // RFC 5482 §3.1: USER_TIMEOUT = min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT))
    for (advertised, in_force) in [(1, 120), (119, 120), (300, 300), (32_000, 3600)] {
        let mut t = Script::established();
        t.calls(|c, env| c.set_user_timeout_option(env, true)).sent();
        t.gets(data(1..2).user_timeout(advertised)).writes(10);
        t.after_ms(in_force * SECOND - 1).is(Phase::Established).after_ms(1).is(Phase::Closed);
    }
}

#[test]
fn the_peers_user_timeout_is_ignored_if_set_by_the_program_or_disabled() {
    // RFC 5482 §3: CHANGEABLE is false once an application has set its user timeout.
    let mut t = Script::established();
    t.calls(|c, env| c.set_user_timeout_option(env, true))
        .calls(|c, env| c.set_user_timeout(env, Some(seconds(7))))
        .sent();
    t.gets(data(1..2).user_timeout(300)).writes(10);
    t.after_ms(7 * SECOND).is(Phase::Closed);
    let mut t = Script::established();
    t.gets(data(1..2).user_timeout(300)).writes(10);
    t.after_ms(120 * SECOND).is(Phase::Closed);
}

#[test]
fn a_user_timeout_is_encoded_in_seconds_or_else_in_minutes() {
    // RFC 5482 §3.3
    assert_eq!(UserTimeout::from_span(seconds(300)).to_wire(), 300);
    assert_eq!(UserTimeout::from_span(seconds(32_767)).to_wire(), 0x7fff);
    assert_eq!(UserTimeout::from_span(seconds(32_768)).to_wire(), 0x8000 | 547);
    assert_eq!(UserTimeout::from_span(Duration::from_millis(1)).to_wire(), 1);
    assert_eq!(UserTimeout::from_wire(0x8000 | 2).map(UserTimeout::span), Some(seconds(120)));
    assert_eq!(UserTimeout::from_wire(0x8000), None, "zero is reserved");
}

#[test]
fn a_close_within_its_deadline_is_orderly() {
    let mut t = Script::established().write(10);
    t.closes_within_ms(3000).sends([text(1..11).fin()]);
    t.gets(ack(12)).gets(fin(1).ack(12)).is(Phase::TimeWait).sends([bare(2)]);
    t.after_ms(10_000).is(Phase::TimeWait).quiet();
}

#[test]
fn a_close_past_its_deadline_resets() {
    let mut t = Script::established().write(10);
    t.closes_within_ms(150).sends([text(1..11).fin()]);
    t.after_ms(149).is(Phase::FinWait1).after_ms(1).is(Phase::Closed);
    t.sends([text(12..12).flags(Flags::RST)]);
    assert_eq!(t.c.close_reason(), Some(CloseReason::TimedOut));
    let mut t = Script::established();
    t.closes_within_ms(150).sends([text(1..1).fin()]);
    t.gets(ack(2)).is(Phase::FinWait2).after_ms(150).is(Phase::Closed);
    t.sends([text(2..2).flags(Flags::RST)]);
}

#[test]
fn an_abort_before_our_fin_is_sent_resets() {
    // Until our FIN is sent, the state is not yet LAST-ACK (RFC 9293 §3.10.5).
    let mut t = Script::established();
    t.gets(ack(1).window(0)).gets(fin(1)).sends([bare(2)]);
    t.writes(10);
    t.closes().is(Phase::LastAck).aborts().sends([text(1..1).flags(Flags::RST)]);
    let mut t = Script::established();
    t.gets(fin(1)).closes().is(Phase::LastAck).sends([text(1..1).fin()]);
    t.aborts().is(Phase::Closed).quiet();
}

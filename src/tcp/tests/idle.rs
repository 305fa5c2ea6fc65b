//! Keep-alive (RFC 9293 §3.8.4).

use super::{Script, ack, bare, data, text};
use crate::tcp::{CloseReason, Flags, KeepAlive, Phase};
use crate::time::Duration;

fn kept_alive() -> Script {
    Script::established_with(|s| {
        s.keep_alive = Some(KeepAlive {
            idle: Duration::from_secs(10),
            interval: Duration::from_secs(2),
            probes: 3,
        });
    })
}

#[test]
fn keep_alive_is_off_by_default() {
    // MUST-25
    let mut t = Script::established();
    assert_eq!(t.deadline_ms(), None);
    t.after_ms(1 << 40).is(Phase::Established).quiet();
}

#[test]
fn an_idle_connection_is_probed_with_a_known_sequence_number() {
    let mut t = kept_alive();
    t.after_ms(9_999).quiet();
    t.after_ms(1).sends([bare(1).at(0)]);
}

#[test]
fn an_answered_probe_restarts_the_idle_time() {
    let mut t = kept_alive();
    t.after_ms(10_000).sends([bare(1).at(0)]);
    t.after_ms(100).gets(ack(1));
    t.after_ms(9_900).quiet();
    t.after_ms(100).sends([bare(1).at(0)]);
}

#[test]
fn traffic_postpones_the_probe() {
    let mut t = kept_alive();
    for i in 0..5 {
        t.after_ms(9_000).gets(data(1 + i..2 + i));
        t.after_ms(50).sends([bare(2 + i)]);
    }
    t.after_ms(9_949).quiet();
    t.after_ms(1).sends([bare(6).at(0)]);
}

#[test]
fn a_peer_that_answers_no_probe_is_aborted() {
    let mut t = kept_alive();
    t.after_ms(10_000 + 2 * 2000).sends([bare(1), bare(1), bare(1)]);
    t.after_ms(1999).is(Phase::Established);
    t.after_ms(1).is(Phase::Closed).sends([text(1..1).flags(Flags::RST)]);
    assert_eq!(t.c.close_reason(), Some(CloseReason::KeepAlive));
}

#[test]
fn no_probe_is_sent_while_data_is_outstanding() {
    // MUST-26
    let mut t = kept_alive().write(10);
    t.sends([1..11]);
    t.after_ms(30_000);
    assert!(t.sent().iter().all(|s| s.len > 0));
}

#[test]
fn a_probe_of_the_peer_is_answered() {
    let mut t = Script::established();
    let _ = t.receives(ack(1).seq(0));
    t.sends([bare(1).at(1)]);
}

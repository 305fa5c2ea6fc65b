//! Timestamps and window scaling on every segment: RFC 7323, clause by clause, where the state is
//! irrelevant.

use super::script::plain;
use super::{Script, ack, bare, data, fin, rst, syn};
use crate::tcp::{Disposition, KeepAlive, Phase, Settings};
use crate::time::Duration;

fn stamped() -> Script {
    Script::established_with(|s| s.timestamps = true) // the peer's SYN has TSval 100
}

#[test]
fn once_negotiated_every_segment_has_timestamps_including_resets() {
    // §3.2: "the TSopt MUST be sent in every non-<RST> segment for the duration of the connection,
    // and SHOULD be sent in an <RST> segment."
    let mut t = stamped().write(3000);
    t.c.set_keep_alive(
        &crate::tcp::Env {
            now: t.now,
            settings: &t.settings,
            pool: &mut t.pool,
            challenge_acks: &mut t.challenge_acks,
        },
        Some(KeepAlive {
            idle: Duration::from_secs(1),
            interval: Duration::from_secs(1),
            probes: 9,
        }),
    );
    let mut sent = t.sent();
    t.gets(ack(3001).stamp(101, 0)).gets(data(1..11).stamp(101, 0)).after_ms(50);
    sent.extend(t.sent());
    t.refuses(rst(15), Disposition::ChallengedReset);
    t.after_ms(2_000);
    sent.extend(t.sent());
    t.closes();
    sent.extend(t.sent());
    t.aborts();
    sent.extend(t.sent());
    assert!(sent.len() >= 8, "{sent:?}");
    assert!(sent.iter().all(|sent| sent.options.timestamps.is_some()), "{sent:?}");
    assert!(sent.last().is_some_and(|last| last.flags.rst()));
}

#[test]
fn a_segment_without_ack_echoes_zero() {
    // §3.2: "If the ACK bit is not set in the outgoing TCP header, the sender of that segment
    // SHOULD set the TSecr field to zero."
    let mut t = Script::open(Settings { timestamps: true, ..plain() });
    assert_eq!(t.sends_syn().options.timestamps.map(|ts| ts.echo), Some(0));
}

#[test]
fn timestamps_that_were_not_negotiated_are_ignored() {
    // §3.2: "the TSopt MUST be ignored and the packet processed normally."
    let mut t = Script::established();
    t.gets(data(1..11).stamp(5, 0)).gets(data(11..21).stamp(1, 0)).sends([bare(21)]);
    let mut t = Script::established();
    t.gets(data(1..11).stamp(5, 0)).after_ms(50);
    assert_eq!(t.sent()[0].options.timestamps, None);
}

#[test]
fn a_missing_timestamp_does_not_abort_the_connection() {
    // §3.2: "A TCP MUST NOT abort a TCP connection because any segment lacks an expected TSopt."
    let mut t = stamped();
    for segment in [data(1..11), fin(1), ack(1), syn()] {
        t.refuses(segment, Disposition::NoTimestamp).is(Phase::Established).quiet();
    }
}

#[test]
fn only_an_ack_that_advances_snd_una_measures_the_rtt() {
    // §4.1: "only if the segment advances the left edge of the send window"
    let mut t = stamped().write(988);
    let value = t.sent()[0].options.timestamps.map_or(0, |ts| ts.value);
    let srtt = t.c.info(&t.settings).srtt;
    t.after_ms(150).gets(ack(1).stamp(101, value));
    t.gets(data(1..11).ack(1).stamp(102, value));
    assert_eq!(t.c.info(&t.settings).srtt, srtt);
    t.gets(ack(989).stamp(103, value));
    assert!(t.c.info(&t.settings).srtt > srtt);
}

#[test]
fn a_reset_neither_needs_nor_updates_timestamps() {
    // §5.2
    let mut t = stamped();
    t.refuses(rst(5).stamp(300, 0), Disposition::ChallengedReset);
    assert_eq!(t.c.rcv.ts_recent, 100);
    t.gets(rst(1).stamp(5, 0)).is(Phase::Closed);
}

#[test]
fn data_within_an_offered_window_stays_acceptable() {
    // §2.4: "The receiver MUST honor, as in window, any segment that would have been in window for
    // any <ACK> sent by the receiver", though the scale rounds a later window down.
    let settings = Settings { window_scaling: true, receive_buffer: 1 << 20, ..plain() };
    let mut t = Script::open(settings);
    t.sends_syn();
    t.gets(syn().ack(1).mss(1000).shift(0));
    let offered = u32::from(t.sent()[0].window) << t.c.rcv.shift.get();
    t.c.rcv.quick = 9;
    t.gets(data(1..2));
    let window = u32::from(t.sent()[0].window) << t.c.rcv.shift.get();
    assert!(1 + window < offered, "rounding has moved the edge to the left");
    t.gets(data(offered..offered + 1)); // the last byte of the first window
}

#[test]
fn new_data_stays_within_the_latest_window() {
    // §2.4: "The initial transmission MUST be within the window announced by the most recent
    // <ACK>."
    let settings = Settings { window_scaling: true, ..plain() };
    let mut t = Script::open(settings).shake_hands(syn().mss(1000).shift(3));
    t.gets(ack(1).window(300));
    t.writes(10_000);
    let end = t.sent().iter().map(|sent| sent.seq + sent.len).max();
    assert_eq!(end, Some(1 + 2000), "2400 bytes: two segments, and the third would be silly");
}

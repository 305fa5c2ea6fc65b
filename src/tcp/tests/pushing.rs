//! PSH, unpushed data, and settings for probes and bursts.

use super::script::plain;
use super::{Script, ack, bare, syn};
use crate::tcp::{Loss, Settings};

/// Returns the end sequence numbers of the segments with PSH.
fn pushed(t: &mut Script) -> Vec<u32> {
    t.sent().iter().filter(|s| s.flags.psh()).map(|s| s.seq + s.len).collect()
}

fn more_follows(t: &mut Script, on: bool) {
    t.calls(|c, _| c.set_more_follows(on));
}

/// Returns a connection with SACK on a path of `rtt_ms`.
fn selective_with(rtt_ms: u64, change: impl FnOnce(&mut Settings)) -> Script {
    let mut settings = plain();
    change(&mut settings);
    let mut t = Script::open(settings);
    t.sends_syn();
    t.after_ms(rtt_ms).gets(syn().ack(1).mss(1000).permits_sack());
    t.sent();
    t.events();
    t.c.rcv.quick = 0;
    t
}

#[test]
fn unpushed_data_waits_for_more_and_is_sent_with_it() {
    // RFC 9293 §3.9.1.2: "When an application issues a series of SEND calls without setting the
    // PUSH flag, the TCP implementation MAY aggregate the data internally without sending it
    // (MAY-16)."
    let mut t = Script::established();
    more_follows(&mut t, true);
    t.writes(100);
    t.writes(200);
    t.quiet();
    more_follows(&mut t, false);
    t.writes(5);
    let sent = t.sent();
    assert_eq!((sent.len(), sent[0].len, sent[0].flags.psh()), (1, 305, true));
}

#[test]
fn an_ack_releases_unpushed_data_without_psh() {
    let mut t = Script::established();
    more_follows(&mut t, true);
    t.writes(1100);
    t.sends([1..1001]);
    t.gets(ack(1001));
    let sent = t.sent();
    assert_eq!((sent.len(), sent[0].len, sent[0].flags.psh()), (1, 100, false));
    t.writes(10);
    t.quiet().gets(ack(1101));
    let sent = t.sent();
    assert_eq!((sent.len(), sent[0].len, sent[0].flags.psh()), (1, 10, false));
}

#[test]
fn no_delay_releases_unpushed_data() {
    let mut t = Script::established();
    more_follows(&mut t, true);
    t.writes(100);
    t.quiet().calls(|c, env| c.set_nagle(env, false));
    let sent = t.sent();
    assert_eq!((sent.len(), sent[0].flags.psh()), (1, false));
}

#[test]
fn the_override_timeout_pushes_unpushed_data() {
    // RFC 9293 §3.8.6.2.1 (4), and MUST-60: data is not held back indefinitely.
    let mut t = Script::established();
    more_follows(&mut t, true);
    t.writes(100);
    t.quiet().after_ms(200);
    assert_eq!(pushed(&mut t), [101]);
}

#[test]
fn a_retransmission_keeps_its_psh() {
    let mut t = selective_with(100, |s| s.push_bursts = Some(2)).write(4000);
    assert_eq!(pushed(&mut t), [2001, 4001]);
    t = t.write(3000);
    assert_eq!(pushed(&mut t), [6001, 7001]);
    // 1..1001 was sent alone, of a burst of two: no PSH. 3001..4001 was the last of a write.
    t.after_ms(100).gets(ack(1).sack(1001..3001).sack(4001..7001));
    let sent = t.sent();
    let retransmitted: Vec<_> = sent.iter().map(|s| (s.seq, s.flags.psh())).collect();
    assert_eq!(retransmitted, [(1, false), (3001, true)]);
}

#[test]
fn the_last_lost_data_is_merged_only_if_that_saves_a_segment() {
    // RFC 9293 §3.7.4 leaves repacketizing to the sender.
    for (last, retransmitted) in [(499, 1000), (500, 500)] {
        let mut t = selective_with(100, |s| s.tail_probes = false).write(1000 + last);
        t.calls(|c, env| c.set_nagle(env, false));
        assert_eq!(t.sent().len(), 2);
        t.after_ms(100).gets(ack(1001));
        t.after_ms(100).gets(ack(1001).window(u16::MAX));
        t.after_ms(10_000);
        assert_eq!(t.sent()[0].seq, 1001);
        t.writes(4000);
        t.after_ms(30_000);
        let retransmission = t.sent().into_iter().find(|s| s.seq == 1001).expect("retransmitted");
        assert_eq!(retransmission.len, retransmitted, "{last}");
    }
}

#[test]
fn two_retransmissions_sent_together_end_with_psh() {
    let mut t = selective_with(100, |s| s.push_bursts = Some(2)).write(8000);
    t.sent();
    t.after_ms(100).gets(ack(2001).sack(4001..8001));
    let sent = t.sent();
    let retransmitted: Vec<_> = sent.iter().map(|s| (s.seq, s.flags.psh())).collect();
    assert_eq!(retransmitted, [(2001, false), (3001, true)]);
}

#[test]
fn a_closed_window_can_be_probed_without_data() {
    let mut t = Script::established_with(|s| s.probe_without_data = true).write(1000);
    t.sends([1..1001]);
    t.gets(ack(1001).window(0));
    t.writes(1000);
    // RFC 9293 §3.8.6.1: "The transmitting host SHOULD send the first zero-window probe when a zero
    // window has existed for the retransmission timeout period (SHLD-29) [...], and SHOULD increase
    // exponentially the interval between successive probes (SHLD-30)."
    for wait in [200, 400, 800] {
        t.after_ms(wait - 1).quiet();
        t.after_ms(1).sends([bare(1).at(1000)]);
        t.gets(ack(1001).window(0)).quiet();
    }
    t.gets(ack(1001).window(60_000)).sends([1001..2001]);
}

#[test]
fn a_reopened_window_is_used_as_after_an_idle_period() {
    // RFC 5681 §4.1: "before beginning transmission if the TCP has not sent data in an interval
    // exceeding the retransmission timeout": not while the peer takes nothing.
    let mut t = Script::established_with(|s| s.probe_without_data = true).write(10_000);
    t.sent();
    t.gets(ack(10_001).window(0));
    let grown = t.c.info(&t.settings).cwnd;
    assert!(grown > 10_000);
    t.writes(30_000);
    t.after_ms(200).sends([bare(1).at(10_000)]);
    assert_eq!(t.c.info(&t.settings).cwnd, grown);
    t.after_ms(350).gets(ack(10_001).window(60_000));
    assert_eq!(t.sent().len(), 10, "IW");
}

#[test]
fn the_probe_of_an_unacknowledged_tail_can_be_its_last_segment() {
    // RFC 8985 §7.3: "retransmits the highest sequence segment sent so far".
    let mut t = selective_with(100, |s| s.probe_with_first = false).write(3000);
    t.sent();
    t.after_ms(200).sends([2001..3001]);
}

#[test]
fn a_partly_sacked_segment_does_not_prevent_the_probe() {
    // RFC 8985 §7.2: "segments have been SACKed": none has completely.
    let mut t = selective_with(100, |s| s.probe_with_first = false).write(4000);
    t.sent();
    t.after_ms(100).gets(ack(1).sack(4000..4001)).quiet();
    t.after_ms(100);
    assert_eq!(t.sent().len(), 1);
}

#[test]
fn slow_start_growth_per_ack_can_be_unlimited() {
    // RFC 9406 §4.3: L is infinity for a sender whose bursts are paced.
    let mut t = selective_with(100, |s| s.slow_start_burst = None).write(40_000);
    assert_eq!(t.sent().len(), 10);
    t.after_ms(100).gets(ack(10_001));
    assert_eq!(t.sent().len(), 20);
}

#[test]
fn the_last_acks_of_a_full_flight_still_open_the_window() {
    // RFC 7661 §4.3
    let mut t = selective_with(100, |_| ()).write(9_000);
    t.sent();
    t.after_ms(100);
    for acked in [2001, 4001, 6001, 8001] {
        t.gets(ack(acked));
    }
    assert_eq!(t.c.info(&t.settings).cwnd, 18_000);
    t.gets(ack(9001));
    assert_eq!(t.c.info(&t.settings).cwnd, 18_000, "at most twice what was used");
}

#[test]
fn bytes_reported_by_sack_open_the_window_once() {
    // RFC 3042: the segments sent by limited transmit already used this growth.
    let mut t = selective_with(100, |_| ()).write(15_000);
    assert_eq!(t.sent().len(), 10);
    t.after_ms(100).gets(ack(1).sack(1001..2001));
    t.gets(ack(1).sack(1001..3001));
    assert_eq!(t.sent().len(), 2);
    t.gets(ack(3001));
    assert_eq!(t.c.info(&t.settings).cwnd, 11_000);
}

#[test]
fn info_reports_the_recovery_state_and_the_segments_in_flight() {
    let state = |t: &Script| {
        let info = t.c.info(&t.settings);
        (info.loss, info.segments)
    };
    let mut t = selective_with(100, |_| ()).write(6000);
    t.sent();
    assert_eq!(state(&t), (Loss::None, [6, 0, 0, 0]));
    t.after_ms(100).gets(ack(1).sack(1001..2001));
    assert_eq!(state(&t), (Loss::Disorder, [6, 1, 0, 0]));
    t.gets(ack(1).sack(1001..3001)).gets(ack(1).sack(1001..4001));
    t.sends([1..1001]);
    assert_eq!(state(&t), (Loss::Recovery, [6, 3, 1, 1]));
    t.gets(ack(6001));
    assert_eq!(state(&t), (Loss::None, [0, 0, 0, 0]));
}

#[test]
fn info_reports_the_reordering_extent() {
    // RFC 8985 §6.2 step 3
    let mut t = selective_with(100, |_| ()).write(10_000);
    t.sent();
    t.after_ms(100).gets(ack(1).sack(9001..10_001));
    t.gets(ack(1).sack(3001..4001).sack(9001..10_001));
    let seen = |t: &Script| {
        let info = t.c.info(&t.settings);
        (info.reordering, info.reorderings)
    };
    assert_eq!(seen(&t), (7, 1));
    t.gets(ack(10_001));
    assert_eq!(seen(&t), (10, 2));
}

#[test]
fn the_probe_retransmits_a_partly_sacked_segment_completely() {
    // RFC 8985 §7.3: "the highest sequence segment sent so far", not only its missing part.
    let mut t = selective_with(100, |s| s.probe_with_first = false).write(4000);
    t.sent();
    t.after_ms(100).gets(ack(1).sack(4000..4001)).quiet();
    t.after_ms(100).sends([3001..4001]);
}

#[test]
fn a_single_fin_is_probed_before_its_timeout() {
    // RFC 8985 §7.2, §7.3: PTO is 2 * SRTT plus the peer's maximum ACK delay. A probe uses no
    // window and does not back off: "MUST re-arm the RTO timer".
    let mut t = selective_with(100, |_| ());
    let before = t.c.info(&t.settings).cwnd;
    t.closes();
    assert_eq!(t.sent().len(), 1);
    for (wait, timeouts) in [(205, 0), (300, 1), (600, 2)] {
        assert_eq!(t.deadline_ms(), Some(wait));
        t.after_ms(wait - 1).quiet();
        t.after_ms(1);
        let sent = t.sent();
        assert_eq!((sent.len(), sent[0].flags.fin(), sent[0].len), (1, true, 0));
        assert_eq!(t.c.timeouts(), timeouts);
        if timeouts == 0 {
            assert_eq!(t.c.info(&t.settings).cwnd, before);
        }
    }
    t.gets(ack(2)).quiet();
    assert_eq!(t.deadline_ms(), None);
}

#[test]
fn tail_loss_probes_can_be_turned_off() {
    let mut t = selective_with(100, |s| s.tail_probes = false).write(2000);
    t.sent();
    t.after_ms(299).quiet();
    t.after_ms(2).sends([1..1001]);
    assert_eq!(t.c.timeouts(), 1);
}

#[test]
fn the_window_can_be_kept_through_an_idle_period() {
    // RFC 7661 §4.4: the window of an idle program is kept until it has been unvalidated for long.
    let mut t = selective_with(100, |s| s.idle_restart = false).write(10_000);
    t.sent();
    t.after_ms(100).gets(ack(10_001));
    let grown = t.c.info(&t.settings).cwnd;
    t.after_ms(2000);
    t = t.write(30_000);
    assert_eq!(t.sent().len() as u32, grown / 1000);
}

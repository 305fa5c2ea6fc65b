//! Undo of spurious loss detection: Eifel (RFC 3522), its response (RFC 4015), D-SACK (RFC 3708),
//! F-RTO (RFC 5682).

use super::flights::{
    RTT_MS, after_the_first, cwnd, flight, in_flight, opened, segments, ssthresh, stamped,
    stamped_flight, stamped_segments, timeouts, undone,
};
use super::{Script, ack, syn};
use crate::tcp::{EcnPolicy, Flags, Settings};

/// Returns the acknowledgment number after `n` stamped segments.
fn end(n: u32) -> u32 {
    stamped_segments(1, n).end
}

/// Returns the TSval of the next segment sent.
fn tsval(t: &mut Script) -> u32 {
    t.sent()[0].options.timestamps.map_or(0, |stamps| stamps.value)
}

/// Returns segments in flight whose first one was fast retransmitted, the TSval of the flight, and
/// the TSval of the retransmission.
fn repaired(n: u32) -> (Script, u32, u32) {
    let (mut t, first) = stamped_flight(n);
    t.after_ms(RTT_MS).gets(ack(1).sack(stamped_segments(2, 4)).stamp(2, first));
    let copy = tsval(&mut t);
    (t, first, copy)
}

/// The same by a timeout, after a probe.
fn timed_out(n: u32) -> (Script, u32, u32) {
    let (mut t, first) = stamped_flight(n);
    t.after_ms(2 * RTT_MS);
    assert_eq!(t.sent().len(), 1, "the probe");
    t.after_ms(300);
    assert_eq!(timeouts(&t), 1);
    let copy = tsval(&mut t);
    (t, first, copy)
}

#[test]
fn an_echo_of_the_original_undoes_fast_recovery() {
    // RFC 3522 §3.2 (4): "If the value of the Timestamp Echo Reply field [...] is smaller than the
    // value of RetransmitTS, then proceed to step (5)".
    let (mut t, first, copy) = repaired(6);
    assert!(copy > first && cwnd(&t) < 9880);
    t.after_ms(10).gets(ack(end(4)).stamp(3, first));
    assert_eq!(undone(&t), 1);
    assert_eq!((cwnd(&t), ssthresh(&t)), (9880, u32::MAX));
}

#[test]
fn an_echo_of_the_retransmission_proves_nothing() {
    // RFC 3522 §3.2 (4): "else proceed to step (DONE)". And only the first acceptable ACK counts,
    // (3).
    let (mut t, first, copy) = repaired(6);
    t.after_ms(RTT_MS).gets(ack(end(4)).stamp(3, copy));
    t.gets(ack(end(5)).stamp(4, first));
    assert_eq!(undone(&t), 0);
}

#[test]
fn an_echo_with_a_dsack_proves_nothing() {
    // RFC 3522 §3.2 (5): "If the acceptable ACK carries a DSACK option [RFC2883], then proceed to
    // step (DONE)".
    let (mut t, first, _) = timed_out(5);
    t.gets(ack(end(3)).sack(stamped_segments(1, 1)).stamp(3, first));
    assert_eq!(undone(&t), 0);
}

#[test]
fn a_timeout_that_lost_acks_can_explain_is_not_undone() {
    // RFC 3522 §3.2 (5): "if during the lifetime of the TCP connection the TCP sender has
    // previously received an ACK with a DSACK option, or the acceptable ACK does not acknowledge
    // all outstanding data, then proceed to step (6)".
    let (mut t, first, _) = timed_out(5);
    t.gets(ack(end(5)).stamp(3, first));
    assert_eq!(undone(&t), 0, "§3.3: a timeout due to the loss of all ACKs");
    let (mut t, first) = stamped_flight(5);
    t.gets(ack(end(1)).sack(stamped_segments(1, 1)).stamp(2, first));
    t.after_ms(3 * RTT_MS + 300);
    assert_eq!(timeouts(&t), 1);
    t.gets(ack(end(5)).stamp(3, first));
    assert_eq!(undone(&t), 1);
    let (mut t, first, _) = timed_out(5);
    t.gets(ack(end(4)).stamp(3, first));
    assert_eq!(undone(&t), 1);
    let (mut t, first, _) = repaired(4);
    t.after_ms(10).gets(ack(end(4)).stamp(3, first));
    assert_eq!(undone(&t), 1, "§3.3: fast recovery has received ACKs");
}

#[test]
fn a_second_timeout_does_not_restart_the_detection() {
    // RFC 3522 §3.2: "it must not be reinitiated upon subsequent timeouts for the same segment";
    // (2): "must ensure that RetransmitTS does not get overwritten".
    let (mut t, _, copy) = timed_out(5);
    t.after_ms(600);
    assert_eq!(timeouts(&t), 2);
    t.gets(ack(end(1)).stamp(3, copy));
    assert_eq!(undone(&t), 0, "the copy of the first timeout arrived");
    let (mut t, first, _) = timed_out(5);
    t.after_ms(600).gets(ack(end(1)).stamp(3, first));
    assert_eq!(undone(&t), 1);
}

#[test]
fn an_ecn_echo_prevents_undo() {
    // RFC 4015 §3.4: "the TCP sender MUST refrain from reversing congestion control state."
    let mut t = Script::open(Settings { ecn: EcnPolicy::On, ..stamped() });
    let offered = t.sends_syn().options.timestamps.map_or(0, |stamps| stamps.value);
    let answer = syn().ack(1).mss(1000).permits_sack().stamp(1, offered).flag(Flags::ECE);
    t.after_ms(RTT_MS).gets(answer);
    t.sent();
    t.c.rcv.quick = 0;
    let mut t = t.write(6 * 988);
    let first = tsval(&mut t);
    t.after_ms(RTT_MS).gets(ack(1).sack(stamped_segments(2, 4)).stamp(2, first));
    t.sent();
    let reduced = ssthresh(&t);
    t.after_ms(10).gets(ack(end(4)).stamp(3, first).flag(Flags::ECE));
    assert_eq!((undone(&t), ssthresh(&t)), (0, reduced));
    assert_eq!(flight(&t).board.waiting(), 0);
}

#[test]
fn after_a_spurious_timeout_sending_resumes_at_snd_max_without_a_burst() {
    // RFC 4015 §3.1 (8): "SND.NXT <- SND.MAX"; (9): "cwnd <- FlightSize + min (bytes_acked, IW),
    // ssthresh <- pipe_prev"; (0): "pipe_prev <- max (FlightSize, ssthresh)".
    let (mut t, first, _) = timed_out(8);
    t.writes(5 * 988);
    assert_eq!((cwnd(&t), t.sent().len()), (988, 0));
    t.gets(ack(end(2)).stamp(3, first));
    assert_eq!(undone(&t), 1);
    assert_eq!(cwnd(&t), (6 + 2) * 988);
    assert_eq!(ssthresh(&t), u32::MAX);
    t.sends([stamped_segments(9, 9), stamped_segments(10, 10)]);
}

#[test]
fn after_a_spurious_timeout_the_rto_is_longer() {
    // RFC 4015 §3.1 (11): "Upon the first RTT-SAMPLE taken from new data; [...] SRTT <- max
    // (SRTT_prev, RTT-SAMPLE), RTTVAR <- max (RTTVAR_prev, RTT-SAMPLE/2)".
    let (mut t, first, _) = timed_out(8);
    t.writes(988);
    t.gets(ack(end(2)).stamp(3, first)).sends([stamped_segments(9, 9)]);
    t.after_ms(250).gets(ack(end(9)).stamp(4, first));
    let info = t.c.info(&t.settings);
    assert_eq!((info.srtt.as_millis(), info.rttvar.as_millis()), (250, 125));
}

#[test]
fn undo_needs_a_dsack_for_every_retransmission() {
    // RFC 3708 §3 (B.1): "all retransmissions in the previous window of data were spurious"; (B.2):
    // "We can make no conclusions".
    let mut t = in_flight(6);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(3, 6)));
    let mut count = t.sent().len();
    t.after_ms(RTT_MS).gets(ack(1001).sack(segments(3, 6)));
    count += t.sent().len();
    assert_eq!(count, 2);
    t.after_ms(RTT_MS).gets(ack(6001).sack(segments(1, 1)));
    assert_eq!(undone(&t), 0, "the loss of 2 is not refuted");
    t.gets(ack(6001).sack(segments(2, 2)));
    assert_eq!(undone(&t), 1);
    assert_eq!(ssthresh(&t), u32::MAX);
}

#[test]
fn a_lost_window_of_acks_prevents_undo() {
    // RFC 3708 §3 (A.1): "If the SACK scoreboard is empty [...] and the left edge of the incoming
    // DSACK is equal to SND.UNA, processing of this DSACK MUST be terminated and the congestion
    // control state MUST NOT be reverted during the current window of data."
    let mut t = in_flight(4);
    t.after_ms(2 * RTT_MS).sends([segments(1, 1)]);
    t.after_ms(300).sends([segments(1, 1)]);
    t.gets(ack(4001).sack(segments(1, 1)));
    assert_eq!(undone(&t), 0);
    assert!(ssthresh(&t) < u32::MAX);
}

#[test]
fn a_segment_retransmitted_twice_is_no_evidence() {
    // RFC 3708 §3 (A.3): "If the segment was retransmitted more than once processing of this DSACK
    // MUST be terminated and the congestion control state MUST NOT be reverted".
    let mut t = after_the_first(4);
    t.after_ms(RTT_MS).gets(ack(1001).sack(segments(3, 5))).sends([segments(2, 2)]);
    t.after_ms(1000);
    assert!(timeouts(&t) > 0);
    assert_eq!(t.sent()[0].seq, 1001);
    t.gets(ack(5001)).gets(ack(5001).sack(segments(2, 2))).gets(ack(5001).sack(segments(2, 2)));
    assert_eq!(undone(&t), 0);
}

#[test]
fn after_a_network_duplicate_dsacks_prove_nothing() {
    // RFC 3708 §3 (A.4): "If the segment was not retransmitted the incoming DSACK indicates that
    // the network duplicated the segment [...]. In addition, the algorithm specified in this
    // document MUST NOT be used for the remainder of the connection".
    let mut t = in_flight(6);
    t.after_ms(RTT_MS).gets(ack(1001)).gets(ack(1001).sack(segments(1, 1)));
    t.gets(ack(1001).sack(segments(3, 5)));
    t.after_ms(RTT_MS / 2).sends([segments(2, 2)]);
    t.gets(ack(5001)).gets(ack(5001).sack(segments(2, 2)));
    assert_eq!(undone(&t), 0);
    assert_eq!(flight(&t).counts.duplicates, 2);
}

#[test]
fn data_acknowledged_before_its_retransmission_was_not_lost() {
    // RFC 3522 §3.2: an ACK of originals; it cannot be of any retransmission.
    let mut t = in_flight(8);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 4)));
    assert_eq!(ssthresh(&t), 4000);
    t.gets(ack(4001)).quiet();
    assert_eq!((undone(&t), cwnd(&t), ssthresh(&t)), (1, 10_000, u32::MAX));
}

/// Returns ten segments in flight after an acknowledged one, with new data waiting, after a probe
/// and a timeout.
fn delayed() -> Script {
    let mut t = after_the_first(10).write(8000);
    t.quiet();
    t.after_ms(2 * RTT_MS).sends([segments(12, 12)]);
    t.after_ms(260);
    assert_eq!(timeouts(&t), 1);
    t.sends([segments(2, 2)]);
    t
}

#[test]
fn f_rto_sends_new_data_after_the_retransmission_is_acknowledged() {
    // RFC 5682 §3.1 step 1, step 2 b): "transmit up to two new (previously unsent) segments and
    // proceed to step 3"; step 3 b): "declare the timeout spurious", "because the segment
    // acknowledged with this ACK was transmitted before the timeout".
    let mut t = delayed();
    t.gets(ack(2001)).sends([segments(13, 13), segments(14, 14)]);
    assert_eq!(undone(&t), 0);
    t.gets(ack(3001));
    assert_eq!(undone(&t), 1);
    assert!(t.sent().iter().all(|s| s.seq > 14_000), "§4: only new data");
}

#[test]
fn f_rto_accepts_a_sacked_original() {
    // RFC 5682 §3.1 step 3 b): "(either with cumulative acknowledgment or using SACK information)".
    let mut t = delayed();
    t.gets(ack(2001)).sends([segments(13, 13), segments(14, 14)]);
    t.gets(ack(2001).sack(segments(4, 4)));
    assert_eq!(undone(&t), 1);
    // "those segments are retransmitted similarly to the conventional SACK recovery algorithm"
    t.gets(ack(2001).sack(segments(4, 6)));
    t.after_ms(RTT_MS);
    assert!(t.sent().iter().any(|s| s.seq == 2001));
}

#[test]
fn f_rto_ignores_duplicate_acks_before_the_first_ack() {
    // RFC 5682 §3.1 step 2: "If duplicate ACKs arrive before the cumulative acknowledgment for
    // retransmitted data, adjust the scoreboard according to the incoming SACK information. Stay in
    // step 2".
    let mut t = delayed();
    t.gets(ack(1001).sack(segments(5, 5)));
    assert_eq!(undone(&t), 0);
    assert_eq!(flight(&t).board.selected(), 1000);
    t.sent();
    t.gets(ack(2001));
    assert!(t.sent().iter().all(|s| s.seq > 12_000), "step 2 b)");
}

#[test]
fn f_rto_ends_when_everything_is_acknowledged() {
    // RFC 5682 §3.1 step 2 a): "revert to the conventional RTO recovery and set the congestion
    // window to no more than 2 * MSS".
    let mut t = delayed();
    t.gets(ack(12_001));
    assert_eq!(undone(&t), 0);
    assert!(cwnd(&t) <= 2000, "{}", cwnd(&t));
}

#[test]
fn f_rto_without_new_data_reverts_to_conventional_recovery() {
    // RFC 5682 §3.1 step 2 b): "If the TCP sender is not able to transmit any previously unsent
    // data [...] continue with slow-start retransmissions".
    let mut t = after_the_first(6);
    t.after_ms(2 * RTT_MS).sends([segments(7, 7)]);
    t.after_ms(260).sends([segments(2, 2)]);
    t.gets(ack(2001)).sends([segments(3, 3), segments(4, 4)]);
    t.gets(ack(3001));
    assert_eq!(undone(&t), 0);
}

#[test]
fn f_rto_ends_when_only_new_data_is_acknowledged() {
    // RFC 5682 §3.1 step 3 a): "If the Cumulative Acknowledgment field or the SACK information
    // covers more than RecoveryPoint, set the congestion window to no more than 3 * MSS and proceed
    // with the conventional RTO recovery"; "also when the acknowledgment is a duplicate ACK and it
    // does not acknowledge any new, previously unacknowledged data".
    let mut t = delayed();
    t.gets(ack(2001)).sends([segments(13, 13), segments(14, 14)]);
    t.gets(ack(2001).sack(segments(13, 13)));
    assert_eq!(undone(&t), 0);
    assert!(cwnd(&t) <= 3000);
    assert_eq!(t.sent().first().map(|s| s.seq), Some(2001), "lost data is retransmitted");
    let mut t = delayed();
    t.gets(ack(2001)).sends([segments(13, 13), segments(14, 14)]);
    t.gets(ack(2001)).quiet();
    t.gets(ack(2001).sack(segments(13, 13)));
    assert_eq!(t.sent().first().map(|s| s.seq), Some(2001));
    t.gets(ack(3001));
    assert_eq!(undone(&t), 0, "it is over");
}

#[test]
fn f_rto_is_not_used_in_recovery() {
    // RFC 5682 §3.1: "This algorithm SHOULD NOT be applied if the TCP sender is already in loss
    // recovery when a retransmission timeout occurs."
    let mut t = after_the_first(4);
    t.after_ms(RTT_MS).gets(ack(1001).sack(segments(3, 5))).sends([segments(2, 2)]);
    t.c.recovery.controller.set_cwnd(1000);
    t.writes(5000);
    t.after_ms(1000);
    assert!(timeouts(&t) > 0);
    t.sent();
    t.gets(ack(2001).sack(segments(3, 5)));
    t.gets(ack(5001));
    assert_eq!(undone(&t), 0);
}

#[test]
fn a_second_timeout_restarts_f_rto() {
    // RFC 5682 §3.1: "If the retransmission timer expires again during the execution of the
    // SACK-enhanced F-RTO algorithm, the TCP sender MUST re-start the algorithm processing from
    // step 1."
    let mut t = delayed();
    t.after_ms(520).sends([segments(2, 2)]);
    assert_eq!(timeouts(&t), 2);
    t.gets(ack(2001)).sends([segments(13, 13), segments(14, 14)]);
    t.gets(ack(3001));
    assert_eq!(undone(&t), 1);
}

#[test]
fn undo_keeps_the_rtt_samples_and_the_window() {
    // RFC 4015 §3.5: a delay is no idle time.
    let mut t = opened(stamped()).write(6 * 988);
    let first = tsval(&mut t);
    t.after_ms(2 * RTT_MS + 300);
    t.sent();
    t.gets(ack(end(2)).stamp(3, first));
    assert_eq!((undone(&t), cwnd(&t)), (1, (4 + 2) * 988));
    t.gets(ack(end(6)).stamp(4, first));
    assert!(cwnd(&t) >= 6 * 988);
}

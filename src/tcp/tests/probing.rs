//! Tail loss probes, RFC 8985 §7 clause by clause, and probes of a FIN. They replace the last
//! resorts of RFC 6675 §4, NextSeg () (3) and (4).

use super::flights::{
    RTT_MS, after_the_first, cwnd, flight, in_flight, opened, segments, ssthresh, timeouts,
};
use super::script::plain;
use super::{Script, ack, bare, data, syn, text};
use crate::tcp::Phase;
use crate::time::Duration;

#[test]
fn the_probe_is_due_two_round_trips_after_new_data() {
    // RFC 8985 §7.2: "The sender SHOULD start or restart a loss probe PTO timer after transmitting
    // new data"; "the default PTO interval is 2*SRTT".
    let mut t = after_the_first(3);
    t.after_ms(RTT_MS / 2);
    t.writes(1000);
    t.sends([segments(5, 5)]);
    t.after_ms(2 * RTT_MS - 1).quiet();
    t.after_ms(1).sends([segments(5, 5)]);
    assert_eq!(timeouts(&t), 0);
}

#[test]
fn an_advancing_ack_postpones_the_probe_by_at_most_one_round_trip() {
    // RFC 8985 §7.2: "or upon receiving an ACK that cumulatively acknowledges new data"; counted
    // from the last transmission, as RFC 7765 §4 counts the timeout.
    let mut t = after_the_first(3);
    t.after_ms(RTT_MS).gets(ack(3001));
    assert_eq!(t.deadline_ms(), Some(RTT_MS), "two round trips after its transmission");
    let mut t = after_the_first(4);
    t.after_ms(RTT_MS + 40).gets(ack(2001));
    let srtt = t.c.info(&t.settings).srtt.as_millis();
    assert_eq!(t.deadline_ms(), Some(srtt), "one more after a late ACK");
}

#[test]
fn a_duplicate_ack_does_not_postpone_the_probe() {
    // RFC 8985 §7.2: only new data and ACKs that advance restart it.
    let mut t = after_the_first(3);
    t.after_ms(RTT_MS).gets(ack(1001)).gets(ack(1001));
    assert_eq!(t.deadline_ms(), Some(RTT_MS));
}

#[test]
fn no_probe_is_scheduled_with_sacked_segments_or_in_recovery() {
    // RFC 8985 §7.2: "unless it is already in fast recovery, RTO recovery, or segments have been
    // SACKed (i.e., RACK.segs_sacked is not zero)".
    let mut t = after_the_first(4);
    t.after_ms(RTT_MS).gets(ack(1001).sack(segments(3, 3)));
    t.after_ms(RTT_MS / 4).sends([segments(2, 2)]);
    assert_eq!(flight(&t).counts.probes, 0);
    t.after_ms(RTT_MS).gets(ack(3001));
    // In recovery until the whole flight is acknowledged; the rest is lost by time, not by a probe.
    t.after_ms(5 * RTT_MS);
    assert_eq!(flight(&t).counts.probes, 0);
}

#[test]
fn without_an_rtt_sample_only_the_timeout_runs() {
    // RFC 8985 §7.3: a probe needs "an RTT measurement since [...] the start of the connection". A
    // probe would come after one second (§7.2), when the timeout expires too (RFC 6298 (2.1)).
    let mut t = Script::open(plain());
    t.sends_syn();
    t.after_ms(1000);
    t.sends_syn();
    t.after_ms(10).gets(syn().ack(1).mss(1000).permits_sack());
    t.sent();
    t.c.rcv.quick = 0;
    let mut t = t.write(3000);
    t.sends([segments(1, 1)]);
    assert_eq!(t.deadline_ms(), Some(3000), "RFC 6298 (5.7)");
    t.after_ms(3000).sends([segments(1, 1)]);
    assert_eq!(timeouts(&t), 1);
}

#[test]
fn the_probe_of_a_single_segment_waits_for_a_delayed_ack() {
    // RFC 8985 §7.2: "when the FlightSize is one segment, the sender MAY inflate the PTO by
    // TLP.max_ack_delay to accommodate a potentially delayed acknowledgment".
    let mut t = in_flight(1);
    t.after_ms(2 * RTT_MS + 49).quiet();
    t.after_ms(1).sends([segments(1, 1)]);
    assert_eq!(timeouts(&t), 0);
}

#[test]
fn the_probe_adapts_to_the_peers_ack_delay() {
    // RFC 8985 §7.2: "The actual value of TLP.max_ack_delay is implementation specific."
    let mut t = in_flight(1);
    t.after_ms(2 * RTT_MS + 50).sends([segments(1, 1)]);
    t.after_ms(10).gets(ack(1001)).gets(ack(1001).sack(segments(1, 1)));
    for _ in 0..20 {
        let end = t.writes(1000);
        assert_eq!((end, t.sent().len()), (1000, 1));
        t.after_ms(RTT_MS);
        let next = t.c.snd.nxt.distance_from(t.iss());
        t.gets(ack(next));
    }
    t.writes(1000);
    t.sent();
    let pto = t.deadline_ms().expect("something is in flight");
    let info = t.c.info(&t.settings);
    let most = (info.srtt.times(2).as_millis() + 200).min(info.rto.as_millis());
    assert!(pto >= most - 1, "{pto} of {most}");
}

#[test]
fn the_probe_is_sent_at_the_rto_if_that_is_sooner() {
    // RFC 8985 §7.2: "if the time at which an RTO would fire [...] is sooner than the computed time
    // for the PTO, then the sender schedules a TLP to be sent at that RTO time."
    let mut t = in_flight(1);
    for n in 1..40u32 {
        t.after_ms(RTT_MS).gets(ack(1 + n * 1000));
        t.writes(1000);
        assert_eq!(t.sent().len(), 1);
    }
    let rto = t.c.info(&t.settings).rto.as_millis();
    assert!(rto < 2 * RTT_MS + 50, "{rto}");
    t.after_ms(rto).sends([segments(40, 40)]);
    assert_eq!(timeouts(&t), 0, "a probe, and no timeout");
}

#[test]
fn one_probe_at_a_time_and_one_per_rtt_sample() {
    // RFC 8985 §7.3: "there is no other previous loss probe still in flight"; "the sender has
    // obtained an RTT measurement since the last loss probe transmission".
    let mut t = after_the_first(3);
    t.after_ms(2 * RTT_MS).sends([segments(4, 4)]);
    t.writes(1000);
    t.sends([segments(5, 5)]);
    t.after_ms(249).quiet();
    t.after_ms(1).sends([segments(2, 2)]);
    assert_eq!((timeouts(&t), flight(&t).counts.probes), (1, 1), "the timeout comes next");
    // The ACK of a segment sent twice measures nothing.
    let mut t = in_flight(1);
    t.after_ms(2 * RTT_MS + 50).sends([segments(1, 1)]);
    t.after_ms(RTT_MS).gets(ack(1001));
    t.writes(1000);
    t.sends([segments(2, 2)]);
    t.after_ms(2 * RTT_MS + 50);
    assert_eq!(t.sent().len(), usize::from(timeouts(&t)));
}

#[test]
fn the_probe_carries_new_data_if_the_window_allows() {
    // RFC 8985 §7.3: "transmit a previously unsent data segment, if one exists and the receive
    // window allows"; "FlightSize could be one packet greater than the congestion window
    // temporarily".
    let mut t = after_the_first(10).write(3000);
    t.quiet();
    t.after_ms(2 * RTT_MS).sends([segments(12, 12)]);
    assert!(t.c.in_flight() > cwnd(&t));
    // The peer's window is full: the highest segment is retransmitted.
    let mut t = in_flight(1);
    t.after_ms(RTT_MS).gets(ack(1001).window(3000));
    t.writes(5000);
    t.sends([segments(2, 2), segments(3, 3), segments(4, 4)]);
    t.after_ms(2 * RTT_MS).sends([segments(4, 4)]);
}

#[test]
fn the_ack_of_a_probe_reveals_other_losses() {
    // RFC 8985 §7.4.1: "RACK-TLP uses this ACK [...] to detect if any segments sent prior to the
    // probe were dropped"; §7.3: the probe follows "the RACK transmission procedures".
    let mut t = after_the_first(5);
    t.after_ms(2 * RTT_MS).sends([segments(6, 6)]);
    // Of 2 to 6 only the probe arrives: earlier segments are lost once the window has passed.
    t.after_ms(RTT_MS).gets(ack(1001).sack(segments(6, 6)));
    t.after_ms(RTT_MS / 4);
    let retransmitted: Vec<_> = t.sent().iter().map(|s| s.seq).collect();
    assert_eq!(retransmitted.first(), Some(&1001));
    assert_eq!(timeouts(&t), 0);
    t.after_ms(RTT_MS).gets(ack(6001)).quiet();
}

#[test]
fn a_probe_acknowledged_as_duplicate_was_no_loss() {
    // RFC 8985 §7.4.2, case 1: "an ACK that covers TLP.end_seq with a DSACK option"; case 2: "a
    // DupAck without any SACK option".
    for dsack in [true, false] {
        let mut t = after_the_first(3);
        let before = cwnd(&t);
        t.after_ms(2 * RTT_MS).sends([segments(4, 4)]);
        t.gets(ack(4001));
        t.writes(2000);
        t.sends([segments(5, 5), segments(6, 6)]);
        t.gets(if dsack { ack(4001).sack(segments(4, 4)) } else { ack(4001) });
        t.after_ms(RTT_MS).gets(ack(6001));
        assert_eq!(ssthresh(&t), u32::MAX, "DSACK {dsack}");
        assert!(cwnd(&t) >= before);
    }
}

#[test]
fn a_loss_repaired_by_the_probe_reduces_the_window() {
    // RFC 8985 §7.4.2: "If the TLP sender does not receive such an indication, then it MUST assume
    // that the original data segment, the TLP retransmission, or a corresponding ACK was lost for
    // congestion control purposes"; "SHOULD invoke a congestion control response equivalent to a
    // fast recovery".
    let mut t = after_the_first(8);
    t.after_ms(RTT_MS).gets(ack(8001));
    t.after_ms(RTT_MS).sends([segments(9, 9)]);
    t.after_ms(RTT_MS).gets(ack(9001));
    assert_eq!(ssthresh(&t), u32::MAX, "decided by an ACK past TLP.end_seq");
    t.writes(2000);
    t.sends([segments(10, 10), segments(11, 11)]);
    t.after_ms(RTT_MS).gets(ack(11_001));
    assert!(ssthresh(&t) < u32::MAX);
    assert!(cwnd(&t) < 10_000);
}

#[test]
fn recovery_cancels_the_probe() {
    // RFC 8985 §7.1: "Reset TLP.is_retrans and TLP.end_seq when initiating [...] fast recovery".
    let mut t = after_the_first(6);
    t.after_ms(2 * RTT_MS).sends([segments(7, 7)]);
    t.gets(ack(1001).sack(segments(3, 5))).sends([segments(2, 2)]);
    let reduced = ssthresh(&t);
    t.after_ms(RTT_MS).gets(ack(7001));
    t.writes(2000);
    t.sent();
    t.after_ms(RTT_MS).gets(ack(9001));
    assert_eq!(ssthresh(&t), reduced, "answered once");
}

#[test]
fn reordering_probe_and_retransmission_timers_are_mutually_exclusive() {
    // RFC 8985 §8: "mutually exclusive"; "When arming a RACK reordering timer or TLP PTO timer, the
    // sender SHOULD cancel any other pending timers."
    let mut t = after_the_first(4);
    assert_eq!(t.deadline_ms(), Some(2 * RTT_MS), "the probe");
    t.after_ms(RTT_MS).gets(ack(1001).sack(segments(3, 3)));
    assert_eq!(t.deadline_ms(), Some(RTT_MS / 4), "the reordering window");
    t.after_ms(RTT_MS / 4).sends([segments(2, 2)]);
    let rto = t.deadline_ms().expect("armed");
    assert!(rto > RTT_MS, "the timeout");
    t.gets(ack(1001).sack(segments(3, 3)).window(0));
    assert!(t.deadline_ms() > Some(RTT_MS), "the probe of the window");
}

/// Returns a connection with everything acknowledged that the program closes.
fn closing() -> Script {
    let mut t = in_flight(2);
    t.after_ms(RTT_MS).gets(ack(2001));
    t.closes();
    t.sends([bare(1).at(2001).fin()]);
    t
}

#[test]
fn a_lost_fin_is_probed_before_the_timeout() {
    // RFC 8985 §7.2, §7.3: a FIN is a segment like another, and its ACK waits for no second one.
    let mut t = closing();
    t.after_ms(2 * RTT_MS + 4).quiet();
    t.after_ms(1).sends([bare(1).at(2001).fin()]);
    assert_eq!(timeouts(&t), 0);
    t.after_ms(RTT_MS).gets(ack(2002)).is(Phase::FinWait2);
    assert_eq!(timeouts(&t), 0);
}

#[test]
fn the_ack_delay_for_a_single_segment_can_be_fixed() {
    // RFC 8985 §7.2: "the sender MAY inflate the PTO by TLP.max_ack_delay".
    let mut t = in_flight(2);
    t.settings.tail_ack_delay = Some(Duration::from_millis(20));
    t.after_ms(RTT_MS).gets(ack(2001));
    t.closes();
    t.sends([bare(1).at(2001).fin()]);
    t.after_ms(2 * RTT_MS + 19).quiet();
    t.after_ms(1).sends([bare(1).at(2001).fin()]);
    assert_eq!(timeouts(&t), 0);
}

#[test]
fn a_fin_acknowledged_in_time_is_sent_once() {
    let mut t = closing();
    assert!(t.c.recovery.flight.is_none(), "a FIN alone needs no scoreboard");
    t.after_ms(RTT_MS).gets(ack(2002)).is(Phase::FinWait2);
    t.after_ms(10 * RTT_MS).quiet();
}

#[test]
fn after_the_probe_of_a_fin_comes_the_timeout() {
    // RFC 8985 §7.3: "the sender MUST re-arm the RTO timer, not the PTO timer".
    let mut t = closing();
    let rto = t.c.info(&t.settings).rto.as_millis();
    t.after_ms(2 * RTT_MS + 5).sends([bare(1).at(2001).fin()]);
    assert_eq!(t.deadline_ms(), Some(rto));
    t.after_ms(rto).sends([bare(1).at(2001).fin()]);
    assert_eq!(timeouts(&t), 1);
    t.after_ms(2 * rto).sends([bare(1).at(2001).fin()]);
    t.gets(ack(2002)).is(Phase::FinWait2);
}

#[test]
fn a_fin_in_last_ack_is_probed() {
    let mut t = opened(plain());
    t.gets(super::fin(1));
    t.sends([bare(2)]);
    t.closes();
    t.sends([bare(2).at(1).fin()]).is(Phase::LastAck);
    t.after_ms(2 * RTT_MS + 5).sends([bare(2).at(1).fin()]);
    assert_eq!(timeouts(&t), 0);
    t.gets(ack(2).seq(2)).is(Phase::Closed);
}

#[test]
fn data_followed_by_a_fin_is_probed_once() {
    // RFC 8985 §7.3: "the highest-sequence segment sent so far".
    let mut t = after_the_first(2).write(500);
    t.sends([2001 + 1000..3501]);
    t.closes();
    t.sends([bare(1).at(3501).fin()]);
    t.after_ms(RTT_MS).gets(ack(3501));
    t.after_ms(RTT_MS).sends([bare(1).at(3501).fin()]);
    assert_eq!(timeouts(&t), 0);
    // The last write and CLOSE in one segment, alone.
    let mut t = in_flight(1);
    t.after_ms(RTT_MS).gets(ack(1001));
    t.calls(|c, env| {
        let bytes: Vec<u8> = (1001..1501).map(super::literals::content).collect();
        assert_eq!(c.write(env, &bytes), 500);
        c.close(env);
    });
    t.sends([text(1001..1501).fin()]);
    t.after_ms(2 * RTT_MS + 5).sends([text(1001..1501).fin()]);
    assert_eq!(timeouts(&t), 0);
    t.after_ms(RTT_MS).gets(ack(1502)).is(Phase::FinWait2);
}

#[test]
fn a_fin_to_a_peer_without_sack_waits_for_the_timeout() {
    // RFC 8985 §4: "TLP requires RACK", and that "MUST use selective acknowledgment".
    let mut t = Script::established();
    t.closes();
    t.sends([bare(1).at(1).fin()]);
    let rto = t.c.info(&t.settings).rto.as_millis();
    t.after_ms(rto - 1).quiet();
    t.after_ms(1).sends([bare(1).at(1).fin()]);
    assert_eq!(timeouts(&t), 1);
}

#[test]
fn data_from_the_peer_does_not_confirm_a_probe() {
    // RFC 8985 §7.4.2, case 2: a DupAck is bare.
    let mut t = after_the_first(3);
    t.after_ms(2 * RTT_MS).sends([segments(4, 4)]);
    t.gets(ack(4001));
    t.gets(data(1..11)).gets(data(11..21));
    t.writes(1000);
    t.sent();
    t.after_ms(RTT_MS).gets(ack(5001));
    assert!(ssthresh(&t) < u32::MAX, "nothing shows that both copies arrived");
}

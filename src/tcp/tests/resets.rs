//! Resets, received and sent, in every state (RFC 9293 §3.10.5, §3.10.7).

use super::phases::script_in;
use super::{Script, ack, data, rst, text};
use crate::tcp::{CloseReason, Disposition, Events, Flags, Phase};

#[test]
fn a_reset_at_rcv_nxt_ends_every_synchronized_state_but_time_wait() {
    for phase in Phase::ALL.into_iter().filter(|p| !p.is_last() && *p != Phase::SynSent) {
        let mut t = script_in(phase);
        let seq = t.c.rcv.nxt.distance_from(t.irs);
        t.gets(rst(seq)).is(Phase::Closed).quiet();
        assert_eq!(t.events(), Events::CLOSED, "{phase:?}");
        let refused = phase == Phase::SynReceived;
        let reason = if refused { CloseReason::Refused } else { CloseReason::Reset };
        assert_eq!(t.c.close_reason(), Some(reason), "{phase:?}");
        assert!(t.c.is_over());
    }
}

#[test]
fn a_reset_does_not_cut_time_wait_short() {
    let mut t = script_in(Phase::TimeWait);
    t.gets(rst(2)).is(Phase::TimeWait).quiet();
}

#[test]
fn an_abort_resets_where_the_peer_has_the_connection() {
    for phase in Phase::ALL {
        let mut t = script_in(phase);
        let nxt = t.c.snd.nxt.distance_from(t.iss());
        t.aborts().is(Phase::Closed);
        // RFC 9293 §3.10.5.
        let resets = matches!(
            phase,
            Phase::SynReceived
                | Phase::Established
                | Phase::FinWait1
                | Phase::FinWait2
                | Phase::CloseWait
                | Phase::Closed // script_in() aborted it and consumed the reset
        ) && phase != Phase::Closed;
        if resets {
            assert!(!t.c.is_over());
            t.sends([text(nxt..nxt).flags(Flags::RST)]);
        } else {
            t.quiet();
        }
        assert!(t.c.is_over());
    }
}

#[test]
fn unread_data_is_flushed_by_a_reset() {
    let mut t = Script::established().write(100);
    t.gets(super::data(1..101)).gets(rst(101)).is(Phase::Closed);
    assert_eq!(t.reads(100), 0);
    assert_eq!(t.pool.in_use(), 0);
}

#[test]
fn data_after_close_is_reset_at_the_peers_rcv_nxt() {
    // RFC 5961 §3: "If [...] the sequence number exactly matches the next expected sequence number
    // (RCV.NXT)". The FIN was lost, so this is its number.
    for acknowledges in [false, true] {
        let mut t = Script::established_with(|s| s.acknowledge_in_resets = acknowledges);
        t.closes_both().sends([text(1..1).fin()]);
        t.refuses(super::data(1..101), Disposition::AfterClose).is(Phase::Closed);
        t.sends([text(1..1).flags(Flags::RST)]);
    }
}

#[test]
fn a_reset_after_close_uses_the_latest_ack_number_of_the_peer() {
    // RFC 5961 §3: a reset is believed "if the RST bit is set and the sequence number exactly
    // matches the next expected sequence number (RCV.NXT)". A late ACK shows an earlier one.
    let mut t = Script::established().write(100);
    t.sends([text(1..101)]).gets(ack(101)).closes_both().sends([text(101..101).fin()]);
    t.refuses(super::data(1..101).ack(51), Disposition::AfterClose).is(Phase::Closed);
    t.sends([text(101..101).flags(Flags::RST)]);
}

#[test]
fn a_closed_connection_sends_nothing() {
    let mut t = script_in(Phase::Closed);
    t.refuses(super::data(1..101), Disposition::AfterClose).quiet();
    assert_eq!(t.deadline_ms(), None);
}

#[test]
fn a_reset_can_carry_timestamps_and_the_ack() {
    // RFC 7323 §3.2: TSopt "SHOULD be sent in an <RST> segment".
    for acknowledges in [false, true] {
        let mut t = Script::established_with(|s| {
            (s.timestamps, s.acknowledge_in_resets) = (true, acknowledges);
        });
        t.gets(data(1..11).stamp(101, 0)).aborts();
        let sent = t.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!(sent[0].options.timestamps.map(|ts| ts.echo), Some(101));
        assert_eq!((sent[0].flags.rst(), sent[0].flags.ack()), (true, acknowledges));
        assert!(!acknowledges || sent[0].ack == 11, "{sent:?}");
    }
}

#[test]
fn data_received_before_a_reset_can_stay_readable() {
    // RFC 9293 §3.10.7.4, second: "All segment queues should be flushed."
    for (keeps, left) in [(false, 0), (true, 10)] {
        let mut t = Script::established_with(|s| s.read_after_reset = keeps);
        t.gets(data(1..11)).after_ms(50);
        t.sent();
        t.events();
        t.gets(rst(11)).is(Phase::Closed);
        assert_eq!(t.events().contains(Events::CLOSED), !keeps);
        assert_eq!(t.reads(100), left);
        assert_eq!(t.events().contains(Events::CLOSED), keeps);
        assert_eq!((t.c.close_reason(), t.pool.in_use()), (Some(CloseReason::Reset), 0));
    }
}

//! Closing: four segments, three, simultaneous; half-close; the calls that remain possible.

use super::phases::script_in;
use super::{Script, ack, bare, data, fin, text};
use crate::tcp::{CloseReason, Disposition, Events, Flags, Phase};

#[test]
fn four_segments_close_a_connection_that_we_close_first() {
    // RFC 9293 figure 12.
    let mut t = Script::established();
    t.closes().is(Phase::FinWait1).sends([text(1..1).fin().ack(1)]);
    t.gets(ack(2)).is(Phase::FinWait2).quiet();
    t.gets(fin(1)).is(Phase::TimeWait).sends([bare(2).at(2)]);
    assert_eq!(t.events(), Events(Events::PEER_CLOSED.0 | Events::CLOSED.0));
    assert_eq!(t.c.close_reason(), Some(CloseReason::Finished));
    assert!(t.c.is_over());
    assert_eq!(t.deadline_ms(), None);
}

#[test]
fn four_segments_close_a_connection_that_the_peer_closes_first() {
    let mut t = Script::established();
    t.gets(fin(1)).is(Phase::CloseWait).sends([bare(2)]);
    assert_eq!(t.events(), Events::PEER_CLOSED);
    t.closes().is(Phase::LastAck).sends([text(1..1).fin().ack(2)]);
    t.gets(ack(2)).is(Phase::Closed).quiet();
    assert_eq!(t.events(), Events::CLOSED);
    assert_eq!(t.c.close_reason(), Some(CloseReason::Finished));
    assert!(t.c.is_over());
}

#[test]
fn a_close_in_the_same_turn_combines_our_fin_with_the_ack_of_the_peers_fin() {
    let mut t = Script::established();
    t.gets(fin(1)).closes().sends([text(1..1).fin().ack(2)]);
    t.gets(ack(2)).is(Phase::Closed);
}

#[test]
fn a_fin_that_acknowledges_ours_ends_the_exchange_with_three_segments() {
    let mut t = Script::established();
    t.closes().sends([text(1..1).fin()]);
    t.gets(fin(1).ack(2)).is(Phase::TimeWait).sends([bare(2)]);
}

#[test]
fn both_ends_may_close_at_once() {
    // RFC 9293 figure 13.
    let mut t = Script::established();
    t.closes().sends([text(1..1).fin()]);
    t.gets(fin(1)).is(Phase::Closing).sends([bare(2)]);
    t.gets(ack(2)).is(Phase::TimeWait).quiet();
    assert_eq!(t.c.close_reason(), Some(CloseReason::Finished));
}

#[test]
fn the_last_data_segment_carries_the_fin() {
    let mut t = Script::established().write(1500);
    t.closes().sends([text(1..1001), text(1001..1501).fin()]);
    t.gets(ack(1502)).is(Phase::FinWait2);
}

#[test]
fn writes_fail_after_close() {
    let mut t = Script::established();
    t.closes();
    assert_eq!(t.writes(10), 0);
    assert_eq!(t.c.write_room(&t.settings), 0);
}

#[test]
fn data_flows_in_after_a_half_close() {
    let mut t = Script::established();
    t.closes().sends([text(1..1).fin()]);
    t.gets(ack(2)).is(Phase::FinWait2);
    for i in 0..10 {
        t.gets(data(1 + i * 500..501 + i * 500));
        assert_eq!(t.reads(1000), 500);
    }
    t.sends([bare(5001)]);
    t.after_ms(3_600_000).is(Phase::FinWait2).quiet();
    t.gets(data(5001..5101).fin()).is(Phase::TimeWait).sends([bare(5102)]);
    assert_eq!(t.reads(1000), 100);
}

#[test]
fn data_flows_out_after_the_peer_half_closed() {
    let mut t = Script::established();
    t.gets(fin(1)).sends([bare(2)]);
    t.writes(2500);
    t.sends([1..1001, 1001..2001, 2001..2501]);
    t.gets(ack(2501).seq(2)).closes().sends([text(2501..2501).fin()]);
    t.gets(ack(2502).seq(2)).is(Phase::Closed);
}

#[test]
fn data_queued_before_a_simultaneous_close_is_still_sent() {
    let mut t = Script::established().write(3000);
    t.gets(ack(1).window(1000)).closes().sends([1..1001]);
    t.gets(fin(1).ack(1)).is(Phase::Closing).sends([bare(2)]);
    t.gets(ack(1001).seq(2).window(60_000));
    t.sends([text(1001..2001), text(2001..3001).fin()]);
    t.gets(ack(3002).seq(2)).is(Phase::TimeWait);
}

#[test]
fn a_lost_fin_is_retransmitted() {
    let mut t = Script::established();
    t.closes().sends([text(1..1).fin()]);
    t.after_ms(200).sends([text(1..1).fin()]);
    t.gets(ack(2)).is(Phase::FinWait2);
    assert_eq!(t.deadline_ms(), None);
}

#[test]
fn a_retransmitted_fin_is_acknowledged_again() {
    let mut t = script_in(Phase::TimeWait);
    t.refuses(fin(1), Disposition::OutOfWindow).is(Phase::TimeWait).sends([bare(2)]);
    let mut t = script_in(Phase::CloseWait);
    t.refuses(fin(1), Disposition::OutOfWindow).sends([bare(2)]);
}

#[test]
fn a_fin_before_its_data_waits_for_the_data() {
    let mut t = Script::established();
    t.gets(data(101..201).fin()).is(Phase::Established).sends([bare(1)]);
    t.gets(data(1..101)).is(Phase::CloseWait).sends([bare(202)]);
    assert_eq!(t.reads(1000), 200);
    let mut t = Script::established();
    t.gets(fin(101)).is(Phase::Established).sends([bare(1)]);
    t.gets(data(1..101)).is(Phase::CloseWait).sends([bare(102)]);
}

#[test]
fn end_of_stream_is_reported_after_the_last_data_is_read() {
    let mut t = script_in(Phase::FinWait2);
    t.gets(data(1..101).fin()).is(Phase::TimeWait).sends([bare(102)]);
    assert!(!t.events().contains(Events::CLOSED));
    assert!(!t.c.is_over());
    assert_eq!(t.reads(60), 60);
    assert!(t.events().is_empty());
    assert_eq!(t.reads(60), 40);
    assert_eq!(t.events(), Events::CLOSED);
    assert!(t.c.is_over());
}

#[test]
fn a_close_of_both_directions_with_data_unread_resets() {
    // RFC 9293 §3.6.1, RFC 2525 §2.17.
    let mut t = Script::established();
    t.gets(data(1..101));
    t.closes_both().is(Phase::Closed).sends([text(1..1).flags(Flags::RST)]);
    assert_eq!(t.c.close_reason(), Some(CloseReason::Aborted));
}

#[test]
fn data_after_a_close_of_both_directions_resets() {
    let mut t = Script::established();
    t.closes_both().sends([text(1..1).fin()]);
    t.gets(ack(2)).is(Phase::FinWait2);
    t.refuses(data(1..101), Disposition::AfterClose).is(Phase::Closed);
    t.sends([text(2..2).flags(Flags::RST)]);
}

#[test]
fn an_orphan_in_fin_wait_2_times_out() {
    let mut t = Script::established();
    t.closes_both().sends([text(1..1).fin()]);
    t.gets(ack(2)).is(Phase::FinWait2).after_ms(59_999).is(Phase::FinWait2);
    t.after_ms(1).is(Phase::Closed).quiet();
    assert_eq!(t.c.close_reason(), Some(CloseReason::TimedOut));
    let mut t = script_in(Phase::FinWait2);
    t.closes_both().after_ms(60_000).is(Phase::Closed);
}

#[test]
fn a_fin_needs_no_room_in_the_window() {
    let mut t = Script::established();
    t.gets(ack(1).window(0)).closes().sends([text(1..1).fin()]);
    let mut t = Script::established_with(|s| s.receive_buffer = 1000);
    t.gets(data(1..1001)).after_ms(40).sends([bare(1001).window(0)]);
    t.gets(fin(1001)).is(Phase::CloseWait).sends([bare(1002)]);
}

#[test]
fn a_closed_connection_holds_no_memory() {
    let mut t = Script::established().write(5000);
    t.gets(data(1001..2001));
    t.aborts();
    assert_eq!(t.pool.in_use(), 0);
}

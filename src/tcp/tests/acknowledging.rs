//! When ACKs are sent (RFC 9293 §3.8.6.3, RFC 5681 §4.2).

use super::{Script, ack, bare, data, fin, text};
use crate::tcp::Events;

#[test]
fn an_ack_is_delayed_by_at_most_ack_delay() {
    let mut t = Script::established();
    t.gets(data(1..101)).quiet();
    t.after_ms(39).quiet();
    t.after_ms(1).sends([bare(101)]);
    assert_eq!(t.deadline_ms(), None);
}

#[test]
fn every_second_segment_is_acknowledged_at_once() {
    let mut t = Script::established();
    t.gets(data(1..1001)).quiet();
    t.gets(data(1001..2001)).sends([bare(2001)]);
    t.gets(data(2001..3001)).quiet();
    t.gets(data(3001..4001)).sends([bare(4001)]);
}

#[test]
fn a_burst_is_answered_by_one_ack() {
    let mut t = Script::established();
    for i in 0..20 {
        t.gets(data(1 + i * 1000..1001 + i * 1000));
    }
    t.sends([bare(20_001)]);
}

#[test]
fn a_delayed_ack_is_piggybacked_on_data() {
    let mut t = Script::established();
    t.gets(data(1..101));
    t.writes(50);
    t.sends([text(1..51).ack(101)]);
    t.after_ms(100).quiet();
}

#[test]
fn a_new_connection_acknowledges_at_once() {
    let mut t = Script::established();
    t.c.rcv.quick = 2;
    t.gets(data(1..101)).sends([bare(101)]);
    t.gets(data(101..201)).sends([bare(201)]);
    t.gets(data(201..301)).quiet();
}

#[test]
fn each_out_of_order_segment_triggers_a_duplicate_ack() {
    let mut t = Script::established();
    t.gets(data(101..201)).gets(data(201..301)).gets(data(401..501));
    t.sends([bare(1), bare(1), bare(1)]);
}

#[test]
fn a_filled_hole_is_acknowledged_at_once_and_only_once() {
    let mut t = Script::established();
    t.gets(data(101..201)).gets(data(201..301)).gets(data(1..101)).sends([bare(301)]);
    t.gets(data(401..501)).sends([bare(301)]);
    t.gets(data(301..401)).sends([bare(501)]);
}

#[test]
fn a_partly_filled_hole_is_acknowledged_at_once() {
    let mut t = Script::established();
    t.gets(data(201..301)).sends([bare(1)]);
    t.gets(data(1..101)).sends([bare(101)]);
}

#[test]
fn a_fin_is_acknowledged_at_once() {
    let mut t = Script::established();
    t.gets(fin(1)).sends([bare(2)]);
}

#[test]
fn an_ack_is_never_acknowledged() {
    let mut t = Script::established().write(100);
    t.sends([1..101]);
    t.gets(ack(101)).quiet();
    t.after_ms(1000).quiet();
}

#[test]
fn readable_is_reported_for_in_order_data_only() {
    let mut t = Script::established();
    t.gets(data(101..201));
    assert!(t.events().is_empty());
    t.gets(data(1..101));
    assert_eq!(t.events(), Events::READABLE);
    assert_eq!(t.reads(1000), 200);
}

//! Urgent data: RFC 9293 §3.8.5, RFC 6093.

use super::{Script, ack, data, fin};
use crate::tcp::{Events, Flags, Phase};

#[test]
fn urgent_data_stays_in_the_stream() {
    // RFC 6093 §6
    let mut t = Script::established();
    t.gets(data(1..11).urgent(5)).gets(data(11..21).urgent(60_000));
    assert_eq!(t.reads(100), 20);
}

#[test]
fn urgent_data_and_every_advance_of_the_pointer_are_reported() {
    // RFC 9293 §3.8.5, MUST-30, MUST-32
    let mut t = Script::established();
    t.gets(data(1..11).urgent(5));
    assert_eq!(t.events(), Events(Events::URGENT.0 | Events::READABLE.0));
    t.gets(data(11..21));
    assert_eq!(t.events(), Events::READABLE, "no pointer");
    t.gets(data(21..31).urgent(2));
    assert!(t.events().contains(Events::URGENT), "it advances");
    t.gets(data(31..41).urgent(0));
    assert!(
        t.events().contains(Events::URGENT),
        "the pointer is the start of this segment: earlier data is urgent"
    );
    let _ = t.receives(data(31..41).urgent(0));
    assert!(!t.events().contains(Events::URGENT), "no advance");
}

#[test]
fn the_remaining_urgent_data_is_known() {
    // RFC 9293 §3.8.5, MUST-33, MUST-62: the pointer is past the last urgent byte.
    let mut t = Script::established();
    t.gets(data(1..11).urgent(30));
    assert_eq!(t.c.urgent(), 30);
    assert_eq!(t.reads(4), 4);
    assert_eq!(t.c.urgent(), 26);
    t.gets(data(11..41));
    assert_eq!(t.reads(26), 26);
    assert_eq!(t.c.urgent(), 0);
    assert_eq!(t.reads(100), 10);
    assert_eq!(t.c.urgent(), 0);
}

#[test]
fn an_urgent_pointer_is_processed_in_a_closed_window() {
    // RFC 9293 §3.4, MUST-66
    let mut t = Script::established_with(|s| s.receive_buffer = 1000);
    t.gets(data(1..1001)).after_ms(40).sent();
    t.events();
    t.gets(ack(1).urgent(50));
    assert_eq!((t.events(), t.c.urgent()), (Events::URGENT, 1050));
}

#[test]
fn after_the_fin_the_urgent_bit_is_ignored() {
    // RFC 9293 §3.10.7.4, sixth
    let mut t = Script::established();
    t.gets(fin(1)).is(Phase::CloseWait);
    t.events();
    t.gets(ack(1).urgent(50));
    assert_eq!((t.events(), t.c.urgent()), (Events::default(), 0));
}

/// Returns the end and the urgent pointer of every segment sent.
fn pointers(t: &mut Script) -> Vec<(u32, Option<u16>)> {
    let urgent = |flags: Flags, pointer| flags.urg().then_some(pointer);
    t.sent().iter().map(|sent| (sent.seq, urgent(sent.flags, sent.urgent))).collect()
}

#[test]
fn every_segment_before_the_end_of_the_urgent_data_points_to_it() {
    // RFC 9293 §3.8.5, MUST-62: to the byte after it. §3.10.2: SND.UP <- SND.NXT.
    let mut t = Script::established().write(1500);
    assert_eq!(t.writes_urgent(500), 500);
    assert_eq!(t.writes(1000), 1000);
    assert_eq!(pointers(&mut t), [(1, Some(2000)), (1001, Some(1000)), (2001, None)]);
    t.gets(ack(2001)).gets(data(1..11)).after_ms(40);
    assert_eq!(pointers(&mut t), [(3001, None)], "acknowledged: nothing is urgent");
}

#[test]
fn urgent_data_of_any_length_is_announced() {
    // RFC 9293 §3.8.5, MUST-31: further away than the field can express
    let mut t = Script::established_with(|s| s.send_buffer = 200_000);
    assert_eq!(t.writes_urgent(100_000), 100_000);
    assert_eq!(pointers(&mut t)[0], (1, Some(u16::MAX)));
}

#[test]
fn an_acknowledged_urgent_pointer_stays_behind_when_sequence_numbers_wrap() {
    let mut t = Script::open_at(super::script::plain(), u32::MAX - 5, u32::MAX - 5)
        .shake_hands(super::syn().mss(1000));
    t.writes_urgent(10);
    assert_eq!(pointers(&mut t), [(1, Some(10))]);
    t.gets(ack(11)).gets(data(1..11).urgent(10));
    assert_eq!(t.c.urgent(), 10);
    assert_eq!((t.reads(10), t.c.urgent()), (10, 0));
    t.writes(10);
    assert_eq!(pointers(&mut t), [(11, None)]);
}

//! Sender side of SACK: RFC 2018 §5 and §8, RFC 2883 §5, RFC 6675 §4 to §6, RFC 3042; and false
//! blocks.

use core::ops::Range;

use super::ack;
use super::flights::{
    RTT_MS, after_the_first, cwnd, flight, in_flight, segments, ssthresh, timeouts,
};

#[test]
fn sacked_data_is_not_retransmitted() {
    // RFC 2018 §5: "After the SACKed bit is turned on [...], the data sender will skip that segment
    // during any later retransmission."
    let mut t = in_flight(8);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 3)).sack(segments(5, 8)));
    let mut retransmitted: Vec<_> = t.sent().iter().map(|s| s.seq).collect();
    t.after_ms(RTT_MS).gets(ack(3001).sack(segments(5, 8)));
    retransmitted.extend(t.sent().iter().map(|s| s.seq));
    assert_eq!(retransmitted, [1, 3001]);
    t.gets(ack(8001)).quiet();
}

#[test]
fn sacked_data_stays_buffered_until_acknowledged() {
    // RFC 2018 §5: "A segment will not be dequeued and its buffer freed until the left window edge
    // is advanced over it." RFC 6675 §4: "SACKed data MUST NOT be removed from the TCP's
    // retransmission buffer".
    let mut t = in_flight(4);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 4)));
    assert_eq!(t.c.info(&t.settings).send_queued, 4000);
    t.gets(ack(3001));
    assert_eq!(t.c.info(&t.settings).send_queued, 1000);
}

#[test]
fn blocks_may_split_segments() {
    // RFC 2018 §5: "the block boundaries in a SACK option that it receives may not fall on
    // boundaries of segments in the retransmission queue"; a segment is retransmitted from its
    // first missing byte on.
    let mut t = in_flight(6);
    t.after_ms(RTT_MS).gets(ack(1).sack(501..4501));
    assert_eq!(t.c.in_flight(), 500 + 1000, "half of 5, and 6; half of 1 is lost");
    t.sends([1..1001]);
}

#[test]
fn after_a_timeout_the_left_edge_is_retransmitted_even_if_sacked() {
    // RFC 2018 §5: "The data sender MUST retransmit the segment at the left edge of the window
    // after a retransmit timeout, whether or not the SACKed bit is on for that segment."
    let mut t = in_flight(5);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(1, 3)));
    t.after_ms(2000);
    assert!(timeouts(&t) > 0);
    assert_eq!(t.sent()[0].seq, 1);
    assert_eq!(flight(&t).board.selected(), 0, "the peer has reneged: its SACKs are discarded");
}

#[test]
fn data_that_the_peer_reneged_on_is_retransmitted() {
    // RFC 2018 §8: the receiver may discard SACKed data; §5: after a timeout the marks are cleared.
    let mut t = in_flight(5);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 5))).sends([segments(1, 1)]);
    // The peer now has only the first and does not report the others: it discarded them.
    t.after_ms(RTT_MS).gets(ack(1001));
    let mut got = 1001;
    for _ in 0..20 {
        t.after_ms(2000);
        for s in t.sent() {
            if s.seq == got {
                got += s.len;
            }
        }
        t.gets(ack(got));
    }
    assert_eq!(got, 5001);
    assert_eq!(t.deadline_ms(), None);
}

#[test]
fn a_timeout_keeps_the_sacks_of_an_honest_peer() {
    // RFC 6675 §5.1: "as long as robust tests for reneging are present, an implementation can
    // retain and use SACK information across a timeout event".
    let mut t = after_the_first(5);
    t.after_ms(RTT_MS).gets(ack(1001).sack(segments(3, 5))).sends([segments(2, 2)]);
    t.after_ms(1).gets(ack(1001).sack(segments(3, 6)));
    t.after_ms(500);
    assert_eq!(timeouts(&t), 1);
    assert_eq!((t.sent()[0].seq, flight(&t).board.selected()), (1001, 4000));
    t.gets(ack(6001)).quiet();
}

#[test]
fn a_dsack_is_recognized_by_the_ack_of_the_same_packet() {
    // RFC 2883 §5: "An implementation MUST NOT compare the sequence space in the SACK block to the
    // TCP state variable snd.una [...], as this may result in the wrong conclusion if ACK packets
    // are reordered."
    let mut t = in_flight(8);
    t.after_ms(RTT_MS).gets(ack(5001));
    t.gets(ack(1).sack(segments(3, 4)));
    assert_eq!(flight(&t).counts.duplicates, 0, "an old ACK");
    t.gets(ack(5001).sack(segments(3, 4)));
    assert_eq!(flight(&t).counts.duplicates, 1);
}

#[test]
fn a_dsack_above_the_ack_lies_within_the_second_block() {
    // RFC 2883 §5: "the sender next compares the sequence space in the first SACK block with the
    // sequence space in the second SACK block, if there is one."
    let mut t = in_flight(8);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(4, 4)).sack(segments(3, 5)));
    assert_eq!((flight(&t).counts.duplicates, flight(&t).board.selected()), (1, 3000));
    let mut t = in_flight(8);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(6, 6)).sack(segments(3, 4)));
    assert_eq!((flight(&t).counts.duplicates, flight(&t).board.selected()), (0, 3000));
}

#[test]
fn duplicate_acks_without_new_sacks_release_nothing() {
    // RFC 3042 §2: "the data sender MUST NOT send new segments in response to duplicate ACKs that
    // contain no new SACK information".
    let mut t = in_flight(10).write(5000);
    t.after_ms(RTT_MS);
    for _ in 0..5 {
        t.gets(ack(1)).quiet();
    }
    t.gets(ack(1).sack(segments(3, 3))).sends([segments(11, 11)]);
    for _ in 0..5 {
        t.gets(ack(1).sack(segments(3, 3))).quiet();
    }
    assert_eq!(cwnd(&t), 10_000, "RFC 3042 §2: cwnd MUST NOT be changed");
}

#[test]
fn pipe_counts_data_neither_sacked_nor_lost_and_retransmissions() {
    // RFC 6675 §4, SetPipe () (a), (b): "pipe is incremented for the retransmission of the octet".
    let mut t = in_flight(10);
    assert_eq!(t.c.in_flight(), 10_000);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(3, 3)));
    assert_eq!(t.c.in_flight(), 9000, "one selected");
    t.gets(ack(1).sack(segments(3, 5)));
    assert_eq!(t.c.in_flight(), 5000, "1 and 2 lost, 3 to 5 selected");
    let retransmitted = t.sent().len() as u32;
    assert_eq!(t.c.in_flight(), 5000 + retransmitted * 1000);
}

#[test]
fn lost_data_is_sent_in_order_and_before_new_data() {
    // RFC 6675 §4, NextSeg () (1): "the smallest unSACKed sequence number"; (2): then "previously
    // unsent data"; §5 (4.3): the first at once, whatever cwnd is.
    let mut t = in_flight(10).write(10_000);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 2)).sack(segments(4, 6)));
    let mut sent: Vec<_> = t.sent().iter().map(|s| s.seq).collect();
    assert_eq!(sent.first(), Some(&1));
    t.gets(ack(1).sack(segments(4, 10)).sack(segments(2, 2)));
    sent.extend(t.sent().iter().map(|s| s.seq));
    assert_eq!(sent[..2], [1, 2001]);
    assert!(sent[2..].iter().all(|seq| *seq > 10_000), "{sent:?}");
}

#[test]
fn recovery_ends_when_the_recovery_point_is_acknowledged() {
    // RFC 6675 §5 (4.1), (A): "An incoming cumulative ACK for a sequence number greater than
    // RecoveryPoint signals the end of loss recovery"; what is known above it "SHOULD NOT be
    // cleared".
    let mut t = in_flight(10).write(10_000);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 10)));
    t.sent();
    let reduced = ssthresh(&t);
    t.after_ms(RTT_MS).gets(ack(10_001).sack(11_001..12_001));
    assert_eq!(flight(&t).board.selected(), 1000);
    // The next loss is an episode of its own.
    t.gets(ack(10_001).sack(11_001..14_001));
    assert!(ssthresh(&t) <= reduced);
    assert_eq!(flight(&t).counts.reductions, 2);
}

#[test]
fn after_a_timeout_no_new_recovery_begins_before_its_end() {
    // RFC 6675 §5.1: "a new recovery phase [...] MUST NOT be initiated until HighACK is greater
    // than or equal to the new value of RecoveryPoint"; "Update () SHOULD continue to be used".
    let mut t = after_the_first(8);
    t.after_ms(2 * RTT_MS).sends([segments(9, 9)]);
    t.after_ms(260).sends([segments(2, 2)]);
    let reduced = ssthresh(&t);
    t.after_ms(RTT_MS).gets(ack(2001).sack(segments(4, 7)));
    t.gets(ack(2001).sack(segments(4, 8)));
    assert_eq!(flight(&t).board.selected(), 5000);
    assert_eq!((ssthresh(&t), flight(&t).counts.reductions), (reduced, 1));
    assert!(t.sent().iter().all(|s| s.seq == 2001 || s.seq > 8000), "SACKed data is not sent");
}

#[test]
fn false_blocks_are_ignored() {
    // RFC 2018 §3: a block is a range of data that was received: not beyond SND.NXT, not backwards,
    // not below SND.UNA, not empty.
    let lies: [Range<u32>; 6] = [
        4001..9001,
        Range { start: 3001, end: 2001 },
        2001..2001,
        9001..10_001,
        0..u32::MAX / 2,
        0u32.wrapping_sub(70_000)..0u32.wrapping_sub(69_000),
    ];
    for lie in lies {
        let mut t = in_flight(4);
        t.after_ms(RTT_MS).gets(ack(1).sack(lie.clone())).quiet();
        assert_eq!((t.c.in_flight(), flight(&t).board.selected()), (4000, 0), "{lie:?}");
        t.gets(ack(4001)).quiet();
        assert_eq!(t.deadline_ms(), None);
    }
}

#[test]
fn blocks_that_overlap_or_repeat_count_once() {
    let mut t = in_flight(8);
    t.after_ms(RTT_MS);
    for _ in 0..3 {
        let blocks = ack(1).sack(segments(3, 6)).sack(segments(4, 7)).sack(segments(2, 4));
        t.gets(blocks);
    }
    assert_eq!(flight(&t).board.selected(), 6000);
    assert_eq!(flight(&t).board.pipe(), 1000, "8; 1 is lost");
    // Data acknowledged by the same packet is not SACKed in addition.
    t.sent();
    t.gets(ack(5001).sack(segments(6, 7)));
    assert_eq!(flight(&t).board.selected(), 2000);
    t.gets(ack(8001)).quiet();
}

#[test]
fn contradicting_ack_and_blocks_are_harmless() {
    let mut t = in_flight(4);
    t.after_ms(RTT_MS).gets(ack(3001).sack(segments(2, 4)));
    assert_eq!(flight(&t).board.selected() + t.c.in_flight(), 1000);
    t.gets(ack(4001)).quiet();
    assert_eq!(t.deadline_ms(), None);
}

//! Reassembly: out-of-order, duplicate and overlapping data is read once and in order
//! (RFC 9293 §3.10.7.4: "segments with higher beginning sequence numbers SHOULD be held", SHLD-31).

use super::{Script, bare, data};
use crate::rng::Rng;
use crate::tcp::{BufferPool, Disposition};

#[test]
fn segments_in_any_order_are_read_in_order() {
    let mut t = Script::established();
    for part in [4, 2, 3, 0, 1] {
        t.gets(data(1 + part * 100..101 + part * 100));
    }
    assert_eq!(t.reads(1000), 500);
    assert!(t.c.holes.is_empty());
    assert_eq!(t.pool.in_use(), 0);
}

#[test]
fn overlaps_are_read_once() {
    let mut t = Script::established();
    t.gets(data(51..151)).gets(data(101..201)).gets(data(1..81)).sends([bare(201)]);
    t.gets(data(151..251));
    assert_eq!(t.reads(1000), 250);
}

#[test]
fn a_segment_that_begins_before_rcv_nxt_is_trimmed() {
    let mut t = Script::established();
    t.gets(data(1..101)).gets(data(51..151));
    assert_eq!(t.reads(1000), 150);
}

#[test]
fn a_segment_larger_than_the_window_is_trimmed_at_both_ends() {
    let mut t = Script::established_with(|s| s.receive_buffer = 100);
    t.gets(data(1..51)).gets(data(1..200)).sends([bare(101).window(0)]);
    assert_eq!(t.reads(1000), 100);
}

#[test]
fn reading_before_a_hole_keeps_the_data_behind_it() {
    let mut t = Script::established();
    t.gets(data(1..101)).gets(data(201..301));
    assert_eq!(t.reads(1000), 100);
    t.gets(data(101..201));
    assert_eq!(t.reads(1000), 200);
}

#[test]
fn too_many_holes_cost_only_time() {
    let mut t = Script::established();
    for i in 0..100 {
        t.gets(data(2 + i * 2..3 + i * 2));
    }
    t.sent();
    for _ in 0..100 {
        let next = t.c.rcv.nxt.distance_from(t.irs);
        t.gets(data(next..next + 2));
    }
    assert_eq!(t.reads(1000), 200);
}

#[test]
fn a_window_with_a_hundred_holes_is_kept() {
    // RFC 9293 §3.10.7.4: "segments with higher beginning sequence numbers SHOULD be held"
    // (SHLD-31): every other segment of a window is lost, and each is retransmitted once.
    let mut t = Script::established();
    for i in 0..100 {
        t.gets(data(301 + i * 600..601 + i * 600));
    }
    t.sent();
    for i in 0..100 {
        t.gets(data(1 + i * 600..301 + i * 600));
    }
    assert_eq!(t.reads(100_000), 60_000);
    assert!(t.c.holes.is_empty());
}

#[test]
fn without_memory_data_is_dropped_and_retransmitted_later() {
    let mut t = Script::established();
    t.pool = BufferPool::new(0);
    t.refuses(data(1..101), Disposition::NoBuffer).quiet();
    t.pool = BufferPool::new(1 << 20);
    t.gets(data(1..101));
    assert_eq!(t.reads(1000), 100);
}

#[test]
fn a_drained_connection_holds_no_memory() {
    let mut t = Script::established();
    t.gets(data(1..20_001));
    assert!(t.pool.in_use() > 0);
    t.reads(30_000);
    assert_eq!(t.pool.in_use(), 0);
}

#[test]
fn random_pieces_are_reassembled_into_the_stream() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut t = Script::established();
        let mut rounds = 0;
        while t.c.rcv.nxt.distance_from(t.irs) < 20_001 {
            let next = t.c.rcv.nxt.distance_from(t.irs);
            let start = (next + rng.below(3000) as u32).saturating_sub(500).clamp(1, 20_000);
            let end = (start + 1 + rng.below(900) as u32).min(20_001);
            let _ = t.receives(data(start..end));
            t.reads(rng.below(700) as usize);
            t.sent();
            rounds += 1;
            assert!(rounds < 10_000, "seed {seed} makes no progress");
        }
        t.reads(30_000);
        assert_eq!(t.pool.in_use(), 0, "seed {seed}");
    }
}

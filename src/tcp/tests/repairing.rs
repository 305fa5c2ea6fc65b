//! Loss recovery goals: one lost segment anywhere is repaired within two round trips without a
//! timeout, and a timeout occurs only where nothing else could reveal the loss (RFC 8985 §1, §3,
//! §7).

use super::flights::{RTT_MS, flight, in_flight, opened, segments, timeouts};
use super::script::plain;
use super::{Script, ack, bare, fin};
use crate::tcp::{CloseReason, Events, Phase};

/// Returns a flight of `n` segments, possibly more than the initial window, and its first byte.
fn flight_of(n: u32) -> (Script, u32) {
    if n <= 10 {
        return (in_flight(n), 1);
    }
    // Grow the window first.
    let mut t = in_flight(10);
    t.after_ms(RTT_MS).gets(ack(5_001)).gets(ack(10_001));
    t = t.write(n * 1000);
    assert_eq!(t.sent().len() as u32, n);
    (t, 10_001)
}

/// Returns the milliseconds until the lost segment of a flight is retransmitted.
fn repaired_after(n: u32, lost: u32, acked_each: bool) -> u64 {
    let (mut t, first) = flight_of(n);
    let at = |k: u32| first + (k - 1) * 1000;
    t.after_ms(RTT_MS);
    if lost > 1 {
        t.gets(ack(at(lost)));
    }
    let from = if acked_each { lost + 1 } else { n.max(lost + 1) };
    for got in from..=n {
        t.gets(ack(at(lost)).sack(at(lost + 1)..at(got + 1)));
    }
    let mut waited = RTT_MS;
    let mut retransmitted = t.sent();
    while retransmitted.is_empty() && waited < 10 * RTT_MS {
        waited += 1;
        retransmitted = t.after_ms(1).sent();
    }
    assert!(retransmitted.iter().any(|s| s.seq == at(lost)), "{lost} of {n}: {retransmitted:?}");
    assert_eq!(timeouts(&t), 0, "{lost} of {n}");
    t.after_ms(RTT_MS).gets(ack(at(n + 1)));
    assert_eq!(timeouts(&t), 0, "{lost} of {n}");
    waited
}

#[test]
fn a_single_lost_segment_is_retransmitted_within_two_round_trips_without_a_timeout() {
    // RFC 8985 §6.2, §7.2: a quarter of a round trip after later data is acknowledged; the last
    // segment two round trips after its transmission, a single one also after the delayed ACK time.
    for n in 1..=18u32 {
        for lost in 1..=n {
            for acked_each in [true, false] {
                let most = match (n, lost) {
                    (1, _) => 2 * RTT_MS + 50,
                    _ if lost == n => 2 * RTT_MS,
                    _ => RTT_MS + RTT_MS / 4,
                };
                let waited = repaired_after(n, lost, acked_each);
                assert!(waited <= most, "{lost} of {n}: {waited} ms");
            }
        }
    }
}

#[test]
fn several_losses_at_the_tail_are_repaired_without_a_timeout() {
    // RFC 8985 §7.4.1: the probe reveals all losses before it.
    for lost in 2..=6u32 {
        let mut t = in_flight(10);
        t.after_ms(RTT_MS).gets(ack(segments(10 - lost + 1, 10).start));
        let una = segments(10 - lost + 1, 10).start;
        t.after_ms(RTT_MS).sends([segments(10, 10)]);
        t.after_ms(RTT_MS).gets(ack(una).sack(segments(10, 10)));
        t.after_ms(RTT_MS / 4);
        // Each round trip retransmits what the window allows.
        for _ in 0..lost {
            let Some(end) = t.sent().iter().map(|s| s.seq + s.len).max() else { break };
            let end = if end == segments(10, 10).start { 10_001 } else { end };
            t.after_ms(RTT_MS).gets(ack(end).sack(segments(10, 10)));
        }
        assert_eq!((timeouts(&t), t.c.in_flight()), (0, 0), "{lost} lost");
        assert_eq!(t.c.snd.una, t.c.snd.nxt);
    }
}

#[test]
fn a_lost_retransmission_is_repeated_when_later_data_arrives() {
    // RFC 8985 §3.1: "it can detect lost retransmissions as well".
    let mut t = in_flight(10).write(10_000);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 10)));
    let sent = t.sent();
    assert_eq!(sent[0].seq, 1);
    let newest = sent.last().map_or(0, |s| s.seq + s.len);
    assert!(newest > 10_001, "new data follows it: {sent:?}");
    t.after_ms(RTT_MS).gets(ack(1).sack(1001..newest));
    assert_eq!(t.sent()[0].seq, 1);
    assert_eq!(timeouts(&t), 0);
    t.after_ms(RTT_MS).gets(ack(newest));
    assert_eq!(timeouts(&t), 0);
}

#[test]
fn a_lost_retransmission_without_later_data_waits_for_the_timeout() {
    // RFC 8985 §7.2: no probe in fast recovery; §6.2 step 5 needs a later segment.
    let mut t = in_flight(4);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 4))).sends([segments(1, 1)]);
    // RFC 6675 §6: counted from the retransmission.
    let rto = t.c.info(&t.settings).rto.as_millis();
    t.after_ms(rto - 1).quiet();
    t.after_ms(1).sends([segments(1, 1)]);
    assert_eq!(timeouts(&t), 1);
    t.after_ms(RTT_MS).gets(ack(4001)).quiet();
}

#[test]
fn a_lost_fin_behind_data_is_repaired_without_a_timeout() {
    let mut t = in_flight(3);
    t.closes();
    t.sends([bare(1).at(3001).fin()]);
    t.after_ms(RTT_MS).gets(ack(3001));
    t.after_ms(RTT_MS).sends([bare(1).at(3001).fin()]);
    t.after_ms(RTT_MS).gets(ack(3002)).is(Phase::FinWait2);
    assert_eq!(timeouts(&t), 0);
    t.gets(fin(1));
}

#[test]
fn small_flights_need_no_three_duplicates() {
    // RFC 8985 §9.1: "small flights"; one segment past the hole is enough.
    for n in 2..=4u32 {
        let mut t = in_flight(n);
        t.after_ms(RTT_MS).gets(ack(1).sack(segments(n, n)));
        t.after_ms(RTT_MS / 4);
        assert_eq!(t.sent()[0].seq, 1, "{n} in flight");
        assert_eq!(timeouts(&t), 0);
    }
}

#[test]
fn heavy_reordering_causes_no_retransmission_once_its_extent_is_known() {
    // RFC 8985 §3.3: "as long as the reordering is within a round trip".
    let mut t = opened(plain()).write(10_000);
    let mut retransmitted = 0;
    let mut late = 0;
    for round in 0..12u32 {
        let sent = t.sent();
        let (old, new): (Vec<_>, Vec<_>) = sent.iter().partition(|s| s.seq < late || s.len == 0);
        retransmitted = if round < 6 { 0 } else { retransmitted + old.len() };
        let Some((first, last)) = new.first().zip(new.last()) else { break };
        late = last.seq + last.len;
        t.after_ms(RTT_MS);
        // The first segment of each flight arrives 20 ms after the others.
        for s in &new[1..] {
            t.gets(ack(first.seq).sack(first.seq + first.len..s.seq + s.len));
        }
        t.after_ms(20);
        retransmitted += t.sent().len() * usize::from(round >= 6);
        t.gets(ack(late));
        t.writes(new.len() as u32 * 1000);
    }
    assert_eq!((retransmitted, timeouts(&t)), (0, 0));
    assert!(flight(&t).reordering.seen);
}

#[test]
fn r1_and_r2_apply_with_later_data_sacked() {
    // RFC 9293 §3.8.3: R1 "SHOULD correspond to at least 3 retransmissions" (SHLD-10), R2 "to at
    // least 100 seconds" (SHLD-11), and there the connection is closed.
    let mut t = in_flight(4);
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 4)));
    let mut retransmitted = t.sent().iter().filter(|sent| sent.seq == 1).count();
    while !t.events().contains(Events::UNANSWERED) {
        assert!(retransmitted < 10, "R1 was not reported");
        t.after_ms(10);
        retransmitted += t.sent().iter().filter(|sent| sent.seq == 1).count();
    }
    assert!(retransmitted >= 3, "{retransmitted}");
    t.after_ms(100_000 - RTT_MS).is(Phase::Established);
    t.after_ms(100_000).is(Phase::Closed);
    assert_eq!(t.c.close_reason(), Some(CloseReason::TimedOut));
}

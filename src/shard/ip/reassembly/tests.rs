//! Reassembly without frames: fragments in every order, contradictions, and limits.

use std::net::Ipv4Addr;

use super::*;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use crate::wire::Protocol;

const NOW: Instant = Instant::from_millis(1000);
const SECRET: [u8; 16] = [3; 16];

fn key(ident: u32) -> Key {
    let [src, dst] = [1, 2].map(|n| Ipv4Addr::new(192, 0, 2, n).into());
    Key { src, dst, protocol: 6, ident }
}

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 / 8) as u8).collect()
}

fn fragment(ident: u32, datagram: &[u8], from: usize, to: usize) -> Fragment<'_> {
    Fragment {
        key: key(ident),
        offset: from as u32,
        more: to < datagram.len(),
        ecn: 0,
        head: b"headers",
        fragment_header_len: 0,
        ip_at: 0,
        next_header: (0, Protocol::TCP),
        payload_max: 65_515,
        bytes: &datagram[from..to],
    }
}

fn table() -> Reassembly {
    Reassembly::new(16, 1 << 20, SECRET)
}

fn completed(table: &mut Reassembly, outcome: Result<Outcome, Refusal>) -> Option<Vec<u8>> {
    let Ok(Outcome::Complete(index)) = outcome else { return None };
    let mut out = Vec::new();
    let headers = table.take_complete(index, &mut out);
    Some(out.split_off(headers.len))
}

/// RFC 791 §3.2, RFC 815: fragments may arrive in any order.
#[test]
fn fragments_in_any_order_are_reassembled() {
    let mut rng = Rng::new(1);
    for round in 0..200 {
        let datagram = data(1 + rng.below(65_515) as usize);
        let step = 8 * (1 + datagram.len() / 8 / 100 + rng.below(800) as usize);
        let mut cuts: Vec<usize> = (0..datagram.len()).step_by(step).collect();
        for at in (1..cuts.len()).rev() {
            cuts.swap(at, rng.below(at as u64 + 1) as usize);
        }
        let mut table = table();
        for (n, from) in cuts.iter().enumerate() {
            let to = (from + step).min(datagram.len());
            let outcome = table.on_fragment(NOW, &fragment(round, &datagram, *from, to));
            if n + 1 < cuts.len() {
                assert_eq!(outcome, Ok(Outcome::Incomplete));
            } else {
                assert!(completed(&mut table, outcome).as_deref() == Some(&datagram[..]));
            }
        }
        assert_eq!((table.len(), table.take_evicted()), (0, 0));
    }
}

/// RFC 5722 §4:
/// > if one or more its constituent fragments is determined to be an overlapping fragment, the
/// > entire datagram (and any constituent fragments, including those not yet received) MUST be
/// > silently discarded.
#[test]
fn an_overlap_refuses_the_datagram_and_its_later_fragments() {
    let datagram = data(64);
    for (from, to) in [(0, 24), (8, 40), (16, 24), (8, 64), (0, 64), (40, 48)] {
        let mut table = table();
        assert_eq!(table.on_fragment(NOW, &fragment(1, &datagram, 8, 24)), Ok(Outcome::Incomplete));
        assert_eq!(
            table.on_fragment(NOW, &fragment(1, &datagram, 40, 56)),
            Ok(Outcome::Incomplete)
        );
        assert_eq!(
            table.on_fragment(NOW, &fragment(1, &datagram, from, to)),
            Err(Refusal::Overlap)
        );
        for (from, to) in [(0, 8), (24, 40), (56, 64), (8, 24)] {
            assert_eq!(
                table.on_fragment(NOW, &fragment(1, &datagram, from, to)),
                Err(Refusal::Refused)
            );
        }
        let other = table.on_fragment(NOW, &fragment(2, &datagram, 0, 64));
        assert_eq!(
            completed(&mut table, other),
            Some(datagram.clone()),
            "another datagram is reassembled"
        );
    }
}

/// RFC 8200 §4.5: an exact duplicate may be dropped alone; one with different bytes is an overlap.
#[test]
fn an_exact_duplicate_is_dropped_alone() {
    let datagram = data(64);
    let mut table = table();
    assert_eq!(table.on_fragment(NOW, &fragment(1, &datagram, 0, 32)), Ok(Outcome::Incomplete));
    assert_eq!(table.on_fragment(NOW, &fragment(1, &datagram, 0, 32)), Err(Refusal::Duplicate));
    let last = table.on_fragment(NOW, &fragment(1, &datagram, 32, 64));
    assert_eq!(completed(&mut table, last), Some(datagram.clone()));
    let mut changed = datagram.clone();
    changed[31] ^= 1;
    assert_eq!(table.on_fragment(NOW, &fragment(2, &datagram, 0, 32)), Ok(Outcome::Incomplete));
    assert_eq!(table.on_fragment(NOW, &fragment(2, &changed, 0, 32)), Err(Refusal::Overlap));
}

/// RFC 5722 §4: data beyond the last fragment, and a second last fragment, contradict it.
#[test]
fn two_ends_are_a_contradiction() {
    let (long, short) = (data(64), data(48));
    for (first, second) in [
        (fragment(1, &short, 40, 48), fragment(1, &long, 48, 56)),
        (fragment(1, &short, 40, 48), fragment(1, &long, 56, 64)),
        (fragment(1, &long, 48, 56), fragment(1, &short, 40, 48)),
    ] {
        let mut table = table();
        assert_eq!(table.on_fragment(NOW, &first), Ok(Outcome::Incomplete));
        assert_eq!(table.on_fragment(NOW, &second), Err(Refusal::Overlap));
    }
}

/// RFC 8200 §4.5: all fragments but the last have a multiple of 8 bytes, and none ends beyond
/// 65,535.
#[test]
fn an_invalid_length_refuses_the_fragment_but_not_its_datagram() {
    let datagram = data(64);
    let mut table = table();
    assert_eq!(table.on_fragment(NOW, &fragment(1, &datagram, 0, 7)), Err(Refusal::Length));
    assert_eq!(table.on_fragment(NOW, &fragment(1, &datagram, 8, 8)), Err(Refusal::Length));
    let far = Fragment { offset: 65_512, ..fragment(1, &datagram, 0, 8) };
    assert_eq!(table.on_fragment(NOW, &far), Err(Refusal::TooLong));
    let head = [0; 200];
    let long_headers = Fragment { head: &head, ..fragment(1, &datagram, 0, 8) };
    assert_eq!(table.on_fragment(NOW, &long_headers), Err(Refusal::Headers));
    assert_eq!(table.len(), 0);
    let all = table.on_fragment(NOW, &fragment(1, &datagram, 0, 64));
    assert_eq!(completed(&mut table, all), Some(datagram.clone()));
}

/// RFC 3168 §5.3: CE of one fragment marks the datagram; a mix of Not-ECT and CE is dropped.
#[test]
fn a_congestion_mark_of_one_fragment_marks_the_datagram() {
    let datagram = data(64);
    for (first, second, expected) in
        [(2, 2, Some(2)), (2, 3, Some(3)), (1, 3, Some(3)), (0, 0, Some(0)), (0, 3, None)]
    {
        let mut table = table();
        let start = Fragment { ecn: first, ..fragment(1, &datagram, 0, 32) };
        assert_eq!(table.on_fragment(NOW, &start), Ok(Outcome::Incomplete));
        match table.on_fragment(NOW, &Fragment { ecn: second, ..fragment(1, &datagram, 32, 64) }) {
            Ok(Outcome::Complete(index)) => {
                assert_eq!(Some(table.take_complete(index, &mut Vec::new()).ecn), expected);
            }
            refused => assert_eq!((refused, expected), (Err(Refusal::Congestion), None)),
        }
    }
}

/// RFC 1122 §3.3.2: a fixed time; RFC 8200 §4.5: 60 seconds from the first fragment that arrived.
#[test]
fn an_incomplete_datagram_expires() {
    let datagram = data(64);
    let v6 = |fragment: Fragment<'static>| {
        let [src, dst] = ["2001:db8::1", "2001:db8::2"].map(|it| it.parse().expect("an address"));
        Fragment { key: Key { src, dst, protocol: 0, ident: 7 }, ..fragment }
    };
    let mut table = table();
    assert_eq!(table.next_deadline(), None);
    assert_eq!(table.on_fragment(NOW, &fragment(1, &datagram, 0, 32)), Ok(Outcome::Incomplete));
    assert_eq!(table.on_fragment(NOW, &fragment(2, &datagram, 32, 64)), Ok(Outcome::Incomplete));
    assert_eq!(table.on_fragment(NOW, &v6(fragment(3, &[5; 64], 8, 16))), Ok(Outcome::Incomplete));
    let at = |secs| NOW + Duration::from_secs(secs);
    // A later fragment does not extend the time.
    assert_eq!(table.on_fragment(at(29), &fragment(1, &datagram, 40, 48)), Ok(Outcome::Incomplete));
    let mut first = Vec::new();
    assert_eq!(table.poll_expired(at(29), 8, &mut first), None);
    assert_eq!(table.next_deadline(), Some(at(30)));
    let expected = Expired::Incomplete { ip_at: 0, key: key(1) };
    assert_eq!(table.poll_expired(at(30), 8, &mut first), Some(expected));
    assert_eq!(first, [b"headers", &datagram[..8]].concat());
    assert_eq!(table.poll_expired(at(30), 8, &mut first), Some(Expired::NoFirstFragment));
    assert_eq!(table.poll_expired(at(30), 8, &mut first), None);
    assert_eq!(table.next_deadline(), Some(at(60)));
    assert_eq!(table.poll_expired(at(60), 8, &mut first), Some(Expired::NoFirstFragment));
    assert_eq!((table.poll_expired(at(60), 8, &mut first), table.len()), (None, 0));
    assert_eq!(table.next_deadline(), None);
}

/// The limits hold during a flood of incomplete datagrams, and a datagram that starts last is
/// reassembled.
#[test]
fn a_flood_stays_within_the_limits_and_the_newest_datagram_completes() {
    let mut table = Reassembly::new(8, 100 << 10, SECRET);
    let datagram = data(60_000);
    for n in 0..1000 {
        assert_eq!(
            table.on_fragment(NOW, &fragment(n, &datagram, 0, 20_000)),
            Ok(Outcome::Incomplete)
        );
        assert!(table.len() <= 8);
    }
    assert!(table.take_evicted() >= 992);
    for from in (0..60_000).step_by(20_000) {
        let outcome = table.on_fragment(NOW, &fragment(5000, &datagram, from, from + 20_000));
        assert!(outcome.is_ok());
        if from == 40_000 {
            assert!(completed(&mut table, outcome).as_deref() == Some(&datagram[..]));
        }
    }
    // Too many tiny fragments refuse the datagram.
    let tiny = (0..)
        .step_by(16)
        .map(|from| table.on_fragment(NOW, &fragment(6000, &datagram, from, from + 8)));
    assert_eq!(tiny.take(200).find_map(Result::err), Some(Refusal::TooMany));
}

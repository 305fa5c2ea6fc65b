//! Both ends in one thread: order, limits, wrapping, and an other side that lies.

use core::mem::MaybeUninit;

use super::super::{
    Entry, PushError, RegionError, SeatRings, Sleep, Wait, byte_ring, bytes, entry_ring, queue,
    region::{LINE, Region},
};

fn entry(number: u64) -> Entry {
    Entry { op: 1, arguments: [number, !number], ..Entry::default() }
}

/// Starting points of indices near and far from the place where they wrap.
const STARTS: [u32; 4] = [0, 3, u32::MAX - 5, u32::MAX];

#[test]
fn entries_come_out_in_order_across_the_wrap_of_the_indices() {
    for start in STARTS {
        let (mut tx, mut rx) = entry_ring(8).expect("memory");
        tx.start_at(start);
        rx.start_at(start);
        let (mut sent, mut received) = (0, 0);
        for round in 0..100_u64 {
            for _ in 0..round % 9 {
                tx.push(entry(sent)).expect("room");
                sent += 1;
            }
            while let Some(taken) = rx.pop().expect("no lie") {
                assert_eq!(taken, entry(received));
                received += 1;
            }
            assert_eq!(received, sent);
        }
    }
}

#[test]
fn a_full_ring_refuses_an_entry_and_takes_it_after_one_is_removed() {
    for start in STARTS {
        for capacity in [1, 2, 8] {
            let (mut tx, mut rx) = entry_ring(capacity).expect("memory");
            tx.start_at(start);
            rx.start_at(start);
            for n in 0..capacity {
                tx.push(entry(n.into())).expect("room");
            }
            assert_eq!(tx.push(entry(99)), Err(PushError::Full));
            assert_eq!(tx.push_batch(&[entry(99)]), Ok(0));
            assert_eq!(rx.pop(), Ok(Some(entry(0))));
            assert_eq!(tx.push(entry(capacity.into())), Ok(()));
            assert_eq!(rx.ready(), Ok(capacity));
        }
    }
}

#[test]
fn a_batch_goes_in_as_far_as_it_fits_and_comes_out_in_order() {
    let (mut tx, mut rx) = entry_ring(8).expect("memory");
    let all: Vec<_> = (0..1000).map(entry).collect();
    let (mut sent, mut out) = (0, Vec::new());
    let mut taken = [Entry::default(); 5];
    while out.len() < all.len() {
        sent += tx.push_batch(&all[sent..(sent + 11).min(all.len())]).expect("no lie");
        let count = rx.pop_batch(&mut taken).expect("no lie");
        assert!((1..=5).contains(&count));
        out.extend_from_slice(&taken[..count]);
    }
    assert_eq!(out, all);
    assert_eq!(rx.pop_batch(&mut taken), Ok(0));
}

#[test]
fn a_consumer_that_lies_about_its_index_is_caught() {
    for start in STARTS {
        let (mut tx, mut rx) = entry_ring(4).expect("memory");
        tx.start_at(start);
        rx.start_at(start);
        tx.push_batch(&[entry(0), entry(1), entry(2)]).expect("room");
        rx.pop().expect("no lie").expect("three entries");
        assert_eq!(tx.room(), Ok(2));
        // Backwards; past the producer's index; far away.
        for lie in [0, 4, 5, 1 << 31, u32::MAX] {
            rx.lie(start.wrapping_add(lie));
            assert!(tx.room().is_err(), "{lie}");
            assert!(tx.push_batch(&[entry(3); 3]).is_err(), "{lie}");
        }
        rx.lie(start.wrapping_add(1));
        assert_eq!(tx.push_batch(&[entry(3); 3]), Ok(2));
        rx.lie(start);
        assert!(matches!(tx.push(entry(9)), Err(PushError::Corrupt(_))));
    }
}

#[test]
fn a_producer_that_lies_about_its_index_is_caught() {
    for start in STARTS {
        let (mut tx, mut rx) = entry_ring(4).expect("memory");
        tx.start_at(start);
        rx.start_at(start);
        tx.push(entry(0)).expect("room");
        assert_eq!(rx.pop(), Ok(Some(entry(0))));
        // Backwards; past a full ring; far away.
        for lie in [0, 6, 7, 1 << 31, u32::MAX] {
            tx.lie(start.wrapping_add(lie));
            assert!(rx.ready().is_err(), "{lie}");
            assert!(rx.pop().is_err(), "{lie}");
            assert!(rx.pop_batch(&mut [Entry::default(); 3]).is_err(), "{lie}");
        }
        tx.lie(start.wrapping_add(5));
        assert_eq!(rx.ready(), Ok(4), "a full ring is believed, whatever is in it");
    }
}

#[test]
fn bytes_come_out_in_order_across_the_wrap_of_the_indices() {
    for start in STARTS {
        let (mut tx, mut rx) = byte_ring(64).expect("memory");
        tx.start_at(start);
        rx.start_at(start);
        let mut numbers = (0..=255_u8).cycle();
        let mut expected = numbers.clone();
        for round in 0..500_usize {
            let pending: Vec<u8> = numbers.clone().take(round % 70).collect();
            let written = tx.write(&pending).expect("no lie");
            assert_eq!(written, pending.len().min(64));
            numbers.by_ref().take(written).for_each(drop);
            let mut got = Vec::new();
            while got.len() < written {
                let mut buffer = [0; 13];
                let count = rx.read(&mut buffer).expect("no lie");
                got.extend_from_slice(&buffer[..count]);
            }
            assert_eq!(got, expected.by_ref().take(written).collect::<Vec<_>>());
            assert_eq!(rx.readable(), Ok(0));
        }
    }
}

#[test]
fn a_full_byte_ring_takes_as_much_as_was_consumed() {
    let (mut tx, mut rx) = byte_ring(32).expect("memory");
    assert_eq!(tx.write(&[7; 100]), Ok(32));
    assert_eq!((tx.room(), tx.write(&[8; 100])), (Ok(0), Ok(0)));
    assert_eq!(rx.consume(5), Ok(5));
    assert_eq!((tx.room(), tx.write(&[8; 100])), (Ok(5), Ok(5)));
    assert_eq!(rx.consume(100), Ok(32));
    assert_eq!(rx.consume(100), Ok(0));
}

#[test]
fn peeked_bytes_stay_and_uninitialized_memory_is_filled_from_the_start() {
    let (mut tx, mut rx) = byte_ring(32).expect("memory");
    tx.write(&[9; 30]).expect("no lie");
    rx.consume(30).expect("no lie");
    tx.write(b"across the end").expect("no lie");
    let mut peeked = [0; 6];
    assert_eq!(rx.peek(&mut peeked), Ok(6));
    assert_eq!(&peeked, b"across");
    let mut buffer = [MaybeUninit::new(b'?'); 20];
    assert_eq!(rx.read_into(&mut buffer), Ok(14));
    // SAFETY: all bytes were initialized with question marks above.
    let text = buffer.map(|byte| unsafe { byte.assume_init() });
    assert_eq!(&text, b"across the end??????");
    assert_eq!(rx.readable(), Ok(0));
}

#[test]
fn a_writer_and_a_reader_that_lie_are_caught() {
    for start in STARTS {
        let (mut tx, mut rx) = byte_ring(32).expect("memory");
        tx.start_at(start);
        rx.start_at(start);
        for lie in [33, 34, 1 << 31, u32::MAX] {
            tx.lie(start.wrapping_add(lie));
            let mut to = [0; 8];
            assert!(rx.readable().is_err() && rx.read(&mut to).is_err(), "{lie}");
            assert!(rx.peek(&mut to).is_err() && rx.consume(1).is_err(), "{lie}");
            assert!(rx.read_into(&mut [MaybeUninit::uninit(); 8]).is_err(), "{lie}");
            assert_eq!(to, [0; 8]);
        }
        tx.lie(start);
        tx.write(&[1; 20]).expect("no lie");
        for lie in [21, 32, 1 << 31, u32::MAX] {
            rx.lie(start.wrapping_add(lie));
            assert!(tx.room().is_err() && tx.write(&[1; 13]).is_err(), "{lie}");
        }
    }
}

#[test]
fn rings_past_the_end_of_the_region_are_refused() {
    let region = Region::zeroed(8 * LINE).expect("memory");
    assert!(queue::ends(&region, 0, 8).is_ok());
    assert!(bytes::ends(&region, 4 * LINE, 2 * LINE).is_ok());
    for (at, capacity) in [(5 * LINE, 4), (8 * LINE, 1), (0, 16), (usize::MAX - 63, 1)] {
        let error = queue::ends(&region, at, capacity).expect_err("outside");
        assert!(matches!(error, RegionError::Outside { .. }), "{at} {capacity}");
        let error = bytes::ends(&region, at, 32 * capacity as usize).expect_err("outside");
        assert!(matches!(error, RegionError::Outside { .. }), "{at} {capacity}");
    }
    for capacity in [0, 3, 100, (1 << 26) + 1, 1 << 27, u32::MAX] {
        assert!(matches!(entry_ring(capacity), Err(RegionError::Length { .. })), "{capacity}");
        assert!(matches!(SeatRings::pair(capacity), Err(RegionError::Length { .. })));
    }
}

#[test]
fn the_parts_of_a_seat_do_not_overlap() {
    let (mut client, mut worker) = SeatRings::pair(4).expect("memory");
    for round in 0..20 {
        let of = |base: u64| [0, 1, 2, 3].map(|n| entry(base + 4 * round + n));
        assert_eq!(client.announce_sleep(Wait::Entries), Sleep::Now);
        assert_eq!(client.push_batch(&of(1_000)), Ok(4));
        assert_eq!(worker.push_batch(&of(2_000)), Ok(4));
        let mut taken = [Entry::default(); 4];
        assert_eq!(worker.pop_batch(&mut taken), Ok(4));
        assert_eq!(taken, of(1_000));
        assert_eq!(client.pop_batch(&mut taken), Ok(4));
        assert_eq!(taken, of(2_000));
        client.ring(|| panic!("the worker is awake"));
        let mut woken = 0;
        worker.ring(|| woken += 1);
        worker.ring(|| woken += 1);
        assert_eq!(woken, 1);
    }
}

#[test]
fn a_side_with_something_to_do_does_not_sleep() {
    let (mut client, mut worker) = SeatRings::pair(2).expect("memory");
    assert_eq!(worker.announce_sleep(Wait::EntriesOrRoom), Sleep::Not);
    assert_eq!(worker.announce_sleep(Wait::Entries), Sleep::Now);
    client.push_batch(&[entry(0); 2]).expect("room");
    assert_eq!(worker.announce_sleep(Wait::Entries), Sleep::Not);
    assert_eq!(client.announce_sleep(Wait::EntriesOrRoom), Sleep::Now);
    worker.pop().expect("no lie").expect("an entry");
    assert_eq!(client.announce_sleep(Wait::Entries), Sleep::Now);
    assert_eq!(client.announce_sleep(Wait::EntriesOrRoom), Sleep::Not);
}

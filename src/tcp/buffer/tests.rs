//! Rings compared with a queue; the pool against its limit.

use super::*;
use proptest::prelude::*;

const KIB: usize = 1024;

fn content(ring: &RingBuffer) -> Vec<u8> {
    let (first, second) = ring.slices(0, ring.len());
    [first, second].concat()
}

#[test]
fn a_ring_takes_24_bytes_and_owns_nothing_while_empty() {
    assert_eq!(size_of::<RingBuffer>(), 24);
    let mut ring = RingBuffer::default();
    assert_eq!((ring.capacity(), ring.push(b"x"), ring.len()), (0, 0, 0));
    assert_eq!(ring.slices(0, 10), (&[][..], &[][..]));
    ring.consume(10);
    assert!(ring.is_empty());
}

#[test]
fn growth_keeps_content_and_out_of_order_bytes() {
    let mut pool = BufferPool::new(64 * KIB);
    let mut ring = RingBuffer::default();
    assert!(ring.ensure(&mut pool, 1));
    assert_eq!(ring.capacity() as usize, 2 * KIB);
    ring.push(&[1; 2000]);
    ring.consume(1990);
    ring.push(b"0123456789");
    assert_eq!(ring.write_at(25, b"later"), 5);
    assert!(ring.ensure(&mut pool, 2049));
    assert_eq!((ring.capacity() as usize, pool.in_use()), (4 * KIB, 4 * KIB));
    ring.write_at(20, b"hole!");
    ring.advance_len(10);
    assert_eq!(&content(&ring)[10..], b"0123456789hole!later");
}

#[test]
fn bytes_past_the_capacity_are_not_stored() {
    let mut pool = BufferPool::new(2 * KIB);
    let mut ring = RingBuffer::default();
    assert!(ring.ensure(&mut pool, 100));
    assert_eq!(ring.write_at(2040, &[7; 20]), 8);
    assert_eq!(ring.write_at(2048, &[7; 20]), 0);
    assert_eq!(ring.write_at(u32::MAX, &[7; 20]), 0);
    assert_eq!(ring.push(&[7; 3000]), 2048);
    assert_eq!(ring.push(&[7; 1]), 0);
}

#[test]
fn without_memory_a_ring_stays_unchanged() {
    let mut pool = BufferPool::new(4 * KIB);
    let mut ring = RingBuffer::default();
    assert!(ring.ensure(&mut pool, 2048));
    ring.push(b"kept");
    assert!(!ring.ensure(&mut pool, 4097));
    assert!(!ring.ensure(&mut pool, u32::MAX));
    assert_eq!((content(&ring).as_slice(), ring.capacity()), (&b"kept"[..], 2048));
    ring.release(&mut pool);
    assert_eq!((pool.in_use(), ring.capacity(), ring.len()), (0, 0, 0));
}

#[test]
fn a_growing_ring_may_exchange_its_buffer_at_the_limit() {
    let mut pool = BufferPool::new(4 * KIB);
    let mut ring = RingBuffer::default();
    assert!(ring.ensure(&mut pool, 2048));
    ring.push(b"kept");
    assert!(ring.ensure(&mut pool, 4096));
    assert_eq!((content(&ring).as_slice(), pool.in_use()), (&b"kept"[..], 4 * KIB));
    assert_eq!(pool.held(), 4 * KIB, "the released buffer was freed to make room");
}

#[test]
fn a_ring_shrinks_to_what_it_holds() {
    let mut pool = BufferPool::new(64 * KIB);
    let mut ring = RingBuffer::default();
    assert!(ring.ensure(&mut pool, 16_000));
    ring.push(&[1; 15_000]);
    ring.consume(14_990);
    ring.push(b"0123456789");
    assert_eq!(ring.write_at(22, b"later"), 5);
    ring.shrink(&mut pool, 27);
    assert_eq!((ring.capacity() as usize, pool.in_use()), (2 * KIB, 2 * KIB));
    ring.write_at(20, b"h!");
    ring.advance_len(7);
    assert_eq!(&content(&ring)[10..], b"0123456789h!later");
}

#[test]
fn a_lower_limit_frees_unused_buffers() {
    let mut pool = BufferPool::new(64 * KIB);
    let buffers: Vec<_> = (0..4).map(|_| pool.acquire(8192).unwrap()).collect();
    buffers.into_iter().for_each(|memory| pool.release(memory));
    pool.set_limit(16 * KIB);
    assert_eq!((pool.held(), pool.limit()), (16 * KIB, 16 * KIB));
}

#[test]
fn classes_are_powers_of_two_from_2_kib() {
    let mut pool = BufferPool::new(1 << 26);
    let mut got = |min| pool.acquire(min).map(|memory| memory.len());
    assert_eq!((got(0), got(1), got(2048)), (None, Some(2048), Some(2048)));
    assert_eq!((got(2049), got(1 << 24)), (Some(4096), Some(1 << 24)));
    assert_eq!((got((1 << 24) + 1), got(u32::MAX)), (Some(1 << 25), None));
}

#[test]
fn the_limit_applies_to_buffers_in_use() {
    let mut pool = BufferPool::new(6 * KIB);
    let first = pool.acquire(4096).unwrap();
    let second = pool.acquire(2048).unwrap();
    assert!(pool.acquire(1).is_none());
    pool.release(second);
    assert!(pool.acquire(1).is_some());
    assert!(pool.acquire(1).is_none());
    drop(first);
    assert_eq!(BufferPool::new(0).acquire(1), None);
}

#[test]
fn a_warm_class_reuses_its_memory() {
    let mut pool = BufferPool::new(64 * KIB);
    let memory = pool.acquire(3000).unwrap();
    let address = memory.as_ptr();
    pool.release(memory);
    let room = pool.classes[1].free.capacity();
    let again = pool.acquire(4096).unwrap();
    assert_eq!(again.as_ptr(), address);
    assert_eq!(pool.classes[1].free.capacity(), room);
}

#[test]
fn releasing_never_grows_the_free_list() {
    let mut pool = BufferPool::new(1 << 20);
    let buffers: Vec<_> = (0..100).map(|_| pool.acquire(2048).unwrap()).collect();
    let room = pool.classes[0].free.capacity();
    buffers.into_iter().for_each(|memory| pool.release(memory));
    assert_eq!((pool.classes[0].free.len(), pool.classes[0].free.capacity()), (100, room));
}

#[test]
fn unused_memory_of_one_class_is_freed_for_another() {
    let mut pool = BufferPool::new(8 * KIB);
    let small: Vec<_> = (0..4).map(|_| pool.acquire(2048).unwrap()).collect();
    small.into_iter().for_each(|memory| pool.release(memory));
    assert_eq!((pool.in_use(), pool.held()), (0, 8 * KIB));
    let large = pool.acquire(8192).unwrap();
    assert_eq!((pool.in_use(), pool.held()), (8 * KIB, 8 * KIB));
    pool.release(large);
    // Frees no more than needed.
    let _small = pool.acquire(2048).unwrap();
    assert_eq!(pool.held(), 2 * KIB);
}

#[test]
fn buffers_of_no_class_are_not_counted() {
    let mut pool = BufferPool::new(8 * KIB);
    pool.release(Box::default());
    pool.release(vec![0; 3000].into_boxed_slice());
    assert_eq!(pool.held(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Consume(u32),
    Place(u32, usize),
    Grow(u32),
    Release,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0usize..3000).prop_map(Step::Push),
        4 => (0u32..3000).prop_map(Step::Consume),
        4 => (0u32..3000, 1usize..1000).prop_map(|(hole, len)| Step::Place(hole, len)),
        2 => (0u32..20_000).prop_map(Step::Grow),
        1 => Just(Step::Release),
    ];
    proptest::collection::vec(step, 0..100)
}

proptest! {
    #[test]
    fn a_ring_is_a_queue_of_bytes(steps in steps()) {
        let mut pool = BufferPool::new(64 * KIB);
        let mut ring = RingBuffer::default();
        let mut model = Vec::<u8>::new();
        let mut next = 0u8;
        let mut fresh = |len: usize| -> Vec<u8> {
            (0..len).map(|_| { next = next.wrapping_mul(5).wrapping_add(1); next }).collect()
        };
        for step in steps {
            let room = (ring.capacity() - ring.len()) as usize;
            match step {
                Step::Push(len) => {
                    let bytes = fresh(len);
                    prop_assert_eq!(ring.push(&bytes), len.min(room));
                    model.extend(&bytes[..len.min(room)]);
                }
                Step::Consume(n) => {
                    ring.consume(n);
                    model.drain(..model.len().min(n as usize));
                }
                // Stores out of order, then fills the hole, then both become content.
                Step::Place(hole, len) => {
                    let bytes = fresh(hole as usize + len);
                    let (early, late) = bytes.split_at(hole as usize);
                    let stored = ring.write_at(ring.len() + hole, late);
                    prop_assert_eq!(stored, len.min(room.saturating_sub(hole as usize)));
                    prop_assert!(stored == 0 || ring.ensure(&mut pool, ring.capacity() / 2 + 1));
                    if stored > 0 {
                        prop_assert_eq!(ring.push(early), early.len());
                        ring.advance_len(stored as u32);
                        model.extend(&bytes[..hole as usize + stored]);
                    }
                }
                Step::Grow(bytes) => {
                    prop_assert!(ring.ensure(&mut pool, bytes));
                    prop_assert!(ring.capacity() >= bytes);
                }
                Step::Release => {
                    ring.release(&mut pool);
                    model.clear();
                }
            }
            prop_assert_eq!(content(&ring), &model[..]);
            prop_assert_eq!(ring.len() as usize, model.len());
            prop_assert_eq!(pool.in_use(), ring.capacity() as usize);
            prop_assert!(pool.held() <= pool.limit());
            let half = ring.len() / 2;
            let (first, second) = ring.slices(half, 100);
            let end = model.len().min(half as usize + 100);
            prop_assert_eq!([first, second].concat(), &model[half as usize..end]);
        }
    }

    #[test]
    fn a_pool_never_holds_more_than_its_limit(
        sizes in proptest::collection::vec(1u32..70_000, 1..100),
    ) {
        let mut pool = BufferPool::new(256 * KIB);
        let mut buffers = Vec::new();
        for size in sizes {
            match pool.acquire(size) {
                Some(memory) => buffers.push(memory),
                None => buffers.drain(..).step_by(2).for_each(|memory| pool.release(memory)),
            }
            let free = pool.classes.iter().flat_map(|class| &class.free);
            let on_free_lists: usize = free.map(|memory| memory.len()).sum();
            prop_assert_eq!(pool.held() - pool.in_use(), on_free_lists);
            prop_assert!(pool.held() <= pool.limit());
        }
    }
}

#[derive(Clone, Debug)]
enum Claim {
    Hold(usize, u32, u32),
    Raise(usize, u32),
    Lower(usize, u32),
    Unhold(usize),
    Allocate(usize, u32),
    GiveBack(usize),
}

fn claims() -> impl Strategy<Value = Vec<Claim>> {
    let who = 0usize..40;
    let claim = prop_oneof![
        (who.clone(), 0u32..1 << 26, 1u32..70_000)
            .prop_map(|(who, wanted, needed)| Claim::Hold(who, wanted, needed)),
        (who.clone(), 0u32..1 << 26).prop_map(|(who, wanted)| Claim::Raise(who, wanted)),
        (who.clone(), 0u32..1 << 26).prop_map(|(who, needed)| Claim::Lower(who, needed)),
        who.clone().prop_map(Claim::Unhold),
        (who.clone(), 0u32..1 << 22).prop_map(|(who, bytes)| Claim::Allocate(who, bytes)),
        who.prop_map(Claim::GiveBack),
    ];
    proptest::collection::vec(claim, 0..300)
}

proptest! {
    #[test]
    fn promises_and_send_buffers_never_exceed_the_limit(
        limit in 0usize..1 << 24,
        claims in claims(),
    ) {
        let mut accounts = Accounts::new(limit);
        let mut promises = [Promise::credit(65_536); 40];
        let mut allocated = [0u32; 40];
        for claim in claims {
            match claim {
                Claim::Hold(who, wanted, needed) => {
                    let promise = &mut promises[who];
                    let before = *promise;
                    match accounts.hold(promise, wanted, needed) {
                        Ok(()) => prop_assert!(promise.is_held() && promise.bytes() >= needed),
                        Err(_) => prop_assert_eq!(*promise, before),
                    }
                }
                Claim::Raise(who, wanted) => {
                    let before = promises[who];
                    accounts.raise(&mut promises[who], wanted);
                    prop_assert!(promises[who].bytes() >= before.bytes());
                }
                Claim::Lower(who, needed) => accounts.lower(&mut promises[who], needed),
                Claim::Unhold(who) => accounts.unhold(&mut promises[who]),
                Claim::Allocate(who, bytes) => {
                    allocated[who] += if accounts.allocate(bytes).is_ok() { bytes } else { 0 };
                }
                Claim::GiveBack(who) => accounts.give_back(core::mem::take(&mut allocated[who])),
            }
            let held = promises.iter().filter_map(|promise| promise.held());
            let promised: usize = held.clone().map(|shift| 1 << shift).sum();
            prop_assert_eq!(accounts.promised(), promised);
            prop_assert_eq!(accounts.allocated(), allocated.iter().map(|bytes| *bytes as usize).sum::<usize>());
            prop_assert!(accounts.promised() + accounts.allocated() <= limit);
            let largest = held.max().filter(|shift| *shift > 11);
            prop_assert_eq!(accounts.largest_promise(u8::MAX), largest, "above the mean");
        }
    }
}

//! The indices of a ring as one side sees them: its own, and the other side's as last read.
//!
//! Indices count entries or bytes and wrap at 2^32; the distance from the consumer's (head) to the
//! producer's (tail) is the number of items in the ring, 0 to its capacity. A side never reads its
//! own index from shared memory, and checks the other's: it only moves forward, never past what
//! this side allows. No memory is touched here.

/// The other side broke the ring's protocol: its index is one that it cannot have reached.
///
/// The ring stays safe to use and useless: each call fails until the index is believable again.
/// Close the seat or the connection that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the other side's index is {seen}, outside {first}..={last}: it broke the ring's protocol; \
     close this ring"
)]
pub struct Corrupt {
    /// Index that was read.
    pub seen: u32,
    /// First index that the other side can have reached, counted modulo 2^32.
    pub first: u32,
    /// Last index that the other side can have reached, counted modulo 2^32.
    pub last: u32,
}

/// Returns `seen` if it lies in `first..=last` modulo 2^32.
fn check(seen: u32, first: u32, last: u32) -> Result<u32, Corrupt> {
    if seen.wrapping_sub(first) <= last.wrapping_sub(first) {
        Ok(seen)
    } else {
        Err(Corrupt { seen, first, last })
    }
}

/// The producer's view. Invariant: `tail - head <= capacity`.
#[derive(Debug)]
pub(super) struct ProducerCursor {
    tail: u32,
    head: u32,
    capacity: u32,
}

impl ProducerCursor {
    /// Returns the view of an empty ring of `capacity` items.
    pub(super) fn new(capacity: u32) -> Self {
        Self { tail: 0, head: 0, capacity }
    }

    /// Returns the index of the next item to produce.
    pub(super) fn tail(&self) -> u32 {
        self.tail
    }

    /// Returns the free space as far as this side knows: at least so much is free.
    pub(super) fn room(&self) -> u32 {
        self.capacity - self.tail.wrapping_sub(self.head)
    }

    /// Takes over the consumer's index.
    pub(super) fn on_head(&mut self, seen: u32) -> Result<(), Corrupt> {
        self.head = check(seen, self.head, self.tail)?;
        Ok(())
    }

    /// Moves the own index over `count` produced items, at most [`ProducerCursor::room`].
    pub(super) fn advance(&mut self, count: u32) {
        debug_assert!(count <= self.room());
        self.tail = self.tail.wrapping_add(count);
    }
}

/// The consumer's view. Invariant: `tail - head <= capacity`.
#[derive(Debug)]
pub(super) struct ConsumerCursor {
    head: u32,
    tail: u32,
    capacity: u32,
}

impl ConsumerCursor {
    /// Returns the view of an empty ring of `capacity` items.
    pub(super) fn new(capacity: u32) -> Self {
        Self { head: 0, tail: 0, capacity }
    }

    /// Returns the index of the next item to consume.
    pub(super) fn head(&self) -> u32 {
        self.head
    }

    /// Returns the number of items as far as this side knows: at least so many are there.
    pub(super) fn ready(&self) -> u32 {
        self.tail.wrapping_sub(self.head)
    }

    /// Takes over the producer's index.
    pub(super) fn on_tail(&mut self, seen: u32) -> Result<(), Corrupt> {
        self.tail = check(seen, self.tail, self.head.wrapping_add(self.capacity))?;
        Ok(())
    }

    /// Moves the own index over `count` consumed items, at most [`ConsumerCursor::ready`].
    pub(super) fn advance(&mut self, count: u32) {
        debug_assert!(count <= self.ready());
        self.head = self.head.wrapping_add(count);
    }
}

#[cfg(all(test, not(loom)))]
impl ProducerCursor {
    /// Moves an empty ring's indices to `index`.
    pub(super) fn start_at(&mut self, index: u32) {
        (self.tail, self.head) = (index, index);
    }
}

#[cfg(all(test, not(loom)))]
impl ConsumerCursor {
    /// Moves an empty ring's indices to `index`.
    pub(super) fn start_at(&mut self, index: u32) {
        (self.tail, self.head) = (index, index);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{ConsumerCursor, ProducerCursor};

    /// Starting points near and far from the place where indices wrap.
    const STARTS: [u32; 4] = [0, 1_000, u32::MAX - 2, u32::MAX];

    #[test]
    fn a_head_is_believed_only_between_the_last_one_and_the_tail() {
        for start in STARTS {
            let mut cursor = ProducerCursor::new(8);
            cursor.start_at(start);
            cursor.advance(5);
            cursor.on_head(start.wrapping_add(2)).expect("two of five were consumed");
            assert_eq!(cursor.room(), 5);
            for distance in 0..=16_u32 {
                let seen = start.wrapping_sub(4).wrapping_add(distance);
                let mut trial =
                    ProducerCursor { tail: cursor.tail, head: cursor.head, capacity: 8 };
                let believed = (6..=9).contains(&distance);
                assert_eq!(trial.on_head(seen).is_ok(), believed, "{start} {distance}");
                assert!(trial.room() <= 8);
            }
        }
    }

    #[test]
    fn a_tail_is_believed_only_between_the_last_one_and_a_full_ring() {
        for start in STARTS {
            let mut cursor = ConsumerCursor::new(8);
            cursor.start_at(start);
            cursor.on_tail(start.wrapping_add(3)).expect("three were produced");
            cursor.advance(1);
            assert_eq!(cursor.ready(), 2);
            for distance in 0..=24_u32 {
                let seen = start.wrapping_sub(4).wrapping_add(distance);
                let mut trial =
                    ConsumerCursor { tail: cursor.tail, head: cursor.head, capacity: 8 };
                let believed = (7..=13).contains(&distance);
                assert_eq!(trial.on_tail(seen).is_ok(), believed, "{start} {distance}");
                assert!(trial.ready() <= 8);
            }
        }
    }

    #[test]
    fn a_refused_index_leaves_the_view_as_it_was() {
        let mut cursor = ConsumerCursor::new(8);
        cursor.on_tail(3).expect("three were produced");
        let lie = cursor.on_tail(9).expect_err("nine do not fit");
        assert_eq!((lie.seen, lie.first, lie.last), (9, 3, 8));
        assert_eq!(cursor.ready(), 3);
    }
}

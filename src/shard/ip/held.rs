//! Frames that wait for address resolution: one bounded store that holds a short queue per
//! neighbour.
//!
//! Owns the frames while they wait. Generic over the frame type, so that tests need no link.

const NONE: u32 = u32::MAX;

/// The queue of one neighbour, kept in its cache entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) struct Queue {
    head: u32,
    tail: u32,
    len: u32,
}

impl Queue {
    pub(in crate::shard) const EMPTY: Self = Self { head: NONE, tail: NONE, len: 0 };

    pub(in crate::shard) const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

struct Node<F> {
    frame: Option<F>,
    next: u32,
}

/// The store of all waiting frames.
pub(in crate::shard) struct Held<F> {
    nodes: Vec<Node<F>>,
    free: u32,
}

impl<F> Held<F> {
    pub(in crate::shard) fn new(capacity: usize) -> Self {
        let last = capacity.saturating_sub(1) as u32;
        let next = |n: u32| if n == last { NONE } else { n + 1 };
        let nodes = (0..capacity as u32).map(|n| Node { frame: None, next: next(n) }).collect();
        Self { nodes, free: if capacity == 0 { NONE } else { 0 } }
    }

    /// Appends a frame to a queue of at most `len_max` frames. Returns the frame that has no room:
    /// the oldest of the queue, or the new one if other queues fill the store.
    pub(in crate::shard) fn push(
        &mut self,
        queue: &mut Queue,
        frame: F,
        len_max: u32,
    ) -> Option<F> {
        let full = self.free == NONE || queue.len >= len_max;
        // RFC 1122 §2.3.2.2: keep the latest packet.
        let displaced = if full { self.pop(queue) } else { None };
        if self.free == NONE || queue.len >= len_max {
            return Some(frame);
        }
        let index = self.free;
        let node = &mut self.nodes[index as usize];
        self.free = node.next;
        *node = Node { frame: Some(frame), next: NONE };
        let one = Queue { head: index, tail: index, len: 1 };
        self.append(queue, one);
        displaced
    }

    /// Removes the oldest frame of a queue.
    pub(in crate::shard) fn pop(&mut self, queue: &mut Queue) -> Option<F> {
        let node = self.nodes.get_mut(queue.head as usize)?;
        let frame = node.frame.take();
        let index = core::mem::replace(&mut queue.head, node.next);
        node.next = core::mem::replace(&mut self.free, index);
        queue.len -= 1;
        if queue.len == 0 {
            *queue = Queue::EMPTY;
        }
        frame
    }

    /// Appends all frames of `other` to `queue`.
    pub(in crate::shard) fn append(&mut self, queue: &mut Queue, other: Queue) {
        if other.is_empty() {
            return;
        }
        if queue.is_empty() {
            *queue = other;
            return;
        }
        self.nodes[queue.tail as usize].next = other.head;
        queue.tail = other.tail;
        queue.len += other.len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_frame_of_the_same_neighbour_makes_room() {
        let mut held = Held::new(3);
        let (mut one, mut other) = (Queue::EMPTY, Queue::EMPTY);
        assert_eq!(held.push(&mut one, 'a', 2), None);
        assert_eq!(held.push(&mut one, 'b', 2), None);
        assert_eq!(held.push(&mut one, 'c', 2), Some('a'));
        assert_eq!(held.push(&mut other, 'x', 2), None);
        assert_eq!(held.push(&mut other, 'y', 2), Some('x'), "the store is full");
        let mut third = Queue::EMPTY;
        assert_eq!(held.push(&mut third, 'z', 2), Some('z'), "others have all the room");
        held.append(&mut one, other);
        assert_eq!(core::iter::from_fn(|| held.pop(&mut one)).collect::<String>(), "bcy");
        assert!(one.is_empty());
        assert_eq!(held.push(&mut third, 'z', 0), Some('z'));
    }
}

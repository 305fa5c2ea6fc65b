//! Frames that wait for a neighbour's answer: one bounded store, a short queue in it for each
//! neighbour.
//!
//! Owns the frames while they wait. Generic, since a frame is a ticket of some link.

const NONE: u32 = u32::MAX;

/// One neighbour's queue, kept by the neighbour.
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

/// The store.
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

    /// Puts a frame at the end of a queue of at most `most`. Gives back the frame that found no
    /// room: the queue's oldest, or the new one itself when others have all the room.
    pub(in crate::shard) fn push(&mut self, queue: &mut Queue, frame: F, most: u32) -> Option<F> {
        let full = self.free == NONE || queue.len >= most;
        // RFC 1122 §2.3.2.2: the latest packet is the one to keep.
        let displaced = if full { self.pop(queue) } else { None };
        if self.free == NONE || queue.len >= most {
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

    /// The oldest frame of a queue.
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

    /// Moves all of `other` to the end of `queue`.
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

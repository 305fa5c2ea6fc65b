//! Frames that arrived at the wrong worker: copied into recycled buffers and queued for the right
//! one. Bounded and lock-free. When a queue is full or no buffer is free the frame is dropped and
//! counted, and TCP retransmits it.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::waker::Waker;
use crate::limits::HANDOVER_QUEUE;

/// Size of the longest packet with its link header, bytes.
const PACKET_MAX: usize = 65_535 + 40 + 18;
/// Buffers per worker for reassembled datagrams that belong to another worker. They are rare, so
/// that few suffice, and long, so that many would cost memory.
const LONG_PER_WORKER: usize = 8;

fn spares(count: usize, bytes: usize) -> ArrayQueue<HandoverFrame> {
    let spares = ArrayQueue::new(count);
    for _ in 0..count {
        let frame = HandoverFrame { hops: 0, len: 0, memory: vec![0; bytes].into_boxed_slice() };
        spares.push(frame).expect("the queue has room for all of them");
    }
    spares
}

/// A frame on its way to another worker.
#[derive(Debug)]
pub(super) struct HandoverFrame {
    /// Number of workers that have seen the frame.
    pub hops: u8,
    len: u32,
    memory: Box<[u8]>,
}

impl HandoverFrame {
    /// Returns the bytes of the frame.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[..self.len as usize]
    }
}

/// The queues between all workers of a stack.
#[derive(Debug)]
pub(super) struct HandoverQueues {
    inboxes: Vec<ArrayQueue<HandoverFrame>>,
    spares: ArrayQueue<HandoverFrame>,
    /// For reassembled datagrams.
    long_spares: ArrayQueue<HandoverFrame>,
    frame_max: usize,
    wakers: Vec<Arc<Waker>>,
}

impl HandoverQueues {
    /// Creates the queues of the workers that `wakers` wake, for frames of up to `frame_max` bytes.
    pub(super) fn new(wakers: Vec<Arc<Waker>>, frame_max: usize) -> Self {
        let workers = wakers.len();
        let frames = if workers > 1 { workers * HANDOVER_QUEUE } else { 1 };
        let long = if workers > 1 { workers * LONG_PER_WORKER } else { 1 };
        let (spares, long_spares) = (spares(frames, frame_max), spares(long, PACKET_MAX));
        let inboxes = (0..workers).map(|_| ArrayQueue::new(HANDOVER_QUEUE)).collect();
        Self { inboxes, spares, long_spares, frame_max, wakers }
    }

    /// Sends a copy of `frame` to `worker`. Returns false if it was dropped.
    pub(super) fn send(&self, worker: usize, frame: &[u8], hops: u8) -> bool {
        let Some(inbox) = self.inboxes.get(worker) else { return false };
        let spares = if frame.len() > self.frame_max { &self.long_spares } else { &self.spares };
        let Some(mut spare) = spares.pop() else { return false };
        let fits = frame.len() <= spare.memory.len();
        if fits {
            spare.memory[..frame.len()].copy_from_slice(frame);
            spare.len = frame.len() as u32;
            spare.hops = hops;
        }
        let sent = if fits { inbox.push(spare) } else { Err(spare) };
        match sent {
            Ok(()) => {
                self.wakers[worker].wake();
                true
            }
            Err(frame) => {
                self.recycle(frame);
                false
            }
        }
    }

    /// Returns the next frame for `worker`. The caller passes it to [`recycle`](Self::recycle)
    /// after use.
    pub(super) fn collect(&self, worker: usize) -> Option<HandoverFrame> {
        self.inboxes[worker].pop()
    }

    /// Returns true if no frame waits for `worker`.
    pub(super) fn is_empty(&self, worker: usize) -> bool {
        self.inboxes[worker].is_empty()
    }

    /// Returns the buffer of a frame to the pool.
    pub(super) fn recycle(&self, frame: HandoverFrame) {
        let long = frame.memory.len() > self.frame_max;
        let spares = if long { &self.long_spares } else { &self.spares };
        spares.push(frame).expect("the pool has room for every buffer");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(workers: usize) -> HandoverQueues {
        HandoverQueues::new((0..workers).map(|_| Arc::new(Waker::new().unwrap())).collect(), 1514)
    }

    #[test]
    fn a_frame_reaches_the_worker_it_was_sent_to_and_no_other() {
        let queues = queues(2);
        assert!(queues.send(1, b"frame", 1));
        assert!(queues.collect(0).is_none());
        let frame = queues.collect(1).expect("it was sent");
        assert_eq!((frame.bytes(), frame.hops), (&b"frame"[..], 1));
        queues.recycle(frame);
    }

    #[test]
    fn a_full_queue_drops_frames_and_leaks_no_buffers() {
        let queues = queues(2);
        let sent = (0..3 * HANDOVER_QUEUE).filter(|_| queues.send(1, b"x", 0)).count();
        assert_eq!(sent, HANDOVER_QUEUE);
        while let Some(frame) = queues.collect(1) {
            queues.recycle(frame);
        }
        assert_eq!(queues.spares.len(), 2 * HANDOVER_QUEUE);
    }

    #[test]
    fn a_reassembled_datagram_has_its_own_buffers() {
        let queues = queues(2);
        assert!(queues.send(1, &vec![7; PACKET_MAX], 0));
        assert_eq!(queues.spares.len(), 2 * HANDOVER_QUEUE);
        let frame = queues.collect(1).expect("it was sent");
        assert_eq!(frame.bytes().len(), PACKET_MAX);
        queues.recycle(frame);
        assert_eq!(queues.long_spares.len(), 2 * LONG_PER_WORKER);
    }

    #[test]
    fn a_frame_that_is_too_long_and_an_unknown_worker_are_refused() {
        let queues = queues(2);
        assert!(!queues.send(1, &vec![0; PACKET_MAX + 1], 0));
        assert!(!queues.send(9, b"x", 0));
        assert_eq!(queues.spares.len(), 2 * HANDOVER_QUEUE);
    }
}

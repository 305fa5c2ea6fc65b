//! Frames that landed on the wrong worker: copied into recycled buffers and queued for the right one.
//! Bounded and lock-free; when a queue or the buffers run out the frame is lost and counted, as on any
//! link, and TCP repairs it.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::waker::Waker;
use crate::limits::HANDOVER_QUEUE;

/// Bytes of the longest packet, with room for its link header.
const LONGEST: usize = 65_535 + 40 + 18;
/// Buffers a worker for datagrams that were put together of fragments and belong to another: rare ones, so
/// that few will do, and long ones, so that many would cost.
const LONG_EACH: usize = 8;

fn spares(count: usize, bytes: usize) -> ArrayQueue<HandoverFrame> {
    let spares = ArrayQueue::new(count);
    for _ in 0..count {
        let frame = HandoverFrame { hops: 0, len: 0, memory: vec![0; bytes].into_boxed_slice() };
        spares.push(frame).expect("the queue holds as many as are made");
    }
    spares
}

/// A frame on its way to another worker.
#[derive(Debug)]
pub(super) struct HandoverFrame {
    /// How many workers have seen it.
    pub hops: u8,
    len: u32,
    memory: Box<[u8]>,
}

impl HandoverFrame {
    /// The frame.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[..self.len as usize]
    }
}

/// The queues between all workers of a stack.
#[derive(Debug)]
pub(super) struct HandoverQueues {
    inboxes: Vec<ArrayQueue<HandoverFrame>>,
    spares: ArrayQueue<HandoverFrame>,
    /// For what was put together of fragments.
    long_spares: ArrayQueue<HandoverFrame>,
    frame_max: usize,
    wakers: Vec<Arc<Waker>>,
}

impl HandoverQueues {
    /// For one worker a waker; frames of up to `frame_max` bytes.
    pub(super) fn new(wakers: Vec<Arc<Waker>>, frame_max: usize) -> Self {
        let workers = wakers.len();
        let frames = if workers > 1 { workers * HANDOVER_QUEUE } else { 1 };
        let long = if workers > 1 { workers * LONG_EACH } else { 1 };
        let (spares, long_spares) = (spares(frames, frame_max), spares(long, LONGEST));
        let inboxes = (0..workers).map(|_| ArrayQueue::new(HANDOVER_QUEUE)).collect();
        Self { inboxes, spares, long_spares, frame_max, wakers }
    }

    /// Sends a copy of `frame` to `worker`; false when it was lost.
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

    /// The next frame for `worker`; give it back with [`recycle`](Self::recycle).
    pub(super) fn collect(&self, worker: usize) -> Option<HandoverFrame> {
        self.inboxes[worker].pop()
    }

    /// Whether nothing waits for `worker`.
    pub(super) fn is_empty(&self, worker: usize) -> bool {
        self.inboxes[worker].is_empty()
    }

    /// Takes a read frame back.
    pub(super) fn recycle(&self, frame: HandoverFrame) {
        let long = frame.memory.len() > self.frame_max;
        let spares = if long { &self.long_spares } else { &self.spares };
        spares.push(frame).expect("no more frames exist than the queue holds");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn office(workers: usize) -> HandoverQueues {
        HandoverQueues::new((0..workers).map(|_| Arc::new(Waker::new().unwrap())).collect(), 1514)
    }

    #[test]
    fn a_frame_reaches_the_worker_it_was_sent_to_and_no_other() {
        let office = office(2);
        assert!(office.send(1, b"frame", 1));
        assert!(office.collect(0).is_none());
        let frame = office.collect(1).expect("it was sent");
        assert_eq!((frame.bytes(), frame.hops), (&b"frame"[..], 1));
        office.recycle(frame);
    }

    #[test]
    fn a_full_queue_loses_frames_and_no_buffers() {
        let office = office(2);
        let sent = (0..3 * HANDOVER_QUEUE).filter(|_| office.send(1, b"x", 0)).count();
        assert_eq!(sent, HANDOVER_QUEUE);
        while let Some(frame) = office.collect(1) {
            office.recycle(frame);
        }
        assert_eq!(office.spares.len(), 2 * HANDOVER_QUEUE);
    }

    #[test]
    fn a_datagram_that_was_put_together_has_buffers_of_its_own() {
        let office = office(2);
        assert!(office.send(1, &vec![7; LONGEST], 0));
        assert_eq!(office.spares.len(), 2 * HANDOVER_QUEUE);
        let frame = office.collect(1).expect("it was sent");
        assert_eq!(frame.bytes().len(), LONGEST);
        office.recycle(frame);
        assert_eq!(office.long_spares.len(), 2 * LONG_EACH);
    }

    #[test]
    fn a_frame_that_is_too_long_and_an_unknown_worker_are_refused() {
        let office = office(2);
        assert!(!office.send(1, &vec![0; LONGEST + 1], 0));
        assert!(!office.send(9, b"x", 0));
        assert_eq!(office.spares.len(), 2 * HANDOVER_QUEUE);
    }
}

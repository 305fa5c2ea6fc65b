//! A pair of links connected in memory: each receives what the other transmits.
//!
//! Owns the two bounded rings between the ends and the return path of each ticket. A frame travels
//! uncopied; releasing it at the far end returns it to its area. Both ends may live in one thread
//! (the simulator) or in two. A full ring drops frames, like a wire into a busy NIC, and counts
//! them as `tx_dropped`. Time plays no role: frames arrive at once.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam::queue::ArrayQueue;

use super::{Accounting, Area, Frame, Link, Statistics};
use crate::time::Instant;

/// Sizes of a pair, the same for both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Number of frames of each end.
    pub frames: usize,
    /// Length of the longest frame in bytes.
    pub frame_max: usize,
    /// Maximum number of frames in flight in one direction; further ones are dropped.
    pub ring: usize,
}

impl Default for Config {
    /// Enough frames for both rings of an end and a batch in use; room for an MTU of 1500 with VLAN
    /// tags.
    fn default() -> Self {
        Self { frames: 2048, frame_max: 2048, ring: 1024 }
    }
}

/// Queues towards one end.
#[derive(Debug)]
struct Queues {
    rx: ArrayQueue<Frame>,
    /// Tickets of this end's area that the other end released. Holds the whole area, so it is never
    /// full.
    returned: ArrayQueue<Frame>,
}

/// State shared by the two ends.
#[derive(Debug)]
struct Cable {
    queues: [Queues; 2],
    /// Areas whose end is dropped while frames of theirs may be in flight.
    retired: Mutex<Vec<Area>>,
}

impl Drop for Cable {
    fn drop(&mut self) {
        let areas = self.retired.get_mut().unwrap_or_else(PoisonError::into_inner);
        for queues in &self.queues {
            let in_flight =
                core::iter::from_fn(|| queues.rx.pop().or_else(|| queues.returned.pop()));
            for frame in in_flight {
                if let Some(home) = areas.iter_mut().find(|area| area.owns(&frame)) {
                    home.release(frame).expect("the area owns the frame");
                }
            }
        }
    }
}

/// One end of the pair.
#[derive(Debug)]
pub struct MemoryLink {
    area: Option<Area>,
    cable: Arc<Cable>,
    end: usize,
    frame_max: usize,
    tx_posted: usize,
    statistics: Statistics,
}

/// Creates two connected links.
#[must_use]
pub fn pair(config: Config) -> (MemoryLink, MemoryLink) {
    let areas = [(); 2].map(|()| Area::new(config.frames, config.frame_max));
    let queues = [0, 1].map(|end: usize| Queues {
        rx: ArrayQueue::new(config.ring.max(1)),
        returned: ArrayQueue::new(areas[end].count()),
    });
    let cable = Arc::new(Cable { queues, retired: Mutex::new(Vec::new()) });
    let [a, b] = areas;
    let end = |end, area| MemoryLink {
        area: Some(area),
        cable: Arc::clone(&cable),
        end,
        frame_max: config.frame_max,
        tx_posted: 0,
        statistics: Statistics::default(),
    };
    (end(0, a), end(1, b))
}

impl MemoryLink {
    fn area(&mut self) -> &mut Area {
        self.area.as_mut().expect("the area leaves only when the end is dropped")
    }

    fn reclaim(&mut self) {
        while let Some(frame) = self.cable.queues[self.end].returned.pop() {
            if self.area().release(frame).is_ok() {
                self.tx_posted -= 1;
            }
        }
    }
}

impl Link for MemoryLink {
    fn receive(&mut self, _now: Instant, max: usize, frames: &mut Vec<Frame>) -> usize {
        let before = frames.len();
        while frames.len() - before < max {
            let Some(frame) = self.cable.queues[self.end].rx.pop() else { break };
            // A local frame that the peer sent back in place is held again.
            if self.area().owns(&frame) {
                self.tx_posted -= 1;
            }
            self.statistics.rx_frames += 1;
            self.statistics.rx_bytes += frame.len() as u64;
            frames.push(frame);
        }
        frames.len() - before
    }

    fn reserve(&mut self) -> Option<Frame> {
        if self.area().free() == 0 {
            self.reclaim();
        }
        self.area().reserve()
    }

    fn transmit(&mut self, _now: Instant, frame: Frame) {
        let (len, own) = (frame.len(), self.area().owns(&frame));
        match self.cable.queues[1 - self.end].rx.push(frame) {
            Ok(()) => {
                self.tx_posted += usize::from(own);
                self.statistics.tx_frames += 1;
                self.statistics.tx_bytes += len as u64;
            }
            Err(frame) => {
                self.statistics.tx_dropped += 1;
                self.release(frame);
            }
        }
    }

    fn release(&mut self, frame: Frame) {
        if let Err(foreign) = self.area().release(frame) {
            // The ticket of a third link may find no room; it stays lost, as documented.
            drop(self.cable.queues[1 - self.end].returned.push(foreign));
        }
    }

    fn flush(&mut self, _now: Instant) {
        self.reclaim();
        debug_assert_eq!(self.accounting().total(), self.area().count(), "a frame was lost");
    }

    fn frame_max(&self) -> usize {
        self.frame_max
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Counts this end's own frames only. Those held by the peer count as posted for TX.
    fn accounting(&self) -> Accounting {
        let (out, free) = self.area.as_ref().map_or((0, 0), |area| (area.out(), area.free()));
        Accounting { rx_posted: 0, tx_posted: self.tx_posted, held: out - self.tx_posted, free }
    }

    fn statistics(&mut self) -> Statistics {
        self.statistics
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        let mut retired = self.cable.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.extend(self.area.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::ZERO;

    fn small(frames: usize, ring: usize) -> (MemoryLink, MemoryLink) {
        pair(Config { frames, frame_max: 128, ring })
    }

    fn send(link: &mut MemoryLink, bytes: &[u8]) {
        let mut frame = link.reserve().expect("a free frame");
        frame.fill(bytes);
        link.transmit(NOW, frame);
    }

    fn held(link: &MemoryLink) -> (usize, usize, usize) {
        let Accounting { tx_posted, held, free, .. } = link.accounting();
        (tx_posted, held, free)
    }

    #[test]
    fn one_end_receives_what_the_other_sends_in_order() {
        let (mut a, mut b) = small(8, 8);
        for n in 0..5 {
            send(&mut a, &[n; 60]);
        }
        let mut frames = Vec::new();
        assert_eq!(b.receive(NOW, 3, &mut frames), 3);
        assert_eq!(b.receive(NOW, 3, &mut frames), 2);
        assert!(frames.iter().enumerate().all(|(n, f)| f[..] == [n as u8; 60]));
        frames.into_iter().for_each(|frame| b.release(frame));
        assert_eq!(held(&a), (5, 0, 3));
        a.flush(NOW);
        assert_eq!(held(&a), (0, 0, 8));
        assert_eq!((a.statistics().tx_bytes, b.statistics().rx_bytes), (300, 300));
    }

    #[test]
    fn a_frame_sent_back_in_place_returns_to_its_area() {
        let (mut a, mut b) = small(2, 2);
        send(&mut a, b"ping");
        let mut frames = Vec::new();
        b.receive(NOW, 1, &mut frames);
        let mut frame = frames.pop().unwrap();
        frame[1] = b'o';
        b.transmit(NOW, frame);
        assert_eq!(held(&b), (0, 0, 2));
        a.receive(NOW, 1, &mut frames);
        assert_eq!(&frames[0][..], b"pong");
        assert_eq!(held(&a), (0, 1, 1));
        a.release(frames.pop().unwrap());
        assert_eq!(held(&a), (0, 0, 2));
    }

    #[test]
    fn a_full_ring_drops_and_counts() {
        let (mut a, _b) = small(8, 2);
        (0..5).for_each(|n| send(&mut a, &[n]));
        assert_eq!((a.statistics().tx_frames, a.statistics().tx_dropped), (2, 3));
        assert_eq!(held(&a), (2, 0, 6));
    }

    #[test]
    fn reserve_fails_without_free_frames_and_recovers_with_the_first_returned() {
        let (mut a, mut b) = small(1, 4);
        send(&mut a, b"x");
        assert!(a.reserve().is_none());
        let mut frames = Vec::new();
        b.receive(NOW, 1, &mut frames);
        b.release(frames.pop().unwrap());
        let frame = a.reserve().expect("the frame was returned");
        a.release(frame);
    }

    #[test]
    fn ends_can_be_dropped_in_any_order_with_frames_in_flight() {
        let (mut a, mut b) = small(4, 4);
        send(&mut a, b"to b");
        send(&mut b, b"to a");
        drop(a);
        send(&mut b, b"to none");
        let mut frames = Vec::new();
        b.receive(NOW, 1, &mut frames);
        let kept = frames.pop().unwrap();
        drop(b);
        assert_eq!(&kept[..], b"to b");
    }

    #[test]
    fn two_threads_exchange_frames_and_none_is_lost() {
        const ROUNDS: u32 = 20_000;
        let (mut a, mut b) = small(64, 32);
        let far = std::thread::spawn(move || {
            let (mut frames, mut expected) = (Vec::new(), 0u32);
            while expected < ROUNDS {
                b.receive(NOW, 16, &mut frames);
                for frame in frames.drain(..) {
                    assert_eq!(frame[..4], expected.to_be_bytes());
                    expected += 1;
                    b.release(frame);
                }
                b.flush(NOW);
                std::thread::yield_now();
            }
        });
        let mut sent = 0;
        while sent < ROUNDS {
            // Keep at most as many frames in flight as the ring holds, so that none is dropped.
            match if a.accounting().tx_posted < 32 { a.reserve() } else { None } {
                Some(mut frame) => {
                    frame.fill(&sent.to_be_bytes());
                    a.transmit(NOW, frame);
                    sent += 1;
                }
                None => std::thread::yield_now(),
            }
            a.flush(NOW);
        }
        far.join().unwrap();
        a.flush(NOW);
        assert_eq!(held(&a), (0, 0, 64));
    }
}

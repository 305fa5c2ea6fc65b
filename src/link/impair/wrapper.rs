//! A wrapper that puts an impaired network around a link.

use std::os::fd::BorrowedFd;

use super::pipe::{Counts, Outcome, Pipe};
use super::{Impairment, Impairments};
use crate::link::{Accounting, Frame, Link, Metadata, State, Statistics};
use crate::rng::Rng;
use crate::time::Instant;

/// A link behind an impaired network. Frames in flight belong to the inner link and count as held.
#[derive(Debug)]
pub struct Impaired<L: Link> {
    inner: L,
    tx: Pipe,
    rx: Pipe,
    /// Frames just received from the inner link.
    arrived: Vec<Frame>,
}

impl<L: Link> Impaired<L> {
    /// Applies `impairments` to `inner`.
    pub fn new(inner: L, impairments: &Impairments) -> Self {
        let mut seeds = Rng::new(impairments.seed);
        let tx = Pipe::new(impairments.tx, seeds.next_u64());
        let rx = Pipe::new(impairments.rx, seeds.next_u64());
        Self { inner, tx, rx, arrived: Vec::new() }
    }

    /// Returns the inner link.
    pub const fn inner(&mut self) -> &mut L {
        &mut self.inner
    }

    /// Changes the impairments of frames that enter from now on. The random generators keep their
    /// state.
    pub const fn change(&mut self, tx: Impairment, rx: Impairment) {
        self.tx.change(tx);
        self.rx.change(rx);
    }

    /// Returns the counters of frames sent.
    #[must_use]
    pub const fn tx_counts(&self) -> Counts {
        self.tx.counts()
    }

    /// Returns the counters of frames received.
    #[must_use]
    pub const fn rx_counts(&self) -> Counts {
        self.rx.counts()
    }

    fn deliver_tx(&mut self, now: Instant) {
        while let Some(frame) = self.tx.poll_arrived(now) {
            self.inner.transmit(now, frame);
        }
    }
}

/// Sends a frame through `pipe`. Releases it to `link` if it is dropped.
fn pass(link: &mut impl Link, pipe: &mut Pipe, now: Instant, mut frame: Frame) {
    let outcome = pipe.decide(&mut frame);
    if outcome == Outcome::Dropped {
        return link.release(frame);
    }
    let copy = match outcome {
        // Without a free frame the copy is skipped.
        Outcome::Duplicated => link.reserve().map(|mut copy| {
            copy.fill(&frame);
            copy
        }),
        _ => None,
    };
    for (frame, is_copy) in [(Some(frame), false), (copy, true)] {
        match frame.map(|frame| pipe.enter(now, frame)) {
            Some(Ok(())) if is_copy => pipe.on_duplicated(),
            Some(Err(refused)) => link.release(refused),
            _ => {}
        }
    }
}

impl<L: Link> Link for Impaired<L> {
    fn receive(&mut self, now: Instant, max: usize, frames: &mut Vec<Frame>) -> usize {
        let mut arrived = std::mem::take(&mut self.arrived);
        self.inner.receive(now, max, &mut arrived);
        for frame in arrived.drain(..) {
            pass(&mut self.inner, &mut self.rx, now, frame);
        }
        self.arrived = arrived;
        let before = frames.len();
        frames.extend(std::iter::from_fn(|| self.rx.poll_arrived(now)).take(max));
        frames.len() - before
    }

    fn reserve(&mut self) -> Option<Frame> {
        self.inner.reserve()
    }

    fn transmit(&mut self, now: Instant, frame: Frame) {
        pass(&mut self.inner, &mut self.tx, now, frame);
        self.deliver_tx(now);
    }

    fn release(&mut self, frame: Frame) {
        self.inner.release(frame);
    }

    fn flush(&mut self, now: Instant) {
        self.deliver_tx(now);
        self.inner.flush(now);
    }

    fn frame_max(&self) -> usize {
        self.inner.frame_max()
    }

    fn deadline(&self) -> Option<Instant> {
        [self.inner.deadline(), self.tx.deadline(), self.rx.deadline()].into_iter().flatten().min()
    }

    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.wait_fd()
    }

    fn accounting(&self) -> Accounting {
        self.inner.accounting()
    }

    fn statistics(&mut self) -> Statistics {
        self.inner.statistics()
    }

    fn state(&self) -> State {
        self.inner.state()
    }

    fn metadata(&self) -> &[Metadata] {
        self.inner.metadata()
    }
}

impl<L: Link> Drop for Impaired<L> {
    fn drop(&mut self) {
        for frame in self.tx.drain().chain(self.rx.drain()) {
            self.inner.release(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::memory::{Config, MemoryLink, pair};
    use crate::time::Duration;

    /// A sender behind an impaired network and the far end.
    struct World {
        near: Impaired<MemoryLink>,
        far: MemoryLink,
        now: Instant,
    }

    impl World {
        fn new(impairments: &str) -> Self {
            let (near, far) = pair(Config { frames: 4096, frame_max: 2048, ring: 4096 });
            let impairments = impairments.parse().expect("impairments");
            Self { near: Impaired::new(near, &impairments), far, now: Instant::ZERO }
        }

        fn send(&mut self, number: u32, len: usize) {
            let mut frame = self.near.reserve().expect("a free frame");
            frame.set_len(len);
            frame[..].fill(0);
            frame[..4].copy_from_slice(&number.to_be_bytes());
            self.near.transmit(self.now, frame);
        }

        /// Returns the arrival time and number of the frames that have arrived.
        fn arrivals(&mut self) -> Vec<(Instant, u32)> {
            self.near.flush(self.now);
            let mut frames = Vec::new();
            self.far.receive(self.now, usize::MAX, &mut frames);
            let number = |frame: &Frame| u32::from_be_bytes(frame[..4].try_into().expect("four"));
            let numbers = frames.iter().map(|frame| (self.now, number(frame))).collect();
            frames.into_iter().for_each(|frame| self.far.release(frame));
            numbers
        }

        /// Sends one frame of 100 bytes per microsecond, then waits for all.
        fn run(&mut self, count: u32) -> Vec<u32> {
            let mut arrived = Vec::new();
            for number in 0..count {
                self.send(number, 100);
                self.now += Duration::from_micros(1);
                arrived.append(&mut self.arrivals());
            }
            while let Some(at) = self.near.deadline() {
                self.now = at;
                arrived.append(&mut self.arrivals());
            }
            arrived.into_iter().map(|(_, number)| number).collect()
        }
    }

    fn share(part: u64, of: u32) -> f64 {
        part as f64 / f64::from(of)
    }

    #[test]
    fn a_perfect_network_changes_nothing() {
        let mut world = World::new("");
        assert_eq!(world.run(100), Vec::from_iter(0..100));
        assert_eq!(world.near.deadline(), None);
    }

    #[test]
    fn loss_duplication_and_corruption_have_their_configured_rates() {
        let mut world = World::new("loss=5%,duplicate=2%,corrupt=1%,seed=7");
        let arrived = world.run(20_000);
        let counts = world.near.tx_counts();
        assert!((share(counts.lost, 20_000) - 0.05).abs() < 0.01, "{counts:?}");
        assert!((share(counts.duplicated, 20_000) - 0.019).abs() < 0.005, "{counts:?}");
        assert!((share(counts.corrupted, 20_000) - 0.0095).abs() < 0.004, "{counts:?}");
        assert_eq!(arrived.len() as u64, 20_000 - counts.lost + counts.duplicated);
    }

    #[test]
    fn burst_loss_occurs_in_runs() {
        let mut world = World::new("burst=1%/25%,seed=3");
        let arrived = world.run(50_000);
        let lost = 50_000 - arrived.len();
        let runs = arrived.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        let mean = lost as f64 / runs as f64;
        // A bad spell lasts 1 / 25 % = 4 frames, and 1 / (1 + 25) of all frames fall into one.
        assert!((3.4..4.6).contains(&mean), "{lost} lost in {runs} runs");
        assert!((0.03..0.05).contains(&(lost as f64 / 50_000.0)), "{lost} lost");
    }

    #[test]
    fn corruption_flips_exactly_one_bit() {
        let mut world = World::new("corrupt=100%");
        for number in 0..200 {
            world.send(number, 60);
            let mut frames = Vec::new();
            assert_eq!(world.far.receive(world.now, 1, &mut frames), 1);
            let frame = frames.pop().expect("one");
            let clean = [&number.to_be_bytes()[..], &[0; 56]].concat();
            let flipped: u32 = frame.iter().zip(clean).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert_eq!(flipped, 1);
            world.far.release(frame);
        }
    }

    #[test]
    fn delayed_frames_are_held_until_the_deadline() {
        let mut world = World::new("delay=10ms");
        let total = world.near.accounting().total();
        world.send(1, 60);
        assert_eq!(world.near.accounting().held, 1);
        assert_eq!(world.near.deadline(), Some(Instant::from_millis(10)));
        world.now = Instant::from_nanos(9_999_999);
        assert!(world.arrivals().is_empty());
        world.now = Instant::from_millis(10);
        assert_eq!(world.arrivals().len(), 1);
        let frames = world.near.accounting();
        assert_eq!((frames.held, frames.total()), (0, total));
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let mut world = World::new("delay=200us,jitter=100us,seed=5");
        assert_eq!(world.run(900), Vec::from_iter(0..900));
        let mut world = World::new("delay=200us,reorder=3%,gap=20us,seed=5");
        let mut arrived = world.run(900);
        let late = arrived.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
        let counts = world.near.tx_counts();
        assert!((10..60).contains(&late) && late <= counts.reordered, "{late} {counts:?}");
        arrived.sort_unstable();
        assert_eq!(arrived, Vec::from_iter(0..900), "no frame is lost");
    }

    #[test]
    fn a_rate_limit_spaces_frames_and_its_queue_drops_the_rest() {
        // 1250 bytes at 100 Mbit/s take 100 microseconds.
        let mut world = World::new("rate=100mbit,queue=64");
        (0..100).for_each(|number| world.send(number, 1250));
        assert_eq!(world.near.tx_counts().overflowed, 36);
        let mut times = Vec::new();
        while let Some(at) = world.near.deadline() {
            world.now = at;
            times.extend(world.arrivals().into_iter().map(|(at, _)| at.as_nanos()));
        }
        assert_eq!(times, Vec::from_iter((1..=64).map(|n| n * 100_000)));
        world.now += Duration::from_millis(5);
        world.send(200, 1250);
        let next = world.near.deadline().map(|at| at.since(world.now));
        assert_eq!(next, Some(Duration::from_micros(100)), "an idle limiter accumulates no credit");
    }

    #[test]
    fn above_the_threshold_ecn_capable_packets_are_marked() {
        let mut world = World::new("rate=100mbit,queue=64,mark=20");
        for number in 0..40 {
            let mut frame = world.near.reserve().expect("a free frame");
            frame.fill(&[0; 1250]);
            frame[12..16].copy_from_slice(&[
                0x86,
                0xdd,
                0x60,
                if number % 2 == 0 { 0x20 } else { 0 },
            ]);
            world.near.transmit(world.now, frame);
        }
        let counts = world.near.tx_counts();
        assert_eq!((counts.marked, counts.overflowed), (10, 0), "every other of the last twenty");
    }

    #[test]
    fn the_number_of_frames_in_flight_is_limited() {
        let mut world = World::new("delay=1s,hold=10");
        (0..50).for_each(|number| world.send(number, 60));
        assert_eq!(world.near.accounting().held, 10);
        assert_eq!(world.near.tx_counts().overflowed, 40);
    }

    #[test]
    fn the_same_seed_gives_the_same_network_and_another_does_not() {
        let run = |seed: u32| {
            let text =
                "loss=3%,burst=1%/30%,reorder=3%,delay=100us,jitter=50us,duplicate=1%,corrupt=1%";
            World::new(&format!("{text},seed={seed}")).run(2_000)
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn directions_are_impaired_separately() {
        let mut world = World::new("tx:loss=100%;rx:delay=1ms");
        world.send(1, 60);
        assert!(world.arrivals().is_empty());
        let mut frame = world.far.reserve().expect("a free frame");
        frame.fill(b"hello");
        world.far.transmit(world.now, frame);
        let mut frames = Vec::new();
        assert_eq!(world.near.receive(world.now, 64, &mut frames), 0);
        assert_eq!(world.near.deadline(), Some(Instant::from_millis(1)));
        assert_eq!(world.near.receive(Instant::from_millis(1), 64, &mut frames), 1);
        assert_eq!((&frames[0][..], world.near.rx_counts().frames), (&b"hello"[..], 1));
        frames.into_iter().for_each(|frame| world.near.release(frame));
    }

    #[test]
    fn frames_in_flight_are_released_when_the_network_is_dropped() {
        let World { mut near, mut far, now } = World::new("delay=1s");
        let mut frame = far.reserve().expect("a free frame");
        frame.set_len(60);
        far.transmit(now, frame);
        near.receive(now, 64, &mut Vec::new());
        drop(near);
        far.flush(now);
        assert_eq!(far.accounting().free, far.accounting().total());
    }
}

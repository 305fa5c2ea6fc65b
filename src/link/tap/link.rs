//! The TAP link: one `read` per received frame, one `write` per sent frame.
//!
//! Owns the frames and the queue of those to send. Invariant: frames in the queue, held and free
//! are all frames, and a batch of them is kept back for receiving, so sending never starves it.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::{read, write};

use super::config::Config;
use super::device;
use super::error::OpenError;
use crate::limits::BATCH;
use crate::link::{Accounting, Area, Frame, Link, State, Statistics};
use crate::time::{Duration, Instant};

/// Length of the Ethernet header with one VLAN tag, on top of the MTU, bytes.
const ETHERNET_MAX: usize = 18;

/// Time until frames that the kernel does not accept for now are offered again: it processes what
/// it has within some microseconds, and the smallest retransmission timeout is much longer.
const RETRY_AFTER: Duration = Duration::from_micros(500);

/// Presence of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Up,
    Down,
    /// Removed, for good: no descriptor of it becomes readable any more.
    Gone,
}

/// A link over one queue of a TAP device.
pub struct TapLink {
    queue: OwnedFd,
    interface: String,
    area: Area,
    /// Filled frames that the kernel has not accepted, in order.
    tx_pending: VecDeque<Frame>,
    frame_max: usize,
    retry_at: Option<Instant>,
    presence: Presence,
    statistics: Statistics,
}

impl TapLink {
    /// Opens the device, and creates it if there is none of its name. It vanishes when the link is
    /// dropped, unless it is persistent. Frames arrive once the kernel's side is up
    /// ([`bring_up`](super::bring_up())).
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        Ok(Self::open_queues(config, 1)?.remove(0))
    }

    /// Opens a device with `queues` queues, at least one, and returns a link for each. The kernel
    /// sends a flow to the queue on which it last saw packets of that flow.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_queues(config: &Config, queues: usize) -> Result<Vec<Self>, OpenError> {
        let device = device::open(&config.name, queues)?;
        let frame_max = device.mtu + ETHERNET_MAX;
        let link = |queue| Self::over(queue, &device.name, frame_max, config.frames);
        Ok(device.queues.into_iter().map(link).collect())
    }

    fn over(queue: OwnedFd, interface: &str, frame_max: usize, frames: usize) -> Self {
        // One byte more than a frame: a frame that fills the buffer may be cut off.
        let area = Area::new(frames.max(BATCH + 1), frame_max + 1);
        Self {
            queue,
            interface: interface.to_owned(),
            tx_pending: VecDeque::with_capacity(area.count()),
            area,
            frame_max,
            retry_at: None,
            presence: Presence::Up,
            statistics: Statistics::default(),
        }
    }

    /// Returns the name of the device.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Notes the cause of a failed call, as far as it concerns the device.
    fn on_error(&mut self, errno: Errno) {
        match errno {
            Errno::EIO | Errno::ENETDOWN => self.presence = Presence::Down,
            // The descriptor has lost its device.
            Errno::EBADFD | Errno::ENODEV | Errno::ENXIO => self.presence = Presence::Gone,
            _ => {}
        }
    }

    fn put_back(&mut self, frame: Frame) {
        let returned = self.area.release(frame);
        debug_assert!(returned.is_ok(), "a frame of another link");
    }
}

impl Link for TapLink {
    fn receive(&mut self, _now: Instant, max: usize, frames: &mut Vec<Frame>) -> usize {
        let before = frames.len();
        for _ in 0..max {
            let Some(mut frame) = self.area.reserve() else { break };
            match read(&self.queue, frame.buffer()) {
                Ok(len) if len <= self.frame_max => {
                    frame.set_len(len);
                    self.statistics.rx_frames += 1;
                    self.statistics.rx_bytes += len as u64;
                    frames.push(frame);
                }
                Ok(_too_long) => {
                    self.statistics.rx_dropped += 1;
                    self.put_back(frame);
                }
                Err(errno) => {
                    self.on_error(errno);
                    self.put_back(frame);
                    break;
                }
            }
        }
        frames.len() - before
    }

    fn reserve(&mut self) -> Option<Frame> {
        if self.area.free() > BATCH { self.area.reserve() } else { None }
    }

    fn transmit(&mut self, _now: Instant, frame: Frame) {
        if frame.len() > self.frame_max {
            self.statistics.tx_dropped += 1;
            self.put_back(frame);
        } else {
            self.tx_pending.push_back(frame);
        }
    }

    fn release(&mut self, frame: Frame) {
        self.put_back(frame);
    }

    fn flush(&mut self, now: Instant) {
        self.retry_at = None;
        while let Some(frame) = self.tx_pending.pop_front() {
            self.statistics.kicks += 1;
            match write(&self.queue, &frame) {
                Ok(len) => {
                    self.statistics.tx_frames += 1;
                    self.statistics.tx_bytes += len as u64;
                    self.presence = Presence::Up;
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {
                    self.statistics.kicks_again += 1;
                    self.tx_pending.push_front(frame);
                    self.retry_at = Some(now + RETRY_AFTER);
                    break;
                }
                Err(errno) => {
                    self.statistics.tx_dropped += 1;
                    self.on_error(errno);
                }
            }
            self.put_back(frame);
        }
        debug_assert_eq!(self.accounting().total(), self.area.count(), "a frame was lost");
    }

    fn frame_max(&self) -> usize {
        self.frame_max
    }

    fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Returns the queue's file descriptor, or `None` once the device was removed: such a
    /// descriptor reports an error at once and for good.
    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        (self.presence != Presence::Gone).then(|| self.queue.as_fd())
    }

    fn accounting(&self) -> Accounting {
        let tx_posted = self.tx_pending.len();
        let held = self.area.out() - tx_posted;
        Accounting { rx_posted: 0, tx_posted, held, free: self.area.free() }
    }

    fn statistics(&mut self) -> Statistics {
        self.statistics
    }

    fn state(&self) -> State {
        match self.presence {
            Presence::Up => State::Up,
            Presence::Down | Presence::Gone => State::Down,
        }
    }
}

impl Drop for TapLink {
    fn drop(&mut self) {
        // Otherwise the area would leak its memory.
        while let Some(frame) = self.tx_pending.pop_front() {
            self.put_back(frame);
        }
    }
}

impl fmt::Debug for TapLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TapLink({}, {:?})", self.interface, self.accounting())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    const NOW: Instant = Instant::ZERO;

    /// A link over a socket, which accepts, delays and refuses frames as a device does.
    fn over_socket(frames: usize) -> (TapLink, UnixDatagram) {
        let (near, far) = UnixDatagram::pair().expect("a pair of sockets");
        near.set_nonblocking(true).expect("non-blocking");
        far.set_nonblocking(true).expect("non-blocking");
        (TapLink::over(near.into(), "tap7", 1518, frames), far)
    }

    fn send(link: &mut TapLink, bytes: &[u8]) {
        let mut frame = link.reserve().expect("a free frame");
        frame.fill(bytes);
        link.transmit(NOW, frame);
    }

    #[test]
    fn frames_that_the_kernel_delays_are_kept_in_order_and_offered_again() {
        let (mut link, far) = over_socket(1 << 12);
        for n in 0..3000_u32 {
            send(&mut link, &n.to_be_bytes());
        }
        link.flush(NOW);
        let kept = link.accounting().tx_posted;
        assert!(kept > 0 && kept < 3000, "{kept}");
        assert_eq!((link.deadline(), link.state()), (Some(NOW + RETRY_AFTER), State::Up));
        let (mut got, mut buffer) = (0_u32, [0; 64]);
        while got < 3000 {
            while far.recv(&mut buffer).is_ok() {
                assert_eq!(buffer[..4], got.to_be_bytes());
                got += 1;
            }
            link.flush(NOW);
        }
        assert_eq!((link.deadline(), link.accounting().free), (None, 1 << 12));
        let statistics = link.statistics();
        assert_eq!((statistics.tx_frames, statistics.tx_dropped), (3000, 0));
        assert!(statistics.kicks_again > 0);
    }

    #[test]
    fn frames_that_are_refused_are_counted_and_returned() {
        let (mut link, far) = over_socket(128);
        drop(far);
        send(&mut link, b"refused");
        link.flush(NOW);
        assert_eq!((link.statistics().tx_dropped, link.accounting().free), (1, 128));
        let mut frame = link.reserve().expect("a free frame");
        frame.set_len(1519);
        link.transmit(NOW, frame);
        link.flush(NOW);
        assert_eq!((link.statistics().tx_dropped, link.statistics().kicks), (2, 1));
        assert_eq!(link.accounting().free, 128);
    }

    #[test]
    fn a_frame_longer_than_the_longest_is_dropped_and_counted() {
        let (mut link, far) = over_socket(128);
        for len in [1519, 9000, 1518] {
            far.send(&vec![7; len]).expect("sends");
        }
        let mut frames = Vec::new();
        assert_eq!(link.receive(NOW, 8, &mut frames), 1);
        assert_eq!((frames[0].len(), link.statistics().rx_dropped), (1518, 2));
        link.release(frames.remove(0));
        assert_eq!(link.accounting().free, 128);
    }

    #[test]
    fn sending_leaves_a_batch_of_frames_for_receiving() {
        let (mut link, far) = over_socket(BATCH + 10);
        let held: Vec<Frame> = std::iter::from_fn(|| link.reserve()).collect();
        assert_eq!((held.len(), link.accounting().free), (10, BATCH));
        far.send(b"arrives").expect("sends");
        let mut frames = Vec::new();
        assert_eq!(link.receive(NOW, 8, &mut frames), 1);
        held.into_iter().chain(frames).for_each(|frame| link.release(frame));
    }
}

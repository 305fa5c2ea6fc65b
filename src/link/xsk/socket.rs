//! The AF_XDP link: receives, sends, kicks and refills the rings of one queue.
//!
//! Invariant: the number of frames posted for RX, posted for TX, held and free is constant, and at
//! least as many are free as the fill ring lacks, so sending never starves receiving.

use std::fmt;
use std::os::fd::{BorrowedFd, RawFd};

use xsk_rs::FrameDesc;

use super::choices::Mode;
use super::config::Config;
use super::error::OpenError;
use super::kick::{KickResult, Kicker, TxRing};
use super::multi_buffer::{Appended, MultiBuffer, PARTS_MAX};
use super::rings::{PacketBuffers, Rings};
use super::umem::Chunks;
use super::{device, metadata, options};
use crate::limits;
use crate::link::{Accounting, Frame, Link, Metadata, State, Statistics};
use crate::time::Instant;

/// Mode that the socket is bound in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The kernel copies each frame.
    Copy,
    /// The device uses the link's memory.
    ZeroCopy,
}

impl Bound {
    /// Returns the name used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::ZeroCopy => "zero-copy",
        }
    }
}

/// Send buffer per TX descriptor in copy mode, in bytes: the copy of a full chunk and its
/// bookkeeping. With less the kernel stops early with ENOBUFS.
const SEND_BUFFER_EACH: u32 = 4096;

/// Length of the Ethernet header with one VLAN tag, on top of the MTU.
const ETHERNET_MAX: usize = 18;

/// Length of the shortest frame with an Ethernet header.
const ETHERNET_MIN: usize = 14;

/// The rings, the chunks, and the number of chunks that the kernel has.
struct Device {
    // Declared first, so dropped first: the memory of the chunks must outlive the rings.
    rings: Rings,
    chunks: Chunks,
    rx_posted: usize,
    tx_posted: usize,
    batch: Box<[FrameDesc]>,
}

impl TxRing for Device {
    fn queued(&mut self) -> usize {
        self.rings.queued()
    }
    fn outstanding(&self) -> usize {
        self.tx_posted
    }
    fn needs_kick(&self) -> bool {
        self.rings.tx_needs_kick()
    }
    fn kick(&mut self) -> KickResult {
        self.rings.kick_tx()
    }
    fn reap(&mut self) {
        while self.tx_posted > 0 {
            let n = self.rings.complete(&mut self.batch);
            self.tx_posted -= n;
            self.batch[..n].iter().for_each(|desc| self.chunks.reclaim(desc));
            if n < self.batch.len() {
                break;
            }
        }
    }
}

/// A link over one queue of a network interface.
pub struct XskLink {
    device: Device,
    /// Buffers for frames longer than a chunk, if the link supports them.
    multi_buffer: Option<MultiBuffer>,
    /// Filled frames that are not yet on the TX ring, in order.
    tx_pending: Vec<FrameDesc>,
    /// Chunks to produce on the fill ring.
    fill_pending: Vec<FrameDesc>,
    kicker: Kicker,
    /// Descriptors were produced on the TX ring since the last flush.
    fresh: bool,
    posted_target: usize,
    watermark: usize,
    busy_poll: bool,
    /// Metadata of the last batch, if enabled.
    metadata: Option<Vec<Metadata>>,
    frame_max: usize,
    bound: Bound,
    statistics: Statistics,
    rx_kicks: u64,
    notes: Vec<String>,
}

impl XskLink {
    /// Opens the link and posts frames for receive. Packets arrive once an XDP program redirects
    /// the queue to [`fd`](Self::fd).
    ///
    /// # Errors
    /// [`OpenError`] gives the cause and a remedy.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        config.check()?;
        let sizes = config.sizes(device::rx_ring(&config.interface));
        let mut notes = Vec::new();
        let mut chunks = Chunks::new(config, &sizes, &mut notes)?;
        let mtu = device::mtu(&config.interface).map_or(usize::MAX, |mtu| mtu as usize);
        let wanted = mtu.saturating_add(ETHERNET_MAX);
        let (rings, packets) = bind(config, &chunks, wanted, &mut notes)?;
        chunks.bound_to(rings.fd());
        let bound = bound_mode(config, &rings, &mut notes);
        set_options(config, &rings, bound, &mut notes);
        let part = chunks.packet_max();
        let (frame_max, multi_buffer) = match packets {
            PacketBuffers::Single => (wanted.min(part), None),
            PacketBuffers::Multiple => {
                let frame_max = wanted.min(PARTS_MAX * part);
                (frame_max, Some(MultiBuffer::new(config.held as usize, frame_max, part)))
            }
        };
        let batch = vec![FrameDesc::default(); limits::BATCH_MAX].into();
        let mut link = Self {
            device: Device { rings, chunks, rx_posted: 0, tx_posted: 0, batch },
            multi_buffer,
            tx_pending: Vec::with_capacity(sizes.frames as usize),
            fill_pending: Vec::with_capacity(sizes.posted as usize),
            kicker: Kicker::default(),
            fresh: false,
            posted_target: sizes.posted as usize,
            watermark: config.watermark.max(1) as usize,
            busy_poll: config.busy_poll.is_some(),
            metadata: config.metadata.then(|| Vec::with_capacity(limits::BATCH_MAX)),
            frame_max,
            bound,
            statistics: Statistics::default(),
            rx_kicks: 0,
            notes,
        };
        link.refill();
        Ok(link)
    }

    /// Returns the socket, to insert into the XSKMAP at the index of the queue.
    #[must_use]
    pub const fn fd(&self) -> RawFd {
        self.device.rings.fd()
    }

    /// Returns the mode that the socket is bound in.
    #[must_use]
    pub const fn bound(&self) -> Bound {
        self.bound
    }

    /// Returns the options that were configured but unavailable, one sentence each.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns the number of chunks that the fill ring lacks, which must stay free.
    #[inline]
    const fn fill_deficit(&self) -> usize {
        self.posted_target - self.device.rx_posted
    }

    #[inline]
    fn submit(&mut self) {
        let sent = self.device.rings.send(&self.tx_pending);
        self.tx_pending.drain(..sent);
        self.fresh |= sent > 0;
    }

    #[inline]
    fn queue_tx(&mut self, frame: Frame) -> Result<(), Frame> {
        let desc = self.device.chunks.tx_desc(frame)?;
        self.tx_pending.push(desc);
        self.device.tx_posted += 1;
        Ok(())
    }

    /// Copies a long frame into chunks. Returns the frame if too few are free.
    fn queue_tx_parts(&mut self, frame: Frame) -> Result<(), Frame> {
        let Device { chunks, tx_posted, .. } = &mut self.device;
        let part = chunks.packet_max();
        let parts = frame.len().div_ceil(part);
        if chunks.area.free() < parts {
            return Err(frame);
        }
        for (at, bytes) in frame.chunks(part).enumerate() {
            let desc = chunks.tx_part_desc(bytes, at + 1 < parts);
            self.tx_pending.push(desc.expect("enough chunks are free"));
            *tx_posted += 1;
        }
        self.release(frame);
        Ok(())
    }

    fn refill(&mut self) {
        let n = self.fill_deficit().min(self.device.chunks.area.free());
        if n > 0 {
            self.device.chunks.post(n, &mut self.fill_pending);
            let posted = self.device.rings.post(&self.fill_pending);
            self.fill_pending[posted..].iter().for_each(|desc| self.device.chunks.reclaim(desc));
            self.device.rx_posted += posted;
        }
        if self.device.rings.rx_needs_kick() {
            self.kick_rx();
        }
    }

    fn kick_rx(&mut self) {
        self.rx_kicks += 1;
        self.device.rings.kick_rx();
    }
}

impl Link for XskLink {
    fn receive(&mut self, _now: Instant, max: usize, frames: &mut Vec<Frame>) -> usize {
        let Device { rings, chunks, batch, .. } = &mut self.device;
        let most = max.min(batch.len());
        let mut n = rings.receive(&mut batch[..most]);
        if n == 0 && self.busy_poll {
            rings.kick_rx();
            self.rx_kicks += 1;
            n = rings.receive(&mut batch[..most]);
        }
        let before = frames.len();
        for desc in &batch[..n] {
            self.statistics.rx_bytes += desc.lengths().data() as u64;
            let mut frame = chunks.rx_frame(desc);
            match &mut self.multi_buffer {
                Some(multi_buffer) if desc.has_more_frames() || multi_buffer.in_progress() => {
                    // A frame in parts has no metadata, but the mark on its first part must be
                    // cleared.
                    if self.metadata.is_some() {
                        metadata::take(&chunks.area, &mut frame);
                    }
                    match multi_buffer.append(&frame, desc.has_more_frames()) {
                        Appended::Complete(whole) => frames.push(whole),
                        Appended::Lost => self.statistics.rx_dropped += 1,
                        Appended::Partial => {}
                    }
                    let released = chunks.area.release(frame);
                    debug_assert!(released.is_ok(), "the chunk belongs to this link");
                }
                _ => frames.push(frame),
            }
        }
        if let Some(metadata) = &mut self.metadata {
            metadata.clear();
            let area = &chunks.area;
            metadata.extend(frames[before..].iter_mut().map(|frame| metadata::take(area, frame)));
        }
        let whole = frames.len() - before;
        self.statistics.rx_frames += whole as u64;
        self.device.rx_posted -= n;
        whole
    }

    #[inline]
    fn reserve(&mut self) -> Option<Frame> {
        let keep = self.fill_deficit();
        match &mut self.multi_buffer {
            None => self.device.chunks.reserve(keep),
            // The length of the frame is unknown until it is filled, so reserve a long one.
            Some(multi_buffer) => multi_buffer.reserve(keep, &self.device.chunks),
        }
    }

    fn transmit(&mut self, _now: Instant, frame: Frame) {
        let len = frame.len();
        if !(ETHERNET_MIN..=self.frame_max).contains(&len) {
            self.statistics.tx_dropped += 1;
            return self.release(frame);
        }
        let queued = match &mut self.multi_buffer {
            Some(multi_buffer) if multi_buffer.area.owns(&frame) => self.queue_tx_parts(frame),
            _ => self.queue_tx(frame),
        };
        if let Err(frame) = queued {
            self.statistics.tx_dropped += 1;
            return self.release(frame);
        }
        self.statistics.tx_frames += 1;
        self.statistics.tx_bytes += len as u64;
        if self.tx_pending.len() >= self.watermark {
            self.submit();
            self.kicker.kick(&mut self.device);
        }
    }

    #[inline]
    fn release(&mut self, frame: Frame) {
        let stray = match &mut self.multi_buffer {
            Some(multi_buffer) if multi_buffer.area.owns(&frame) => {
                multi_buffer.area.release(frame)
            }
            _ => self.device.chunks.area.release(frame),
        };
        debug_assert!(stray.is_ok(), "frame released to a link it does not belong to: {stray:?}");
    }

    fn flush(&mut self, now: Instant) {
        self.device.reap();
        if !self.tx_pending.is_empty() {
            self.submit();
        }
        let fresh = std::mem::take(&mut self.fresh);
        self.kicker.flush(now, fresh, &mut self.device);
        self.refill();
        debug_assert_eq!(
            self.accounting().total(),
            self.device.chunks.area.count()
                + self.multi_buffer.as_ref().map_or(0, |it| it.area.count()),
            "a frame was lost"
        );
    }

    fn frame_max(&self) -> usize {
        self.frame_max
    }

    fn deadline(&self) -> Option<Instant> {
        self.kicker.deadline()
    }

    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: the socket stays open as long as the rings, which the returned borrow keeps
        // alive.
        Some(unsafe { BorrowedFd::borrow_raw(self.fd()) })
    }

    fn accounting(&self) -> Accounting {
        let Device { chunks, rx_posted, tx_posted, .. } = &self.device;
        let (out, free) = match &self.multi_buffer {
            Some(multi_buffer) => (multi_buffer.area.out(), multi_buffer.area.free()),
            None => (0, 0),
        };
        Accounting {
            rx_posted: *rx_posted,
            tx_posted: *tx_posted,
            held: chunks.area.out() + out,
            free: chunks.area.free() + free,
        }
    }

    fn statistics(&mut self) -> Statistics {
        let (rx_dropped, tx_refused) = self.device.rings.kernel_drops().unwrap_or_default();
        Statistics {
            rx_dropped: self.statistics.rx_dropped + rx_dropped,
            tx_dropped: self.statistics.tx_dropped + tx_refused,
            kicks: self.kicker.calls + self.rx_kicks,
            kicks_again: self.kicker.again,
            ..self.statistics
        }
    }

    fn metadata(&self) -> &[Metadata] {
        self.metadata.as_deref().unwrap_or_default()
    }

    fn state(&self) -> State {
        if self.kicker.down { State::Down } else { State::Up }
    }
}

impl fmt::Debug for XskLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fd, bound, frames) = (self.fd(), self.bound, self.accounting());
        write!(f, "XskLink(fd {fd}, {}, {frames:?})", bound.name())
    }
}

/// Binds for packets of several descriptors if frames of `wanted` bytes exceed a chunk; falls back
/// to single descriptors if the kernel or the driver refuses.
fn bind(
    config: &Config,
    chunks: &Chunks,
    wanted: usize,
    notes: &mut Vec<String>,
) -> Result<(Rings, PacketBuffers), OpenError> {
    if wanted <= chunks.packet_max() {
        return Ok((
            Rings::bind(config, chunks.umem(), PacketBuffers::Single)?,
            PacketBuffers::Single,
        ));
    }
    if config.multi_buffer {
        match Rings::bind(config, chunks.umem(), PacketBuffers::Multiple) {
            Ok(rings) => return Ok((rings, PacketBuffers::Multiple)),
            Err(OpenError::NoZeroCopy { .. } | OpenError::Other { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    notes.push(format!(
        "`{}` does not carry frames of more than {} bytes: that needs Linux 6.6 and a driver with \
         multi-buffer support",
        config.interface,
        chunks.packet_max()
    ));
    Ok((Rings::bind(config, chunks.umem(), PacketBuffers::Single)?, PacketBuffers::Single))
}

fn bound_mode(config: &Config, rings: &Rings, notes: &mut Vec<String>) -> Bound {
    match options::is_zero_copy(rings.fd()) {
        Ok(true) => Bound::ZeroCopy,
        _ => {
            if config.mode == Mode::Auto {
                notes.push(format!(
                    "the driver of `{}` does not support zero-copy; using copy mode",
                    config.interface
                ));
            }
            Bound::Copy
        }
    }
}

fn set_options(config: &Config, rings: &Rings, bound: Bound, notes: &mut Vec<String>) {
    let fd = rings.fd();
    if bound == Bound::Copy {
        let budget = config.tx_budget.clamp(32, config.tx_ring);
        if options::set_tx_budget(fd, budget).is_err() {
            notes.push("this kernel (before 6.17) sends at most 32 frames per call".to_owned());
        }
        if let Err(cause) = options::raise_send_buffer(fd, config.tx_ring * SEND_BUFFER_EACH) {
            notes.push(format!(
                "cannot raise the send buffer ({cause}); batches need more system calls"
            ));
        }
    }
    if let Some(wanted) = config.busy_poll
        && let Err(cause) = options::prefer_busy_poll(fd, wanted)
    {
        notes.push(format!(
            "cannot enable busy polling ({cause}): it needs Linux 5.11 and CAP_NET_ADMIN"
        ));
    }
}

//! The chunks of a link's memory: maps between descriptors, tickets and bytes.
//!
//! Owns the mapping that the kernel knows as the UMEM, and the area over it. A chunk is on the free
//! list, behind a ticket, or with the kernel. A descriptor returned from here means that its chunk
//! is now with the kernel.

use std::num::NonZeroU32;
use std::os::fd::RawFd;
use std::ptr::{self, NonNull};

use xsk_rs::config::{FrameSize, QueueSize, UmemConfig};
use xsk_rs::{FrameDesc, Umem};

use super::config::{Config, HEADROOM, Sizes};
use super::error::{OpenError, Step, cause_of};
use crate::link::{Area, Frame};

/// XDP_PKT_CONTD of linux/if_xdp.h: another descriptor of the same packet follows.
const PACKET_CONTINUES: u32 = 1;

/// The memory of one link.
pub(super) struct Chunks {
    pub area: Area,
    /// Initial descriptors by chunk: the packet starts behind the headroom.
    descs: Box<[FrameDesc]>,
    umem: Umem,
    fd: RawFd,
    start: usize,
    shift: u32,
}

impl Chunks {
    /// Allocates and registers the memory. Adds a note if huge pages are unavailable.
    pub(super) fn new(
        config: &Config,
        sizes: &Sizes,
        notes: &mut Vec<String>,
    ) -> Result<Self, OpenError> {
        let umem_config = umem_config(config, sizes)?;
        let count = NonZeroU32::new(sizes.frames).ok_or(OpenError::BadConfig("no frames"))?;
        let huge = config.huge_pages.then(|| Umem::new(umem_config, count, true));
        let (umem, descs) = match huge {
            Some(Ok(made)) => made,
            refused => {
                if refused.is_some() {
                    notes.push(
                        "no free huge pages for frames; using ordinary pages (reserve huge pages \
                         with `sysctl vm.nr_hugepages=64`)"
                            .to_owned(),
                    );
                }
                let bytes = sizes.frames as usize * config.frame_size as usize;
                Umem::new(umem_config, count, false).map_err(|error| {
                    OpenError::from_kernel(
                        &config.interface,
                        config.queue,
                        Step::Memory(bytes),
                        cause_of(&error),
                    )
                })?
            }
        };
        Ok(Self::over(umem, descs, config.frame_size))
    }

    fn over(umem: Umem, mut descs: Vec<FrameDesc>, frame_size: u32) -> Self {
        // SAFETY: the frame has no other user yet: no descriptor has been given to a ring.
        let first = unsafe { umem.data_mut(&mut descs[0]) }.contents().as_ptr() as usize;
        let start = first - descs[0].addr();
        let base = NonNull::new(ptr::with_exposed_provenance_mut(start))
            .expect("a mapping does not start at address zero");
        // SAFETY: the UMEM maps one chunk per descriptor, zeroed by the kernel. `Drop` keeps it
        // mapped while tickets are out, and only ticket holders and the kernel write to chunks.
        let area = unsafe { Area::adopt(base, frame_size, descs.len() as u32) };
        let shift = frame_size.trailing_zeros();
        Self { area, descs: descs.into(), umem, fd: -1, start, shift }
    }

    /// Returns the memory to open a socket over.
    pub(super) const fn umem(&self) -> &Umem {
        &self.umem
    }

    /// Records the socket that keeps the memory registered.
    pub(super) const fn bound_to(&mut self, fd: RawFd) {
        self.fd = fd;
    }

    /// Returns the length of the longest packet that fits a chunk, in bytes.
    pub(super) const fn packet_max(&self) -> usize {
        self.area.chunk() - HEADROOM as usize
    }

    /// Issues a ticket for a packet that the kernel received into the chunk of `desc`.
    #[inline]
    pub(super) fn rx_frame(&mut self, desc: &FrameDesc) -> Frame {
        let (index, offset) = (desc.addr() >> self.shift, desc.addr() & (self.area.chunk() - 1));
        // SAFETY: the descriptor comes from the RX ring, so the kernel has just returned the chunk.
        unsafe { self.area.issue(index as u32, offset as u32, desc.lengths().data() as u32) }
    }

    /// Returns an empty frame if more than `keep` chunks are free.
    #[inline]
    pub(super) fn reserve(&mut self, keep: usize) -> Option<Frame> {
        if self.area.free() <= keep {
            return None;
        }
        let index = self.area.pop_free()?;
        // SAFETY: the chunk was on the free list a line above, so it has no other holder.
        Some(unsafe { self.area.issue(index, HEADROOM, 0) })
    }

    /// Exchanges a ticket for the descriptor that sends its bytes. Returns a frame that belongs to
    /// another link or does not fit behind the headroom of a chunk.
    #[inline]
    pub(super) fn tx_desc(&mut self, mut frame: Frame) -> Result<FrameDesc, Frame> {
        let len = frame.len();
        if !self.area.owns(&frame) || len > self.packet_max() {
            return Err(frame);
        }
        let mut desc = self.descs[frame.index() as usize];
        let place = self.start + desc.addr();
        if frame.address() != place {
            self.realign(&mut frame, place);
        }
        // SAFETY: this function owns the ticket until it redeems it below. Only the descriptor's
        // length is set; the bytes stay untouched.
        unsafe { self.umem.data_mut(&mut desc) }.cursor().set_pos(len);
        self.area.redeem(frame)?;
        Ok(desc)
    }

    /// Copies one part of a longer frame and returns its descriptor; `more` is false for the last
    /// part.
    pub(super) fn tx_part_desc(&mut self, part: &[u8], more: bool) -> Option<FrameDesc> {
        let mut frame = self.reserve(0)?;
        frame.fill(part);
        let mut desc = self.tx_desc(frame).ok()?;
        desc.set_options(if more { PACKET_CONTINUES } else { 0 });
        Some(desc)
    }

    /// Moves the bytes of a frame that does not start right behind the headroom (an XDP program
    /// moved its start) to `place`, the address in the descriptor of its chunk.
    #[cold]
    fn realign(&self, frame: &mut Frame, place: usize) {
        debug_assert!(place - self.start + frame.len() <= self.area.count() * self.area.chunk());
        let to: *mut u8 = ptr::with_exposed_provenance_mut(place);
        // SAFETY: both ranges lie in the frame's own chunk (`tx_desc` checked that the length fits
        // behind the headroom), which the ticket gives access to; `copy` allows overlap.
        unsafe { ptr::copy(frame.as_ptr(), to, frame.len()) };
    }

    /// Takes up to `n` chunks off the free list, as descriptors for the fill ring.
    pub(super) fn post(&mut self, n: usize, descs: &mut Vec<FrameDesc>) {
        descs.clear();
        let chunks = std::iter::from_fn(|| self.area.pop_free()).take(n);
        descs.extend(chunks.map(|index| self.descs[index as usize]));
    }

    /// Puts the chunk of `desc`, returned by the kernel, on the free list.
    #[inline]
    pub(super) fn reclaim(&mut self, desc: &FrameDesc) {
        self.area.push_free((desc.addr() >> self.shift) as u32);
    }
}

impl Drop for Chunks {
    /// The rings are already dropped (they are declared before the chunks). Without outstanding
    /// tickets the UMEM unmaps the memory. With outstanding tickets the mapping must stay, but the
    /// socket must not, since it would keep the queue busy; close it here, because the leaked UMEM
    /// no longer does.
    fn drop(&mut self) {
        if self.area.out() > 0 {
            std::mem::forget(self.umem.clone());
            if self.fd >= 0 {
                // SAFETY: the leaked clone prevents xsk-rs from closing it, so this is the only
                // close.
                unsafe { libc::close(self.fd) };
            }
        }
    }
}

fn umem_config(config: &Config, sizes: &Sizes) -> Result<UmemConfig, OpenError> {
    let size = FrameSize::new(config.frame_size);
    let rings = QueueSize::new(sizes.fill_ring).and_then(|fill| {
        QueueSize::new(sizes.completion_ring).map(|completion| (fill, completion))
    });
    let (Ok(size), Ok((fill, completion))) = (size, rings) else {
        return Err(OpenError::BadConfig("ring sizes are powers of two"));
    };
    UmemConfig::builder()
        .frame_size(size)
        .fill_queue_size(fill)
        .comp_queue_size(completion)
        .build()
        .map_err(|_| OpenError::BadConfig("a frame must be longer than its headroom"))
}

//! The chunks of a link's memory: which descriptor and which ticket stand for the same bytes.
//!
//! Owns the mapping that the kernel knows as the UMEM, and the area over it. A chunk is on the free list,
//! behind a ticket, or with the kernel; every descriptor handed out here says that its chunk is now
//! with the kernel.

use std::num::NonZeroU32;
use std::os::fd::RawFd;
use std::ptr::{self, NonNull};

use xsk_rs::config::{FrameSize, QueueSize, UmemConfig};
use xsk_rs::{FrameDesc, Umem};

use super::config::{Config, HEADROOM, Sizes};
use super::error::{OpenError, Step, cause_of};
use crate::link::{Area, Frame};

/// linux/if_xdp.h, XDP_PKT_CONTD: another descriptor of the same packet follows.
const PACKET_CONTINUES: u32 = 1;

/// The memory of one link.
pub(super) struct Chunks {
    pub area: Area,
    /// By chunk, as the UMEM made them: the packet starts behind the headroom.
    descs: Box<[FrameDesc]>,
    umem: Umem,
    fd: RawFd,
    start: usize,
    shift: u32,
}

impl Chunks {
    /// Reserves and registers the memory; the notes tell what could not be had.
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
                        "no free huge pages for the frames: ordinary pages (reserve some with `sysctl \
                         vm.nr_hugepages=64`)"
                            .to_owned(),
                    );
                }
                let bytes = sizes.frames as usize * config.frame_size as usize;
                Umem::new(umem_config, count, false).map_err(|error| {
                    OpenError::from_kernel(config, Step::Memory(bytes), cause_of(&error))
                })?
            }
        };
        Ok(Self::over(umem, descs, config.frame_size))
    }

    fn over(umem: Umem, mut descs: Vec<FrameDesc>, frame_size: u32) -> Self {
        // SAFETY: nobody else uses the frame yet: no descriptor has been given to a ring.
        let first = unsafe { umem.data_mut(&mut descs[0]) }.contents().as_ptr() as usize;
        let start = first - descs[0].addr();
        let base = NonNull::new(ptr::with_exposed_provenance_mut(start))
            .expect("a mapping does not start at address zero");
        // SAFETY: the UMEM maps one chunk for each descriptor, zeroed by the kernel; `Drop` keeps it
        // mapped while tickets are out; and only ticket holders and the kernel write to chunks.
        let area = unsafe { Area::adopt(base, frame_size, descs.len() as u32) };
        let shift = frame_size.trailing_zeros();
        Self { area, descs: descs.into(), umem, fd: -1, start, shift }
    }

    /// The memory to open a socket over.
    pub(super) const fn umem(&self) -> &Umem {
        &self.umem
    }

    /// Remembers which descriptor keeps the memory registered.
    pub(super) const fn bound_to(&mut self, fd: RawFd) {
        self.fd = fd;
    }

    /// Bytes of the longest packet that a chunk takes.
    pub(super) const fn packet_max(&self) -> usize {
        self.area.chunk() - HEADROOM as usize
    }

    /// A ticket for a packet that the kernel has put into the chunk of `desc`.
    #[inline]
    pub(super) fn arrived(&mut self, desc: &FrameDesc) -> Frame {
        let (index, offset) = (desc.addr() >> self.shift, desc.addr() & (self.area.chunk() - 1));
        // SAFETY: the descriptor comes off the rx ring: the kernel has just given the chunk back.
        unsafe { self.area.issue(index as u32, offset as u32, desc.lengths().data() as u32) }
    }

    /// An empty frame, if more than `keep` chunks are free.
    #[inline]
    pub(super) fn reserve(&mut self, keep: usize) -> Option<Frame> {
        if self.area.free() <= keep {
            return None;
        }
        let index = self.area.pop_free()?;
        // SAFETY: the chunk was on the free list a line above, so nobody holds it.
        Some(unsafe { self.area.issue(index, HEADROOM, 0) })
    }

    /// Takes a ticket for the descriptor to send its bytes with. A frame of another link, or one
    /// longer than a chunk past its headroom, comes back.
    #[inline]
    pub(super) fn leaving(&mut self, mut frame: Frame) -> Result<FrameDesc, Frame> {
        let len = frame.len();
        if !self.area.owns(&frame) || len > self.packet_max() {
            return Err(frame);
        }
        let mut desc = self.descs[frame.index() as usize];
        let place = self.start + desc.addr();
        if frame.address() != place {
            self.straighten(&mut frame, place);
        }
        // SAFETY: the ticket is ours until it is redeemed below; only the descriptor's length is set,
        // the bytes stay untouched.
        unsafe { self.umem.data_mut(&mut desc) }.cursor().set_pos(len);
        self.area.redeem(frame)?;
        Ok(desc)
    }

    /// A copy of one part of a longer frame, ready to be sent; `more` tells whether it is not the last.
    pub(super) fn leaving_part(&mut self, part: &[u8], more: bool) -> Option<FrameDesc> {
        let mut frame = self.reserve(0)?;
        frame.fill(part);
        let mut desc = self.leaving(frame).ok()?;
        desc.set_options(if more { PACKET_CONTINUES } else { 0 });
        Some(desc)
    }

    /// Moves the bytes of a frame that does not start behind the headroom (an XDP program moved its
    /// head) to `place`, where the descriptor of its chunk points.
    #[cold]
    fn straighten(&self, frame: &mut Frame, place: usize) {
        debug_assert!(place - self.start + frame.len() <= self.area.count() * self.area.chunk());
        let to: *mut u8 = ptr::with_exposed_provenance_mut(place);
        // SAFETY: both places lie in the frame's own chunk (`leaving` checked that its length fits
        // behind the headroom), which the ticket gives access to; `copy` allows overlap.
        unsafe { ptr::copy(frame.as_ptr(), to, frame.len()) };
    }

    /// Takes up to `n` chunks off the free list, as descriptors for the fill ring.
    pub(super) fn post(&mut self, n: usize, descs: &mut Vec<FrameDesc>) {
        descs.clear();
        let taken = std::iter::from_fn(|| self.area.pop_free()).take(n);
        descs.extend(taken.map(|index| self.descs[index as usize]));
    }

    /// Takes the chunk of `desc` back from the kernel.
    #[inline]
    pub(super) fn returned(&mut self, desc: &FrameDesc) {
        self.area.push_free((desc.addr() >> self.shift) as u32);
    }
}

impl Drop for Chunks {
    /// The rings are gone by now (they are declared before the chunks). Without tickets the mapping
    /// goes with the UMEM. With tickets out it must stay, for good; but not the socket, which would
    /// keep the queue busy: we close it ourselves, since the forgotten UMEM no longer will.
    fn drop(&mut self) {
        if self.area.out() > 0 {
            std::mem::forget(self.umem.clone());
            if self.fd >= 0 {
                // SAFETY: the forgotten clone keeps xsk-rs from ever closing it, so this is the one time.
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
        return Err(OpenError::BadConfig("a ring takes a power of two"));
    };
    UmemConfig::builder()
        .frame_size(size)
        .fill_queue_size(fill)
        .comp_queue_size(completion)
        .build()
        .map_err(|_| OpenError::BadConfig("a frame must be longer than its headroom"))
}

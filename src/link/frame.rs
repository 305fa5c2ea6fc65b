//! A frame: an unclonable ticket for one buffer of a link's memory area.
//!
//! Owns the memory of the buffers, the free list, and the rule that one buffer has at most one
//! holder: an index is on the free list, with the device, or inside exactly one [`Frame`]. Knows
//! nothing about rings and devices. A frame that is dropped instead of released stays counted as
//! held, and its area is then never freed, so no ticket can outlive its memory.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

/// One buffer of an area, owned by the holder of the ticket. Dereferences to the bytes of the frame
/// from the Ethernet destination address on, without FCS.
///
/// Give it back with [`Link::transmit`](super::Link::transmit) or
/// [`Link::release`](super::Link::release) of the link it came from; a wrapper passes it on to the
/// inner link.
#[must_use = "a frame that is dropped is lost to its link: transmit or release it"]
pub struct Frame {
    start: NonNull<u8>,
    len: u32,
    capacity: u32,
    index: u32,
    area: u32,
}

// SAFETY: a ticket is the only access to its buffer (`Area::issue`), so moving it to another thread
// moves the access with it.
unsafe impl Send for Frame {}

impl Frame {
    /// Returns the capacity of the buffer in bytes.
    #[inline]
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Sets the length of the frame, at most its capacity. Bytes beyond the old length keep the
    /// previous contents of the buffer.
    #[inline]
    pub const fn set_len(&mut self, len: usize) {
        self.len = if len < self.capacity as usize { len as u32 } else { self.capacity };
    }

    /// Returns the whole buffer, including the part beyond the frame's length. Write a packet here,
    /// then call [`set_len`](Self::set_len).
    #[inline]
    pub const fn buffer(&mut self) -> &mut [u8] {
        // SAFETY: `capacity` bytes from `start` belong to this ticket alone (`Area::issue`), are
        // initialised, and live as long as any ticket (`Area::drop`).
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.capacity as usize) }
    }

    /// Copies `bytes` into the frame, truncated to its capacity.
    pub fn fill(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.capacity());
        self.buffer()[..len].copy_from_slice(&bytes[..len]);
        self.set_len(len);
    }

    /// Returns the identifier of the buffer's area.
    #[inline]
    pub(super) const fn area(&self) -> u32 {
        self.area
    }

    /// Returns the index of the chunk in its area.
    #[cfg(feature = "xdp")]
    #[inline]
    pub(super) const fn index(&self) -> u32 {
        self.index
    }

    /// Returns the address of the first byte.
    #[cfg(feature = "xdp")]
    #[inline]
    pub(super) fn address(&self) -> usize {
        self.start.as_ptr() as usize
    }
}

impl Deref for Frame {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: as in `buffer`; `len` is at most `capacity`.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len as usize) }
    }
}

impl DerefMut for Frame {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `buffer`; `len` is at most `capacity`.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len as usize) }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({}:{}, {} of {} bytes)", self.area, self.index, self.len, self.capacity)
    }
}

/// Location of a link's frames. The sum is constant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    /// Frames on the fill ring or in the device, waiting for a packet.
    pub rx_posted: usize,
    /// Frames on the TX ring or in the device, waiting for transmission.
    pub tx_posted: usize,
    /// Frames held by the user of the link, or delayed by an impairment.
    pub held: usize,
    /// Frames on the free list.
    pub free: usize,
}

impl Accounting {
    /// Returns the total number of frames.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.rx_posted + self.tx_posted + self.held + self.free
    }
}

/// A cache line. Aligns buffers so that no two share one.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line(#[expect(dead_code, reason = "reached as bytes")] [u8; LINE]);

const LINE: usize = 64;
const _: () = assert!(size_of::<Line>() == LINE && align_of::<Line>() == LINE);

/// Owner of an area's memory.
enum Memory {
    /// The area itself, which frees it: this many cache lines.
    Own(usize),
    /// The caller of `adopt`, which keeps it at least as long as tickets are out.
    #[cfg(feature = "xdp")]
    Adopted,
}

/// The memory of a link's frames, divided into chunks of one size, and the free list.
pub struct Area {
    start: NonNull<u8>,
    chunk: u32,
    count: u32,
    id: u32,
    out: usize,
    free: Vec<u32>,
    memory: Memory,
}

// SAFETY: the area owns its memory, or has exclusive use of it by the contract of `adopt`;
// outstanding tickets never overlap the chunks that it issues next.
unsafe impl Send for Area {}

impl Area {
    /// Allocates memory for `count` free frames of at least `chunk` bytes each. Clamps sizes that
    /// do not fit an index.
    #[must_use]
    pub fn new(count: usize, chunk: usize) -> Self {
        let lines_each = chunk.clamp(1, 1 << 20).div_ceil(LINE);
        let count = count.clamp(1, 1 << 24);
        let lines = vec![Line([0; LINE]); lines_each * count].into_boxed_slice();
        let (chunk, memory) = ((lines_each * LINE) as u32, Memory::Own(lines.len()));
        let start = NonNull::from(Box::leak(lines)).cast();
        Self::with(start, chunk, count as u32, memory)
    }

    /// Creates an area over memory that the caller owns.
    ///
    /// # Safety
    /// `count * chunk` initialised bytes from `start` stay mapped until the area is gone and every
    /// ticket has come back ([`out`](Self::out) is 0). Only the holders of tickets and the device
    /// (for indices from [`pop_free`](Self::pop_free)) access them.
    #[cfg(feature = "xdp")]
    pub(super) unsafe fn adopt(start: NonNull<u8>, chunk: u32, count: u32) -> Self {
        Self::with(start, chunk, count, Memory::Adopted)
    }

    fn with(start: NonNull<u8>, chunk: u32, count: u32, memory: Memory) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        // The last index pushed is the first reserved: low addresses are reused first and stay in
        // the cache.
        let free = (0..count).rev().collect();
        Self { start, chunk, count, id, out: 0, free, memory }
    }

    /// Returns the total number of frames.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count as usize
    }

    /// Returns the length of a chunk in bytes.
    #[must_use]
    pub const fn chunk(&self) -> usize {
        self.chunk as usize
    }

    /// Returns the number of frames on the free list.
    #[inline]
    #[must_use]
    pub const fn free(&self) -> usize {
        self.free.len()
    }

    /// Returns the number of outstanding tickets.
    #[inline]
    #[must_use]
    pub const fn out(&self) -> usize {
        self.out
    }

    /// Returns true if `frame` belongs to this area.
    #[inline]
    #[must_use]
    pub const fn owns(&self, frame: &Frame) -> bool {
        frame.area() == self.id
    }

    /// Takes a free chunk and returns an empty frame over its whole length.
    #[inline]
    pub fn reserve(&mut self) -> Option<Frame> {
        let index = self.free.pop()?;
        // SAFETY: the index was on the free list, so it has no other holder.
        Some(unsafe { self.issue(index, 0, 0) })
    }

    /// Puts a frame back on the free list.
    ///
    /// # Errors
    /// Returns a frame of another area to the caller.
    #[inline]
    pub fn release(&mut self, frame: Frame) -> Result<(), Frame> {
        let index = self.redeem(frame)?;
        self.free.push(index);
        Ok(())
    }

    /// Takes a chunk off the free list without a ticket, to hand it to a device.
    #[cfg(feature = "xdp")]
    #[inline]
    pub(super) fn pop_free(&mut self) -> Option<u32> {
        self.free.pop()
    }

    /// Puts a chunk from a device back on the free list.
    #[cfg(feature = "xdp")]
    #[inline]
    pub(super) fn push_free(&mut self, index: u32) {
        debug_assert!(index < self.count && self.free.len() < self.count());
        self.free.push(index);
    }

    /// Issues a ticket for the chunk `index`. Its bytes start `offset` into the chunk and are `len`
    /// long.
    ///
    /// # Safety
    /// The chunk is not on the free list, not with the device, and has no ticket.
    #[inline]
    pub(super) unsafe fn issue(&mut self, index: u32, offset: u32, len: u32) -> Frame {
        debug_assert!(index < self.count && offset <= self.chunk && len <= self.chunk - offset);
        self.out += 1;
        // SAFETY: the chunk lies inside the area, and `offset` inside the chunk.
        let start = unsafe { self.start.add(index as usize * self.chunk() + offset as usize) };
        Frame { start, len, capacity: self.chunk - offset, index, area: self.id }
    }

    /// Returns the `N` bytes in front of `frame`, or `None` if its chunk has fewer or belongs to
    /// another area.
    #[cfg(feature = "xdp")]
    #[inline]
    pub(super) fn in_front<'a, const N: usize>(
        &self,
        frame: &'a mut Frame,
    ) -> Option<&'a mut [u8; N]> {
        let offset = self.chunk() - frame.capacity().min(self.chunk());
        if !self.owns(frame) || offset < N {
            return None;
        }
        // SAFETY: a frame's capacity ends with its chunk (`issue`), so `offset` bytes of this chunk
        // lie in front of it. They belong to the ticket like the rest, are initialised, and have no
        // other view while the ticket is borrowed.
        Some(unsafe { frame.start.sub(N).cast::<[u8; N]>().as_mut() })
    }

    /// Consumes a ticket and returns its chunk to the caller.
    #[inline]
    pub(super) fn redeem(&mut self, frame: Frame) -> Result<u32, Frame> {
        if !self.owns(&frame) {
            return Err(frame);
        }
        self.out -= 1;
        Ok(frame.index)
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        match self.memory {
            // A holder of an outstanding ticket may still write through it, so leak the memory
            // instead.
            Memory::Own(lines) if self.out == 0 => {
                let lines = NonNull::slice_from_raw_parts(self.start.cast::<Line>(), lines);
                // SAFETY: `new` leaked exactly this box, and no ticket for it is outstanding.
                drop(unsafe { Box::from_raw(lines.as_ptr()) });
            }
            _ => {}
        }
    }
}

impl fmt::Debug for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, count, chunk) = (self.id, self.count, self.chunk);
        write!(f, "Area({id}: {count} of {chunk} bytes, {} free, {} out)", self.free(), self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_24_bytes_and_can_be_sent_to_another_thread() {
        fn sendable<T: Send>() {}
        sendable::<Frame>();
        sendable::<Area>();
        assert_eq!(size_of::<Frame>(), 24);
        assert_eq!(size_of::<Option<Frame>>(), 24);
    }

    #[test]
    fn no_two_tickets_share_a_byte() {
        let mut area = Area::new(8, 100);
        let mut frames: Vec<_> = core::iter::from_fn(|| area.reserve()).collect();
        assert_eq!((frames.len(), area.free(), area.out()), (8, 0, 8));
        for (n, frame) in frames.iter_mut().enumerate() {
            assert_eq!(
                (frame.len(), frame.capacity(), frame.buffer().as_ptr() as usize % LINE),
                (0, 128, 0)
            );
            frame.buffer().fill(n as u8);
            frame.set_len(usize::MAX);
        }
        assert!(frames.iter().enumerate().all(|(n, f)| f.iter().all(|byte| *byte == n as u8)));
        assert!(frames.drain(..).all(|frame| area.release(frame).is_ok()));
        assert_eq!((area.free(), area.out()), (8, 0));
    }

    #[test]
    fn the_last_released_is_the_first_reserved() {
        let mut area = Area::new(4, 64);
        let (a, b) = (area.reserve().unwrap(), area.reserve().unwrap());
        let at = b.as_ptr();
        area.release(a).unwrap();
        area.release(b).unwrap();
        let again = area.reserve().unwrap();
        assert_eq!(again.as_ptr(), at);
        area.release(again).unwrap();
    }

    #[test]
    fn a_frame_of_another_area_is_rejected() {
        let (mut a, mut b) = (Area::new(1, 64), Area::new(1, 64));
        let frame = a.reserve().unwrap();
        let frame = b.release(frame).unwrap_err();
        assert!(a.owns(&frame) && !b.owns(&frame));
        a.release(frame).unwrap();
        assert_eq!((a.free(), b.free()), (1, 1));
    }

    #[test]
    fn a_ticket_outlives_its_area_without_harm() {
        let mut area = Area::new(1, 64);
        let mut frame = area.reserve().unwrap();
        drop(area);
        frame.fill(&[7; 100]);
        assert_eq!(&frame[..], &[7; 64]);
    }
}

//! A frame: an unclonable ticket for one buffer of a link's memory area.
//!
//! Owns the memory of the buffers, the free list, and the rule that one buffer has at most one holder:
//! an index is on the free list, with the device, or inside exactly one [`Frame`]. Refuses to know
//! rings and devices. A frame that is dropped instead of given back stays counted as held for good,
//! and its area is then never freed, so that no ticket can outlive its memory.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

/// One buffer of an area, owned by whoever holds the ticket. Dereferences to the frame's bytes, from
/// the Ethernet destination address on, without FCS.
///
/// Give it back with [`Link::transmit`](super::Link::transmit) or [`Link::release`](super::Link::release)
/// of the link it came from; a wrapper hands it on to the link inside.
#[must_use = "a frame that is dropped is lost to its link: transmit or release it"]
pub struct Frame {
    start: NonNull<u8>,
    len: u32,
    capacity: u32,
    index: u32,
    area: u32,
}

// SAFETY: a ticket is the only access to its buffer (`Area::issue`), so that moving it to another
// thread moves the access with it.
unsafe impl Send for Frame {}

impl Frame {
    /// Bytes that the buffer can hold.
    #[inline]
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Makes the frame `len` bytes long, at most its capacity. Bytes gained are whatever the buffer
    /// held before.
    #[inline]
    pub const fn set_len(&mut self, len: usize) {
        self.len = if len < self.capacity as usize { len as u32 } else { self.capacity };
    }

    /// The whole buffer, past the frame's length too: write a packet here, then [`set_len`](Self::set_len).
    #[inline]
    pub const fn buffer(&mut self) -> &mut [u8] {
        // SAFETY: `capacity` bytes from `start` belong to this ticket alone (`Area::issue`), are
        // initialised, and live as long as any ticket (`Area::drop`).
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.capacity as usize) }
    }

    /// Makes the frame hold a copy of as much of `bytes` as fits.
    pub fn fill(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.capacity());
        self.buffer()[..len].copy_from_slice(&bytes[..len]);
        self.set_len(len);
    }

    /// Which area the buffer belongs to.
    #[inline]
    pub(super) const fn area(&self) -> u32 {
        self.area
    }

    /// Which chunk of the area it is.
    #[cfg(feature = "xdp")]
    #[inline]
    pub(super) const fn index(&self) -> u32 {
        self.index
    }

    /// The address of the first byte.
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

/// Where the frames of a link are. The sum never changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    /// On the fill ring or in the device, waiting for a packet.
    pub rx_posted: usize,
    /// On the tx ring or in the device, waiting to leave.
    pub tx_posted: usize,
    /// In the hands of the link's user, or delayed by an impairment.
    pub held: usize,
    /// On the free list.
    pub free: usize,
}

impl Accounting {
    /// All frames there are.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.rx_posted + self.tx_posted + self.held + self.free
    }
}

/// A cache line, so that no two buffers share one.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line(#[expect(dead_code, reason = "reached as bytes")] [u8; LINE]);

const LINE: usize = 64;
const _: () = assert!(size_of::<Line>() == LINE && align_of::<Line>() == LINE);

/// Whose memory an area lies in.
enum Memory {
    /// Its own, to be freed with it: this many cache lines.
    Own(usize),
    /// Somebody else's, who keeps it at least as long as tickets are out.
    #[cfg(feature = "xdp")]
    Adopted,
}

/// The memory of a link's frames, cut into chunks of one size, and the list of the free ones.
pub struct Area {
    start: NonNull<u8>,
    chunk: u32,
    count: u32,
    id: u32,
    out: usize,
    free: Vec<u32>,
    memory: Memory,
}

// SAFETY: the area owns its memory, or was promised it (`adopt`); tickets never overlap what it hands
// out next.
unsafe impl Send for Area {}

impl Area {
    /// Memory for `count` frames of at least `chunk` bytes each, all free. Sizes beyond what fits an
    /// index are cut to it.
    #[must_use]
    pub fn new(count: usize, chunk: usize) -> Self {
        let lines_each = chunk.clamp(1, 1 << 20).div_ceil(LINE);
        let count = count.clamp(1, 1 << 24);
        let lines = vec![Line([0; LINE]); lines_each * count].into_boxed_slice();
        let (chunk, memory) = ((lines_each * LINE) as u32, Memory::Own(lines.len()));
        let start = NonNull::from(Box::leak(lines)).cast();
        Self::with(start, chunk, count as u32, memory)
    }

    /// An area over memory of somebody else.
    ///
    /// # Safety
    /// `count * chunk` initialised bytes from `start` stay mapped until the area is gone and every
    /// ticket has come back ([`out`](Self::out) is 0), and nobody but the holders of tickets and the
    /// device (for indices taken by [`pop_free`](Self::pop_free)) touches them.
    #[cfg(feature = "xdp")]
    pub(super) unsafe fn adopt(start: NonNull<u8>, chunk: u32, count: u32) -> Self {
        Self::with(start, chunk, count, Memory::Adopted)
    }

    fn with(start: NonNull<u8>, chunk: u32, count: u32, memory: Memory) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        // The last pushed is the first taken: the lowest addresses are used first and stay in cache.
        let free = (0..count).rev().collect();
        Self { start, chunk, count, id, out: 0, free, memory }
    }

    /// Frames in all.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count as usize
    }

    /// Bytes of one chunk.
    #[must_use]
    pub const fn chunk(&self) -> usize {
        self.chunk as usize
    }

    /// Frames on the free list.
    #[inline]
    #[must_use]
    pub const fn free(&self) -> usize {
        self.free.len()
    }

    /// Tickets that were issued and have not come back.
    #[inline]
    #[must_use]
    pub const fn out(&self) -> usize {
        self.out
    }

    /// Whether `frame` is one of this area's.
    #[inline]
    #[must_use]
    pub const fn owns(&self, frame: &Frame) -> bool {
        frame.area() == self.id
    }

    /// An empty frame over a free chunk's whole length.
    #[inline]
    pub fn reserve(&mut self) -> Option<Frame> {
        let index = self.free.pop()?;
        // SAFETY: the index was on the free list, so nobody holds it.
        Some(unsafe { self.issue(index, 0, 0) })
    }

    /// Takes a frame back onto the free list.
    ///
    /// # Errors
    /// A frame of another area comes back to the caller.
    #[inline]
    pub fn release(&mut self, frame: Frame) -> Result<(), Frame> {
        let index = self.redeem(frame)?;
        self.free.push(index);
        Ok(())
    }

    /// Takes a chunk off the free list without a ticket, to give it to a device.
    #[cfg(feature = "xdp")]
    #[inline]
    pub(super) fn pop_free(&mut self) -> Option<u32> {
        self.free.pop()
    }

    /// Takes a chunk back from a device.
    #[cfg(feature = "xdp")]
    #[inline]
    pub(super) fn push_free(&mut self, index: u32) {
        debug_assert!(index < self.count && self.free.len() < self.count());
        self.free.push(index);
    }

    /// A ticket for the chunk `index`, its bytes starting `offset` into the chunk, `len` long.
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

    /// The `N` bytes in front of the first one of `frame`; `None` where its chunk has not as many, or is none of this
    /// area's.
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
        // SAFETY: a frame's capacity ends with its chunk (`issue`), so that `offset` bytes of this chunk lie in front
        // of it, which belong to the ticket as the rest does; they are initialised, and nobody has a view of them
        // while the ticket is borrowed.
        Some(unsafe { frame.start.sub(N).cast::<[u8; N]>().as_mut() })
    }

    /// Takes a ticket in; the chunk is now with the caller.
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
            // Whoever holds a ticket may still write through it: better a leak than that.
            Memory::Own(lines) if self.out == 0 => {
                let lines = NonNull::slice_from_raw_parts(self.start.cast::<Line>(), lines);
                // SAFETY: `new` leaked exactly this box, and no ticket into it is left.
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
    fn a_frame_of_another_area_is_refused() {
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

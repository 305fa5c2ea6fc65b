//! The memory of reassembly: pages of one size, taken and given back, never more than at the start.

/// Bytes of a page: a fragment of an Ethernet packet takes one or two. Smaller, and a datagram
/// needs more of them than it can name; larger, and a tiny fragment pins more.
pub(super) const PAGE: usize = 2048;

/// Pages of the longest datagram.
pub(super) const PAGES_PER_DATAGRAM: usize = (1 << 16) / PAGE;

/// No page.
pub(super) const NONE: u16 = u16::MAX;

/// All pages.
pub(super) struct Pages {
    memory: Box<[u8]>,
    free: Vec<u16>,
}

impl Pages {
    /// As many pages as `bytes` hold, enough for the longest datagram at least.
    pub(super) fn new(bytes: usize) -> Self {
        let count = (bytes / PAGE).clamp(PAGES_PER_DATAGRAM, usize::from(NONE));
        let memory = vec![0; count * PAGE].into_boxed_slice();
        Self { memory, free: (0..count as u16).rev().collect() }
    }

    /// Pages that nobody has.
    pub(super) const fn free(&self) -> usize {
        self.free.len()
    }

    pub(super) fn take(&mut self) -> Option<u16> {
        self.free.pop()
    }

    pub(super) fn give_back(&mut self, page: u16) {
        self.free.push(page);
    }

    pub(super) fn page(&self, page: u16) -> &[u8] {
        let at = usize::from(page) * PAGE;
        &self.memory[at..at + PAGE]
    }

    pub(super) fn page_mut(&mut self, page: u16) -> &mut [u8] {
        let at = usize::from(page) * PAGE;
        &mut self.memory[at..at + PAGE]
    }
}

//! The memory of reassembly: a fixed number of pages of one size.

/// Bytes of a page. A fragment of an Ethernet packet takes one or two. Smaller pages would need
/// longer page lists in every datagram; larger pages waste more memory on tiny fragments.
pub(super) const PAGE: usize = 2048;

/// Pages of the longest datagram.
pub(super) const PAGES_PER_DATAGRAM: usize = (1 << 16) / PAGE;

/// Marks the absence of a page in a list.
pub(super) const NONE: u16 = u16::MAX;

/// The pool of pages.
pub(super) struct Pages {
    memory: Box<[u8]>,
    free: Vec<u16>,
}

impl Pages {
    /// Creates a pool of `bytes`, but at least large enough for the longest datagram.
    pub(super) fn new(bytes: usize) -> Self {
        let count = (bytes / PAGE).clamp(PAGES_PER_DATAGRAM, usize::from(NONE));
        let memory = vec![0; count * PAGE].into_boxed_slice();
        Self { memory, free: (0..count as u16).rev().collect() }
    }

    /// Returns the number of free pages.
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

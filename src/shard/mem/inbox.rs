//! Frames that wait for the next turn: handed over by other workers, or reassembled here.

/// Handed-over and reassembled frames, stored in one buffer.
#[derive(Debug, Default)]
pub(in crate::shard) struct Inbox {
    bytes: Vec<u8>,
    frames: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    len: usize,
    hops: u8,
    /// The frame was reassembled from fragments.
    was_fragmented: bool,
}

impl Inbox {
    /// Appends a copy of a frame.
    pub(in crate::shard) fn push(&mut self, frame: &[u8], hops: u8) {
        let (start, len) = (self.bytes.len(), frame.len());
        self.frames.push(Entry { start, len, hops, was_fragmented: false });
        self.bytes.extend_from_slice(frame);
    }

    /// Appends a reassembled frame, which `write` appends to the buffer.
    ///
    /// # Errors
    /// Returns the error of `write` and appends nothing.
    pub(in crate::shard) fn push_reassembled<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        let written = write(&mut self.bytes);
        match written {
            Ok(()) => {
                let len = self.bytes.len() - start;
                self.frames.push(Entry { start, len, hops: 0, was_fragmented: true });
            }
            Err(_) => self.bytes.truncate(start),
        }
        written
    }

    /// Returns true if frame `at` was reassembled from fragments.
    pub(in crate::shard) fn was_fragmented(&self, at: usize) -> bool {
        self.frames[at].was_fragmented
    }

    /// Appends all frames of another inbox and clears that one.
    pub(in crate::shard) fn append(&mut self, other: &mut Self) {
        let from = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        let moved =
            other.frames.drain(..).map(|entry| Entry { start: entry.start + from, ..entry });
        self.frames.extend(moved);
    }

    pub(in crate::shard) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Returns the bytes of frame `at`, and the number of workers that saw it before.
    pub(in crate::shard) fn frame(&self, at: usize) -> (&[u8], u8) {
        let entry = self.frames[at];
        (&self.bytes[entry.start..entry.start + entry.len], entry.hops)
    }

    /// Removes all frames, keeping the memory.
    pub(in crate::shard) fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_other_workers_wait_in_order_with_their_hops() {
        let mut inbox = Inbox::default();
        inbox.push(b"first", 1);
        inbox.push(b"second", 2);
        assert_eq!(inbox.len(), 2);
        assert_eq!(inbox.frame(0), (&b"first"[..], 1));
        assert_eq!(inbox.frame(1), (&b"second"[..], 2));
        inbox.clear();
        assert_eq!(inbox.len(), 0);
    }
}

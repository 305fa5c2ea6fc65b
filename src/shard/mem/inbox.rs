//! Frames that wait for the next turn: other workers have handed them here, or they were reassembled.

/// Frames that other workers have handed here, until the next turn.
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
    /// It came in parts.
    was_fragmented: bool,
}

impl Inbox {
    /// Keeps a copy.
    pub(in crate::shard) fn push(&mut self, frame: &[u8], hops: u8) {
        let (start, len) = (self.bytes.len(), frame.len());
        self.frames.push(Entry { start, len, hops, was_fragmented: false });
        self.bytes.extend_from_slice(frame);
    }

    /// Keeps a frame that was put together of parts: `write` appends it.
    ///
    /// # Errors
    /// Those of `write`; nothing is kept then.
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

    /// Whether frame `at` came in parts.
    pub(in crate::shard) fn was_fragmented(&self, at: usize) -> bool {
        self.frames[at].was_fragmented
    }

    /// Appends all frames of another.
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

    /// The bytes of frame `at` and how many workers saw it before.
    pub(in crate::shard) fn frame(&self, at: usize) -> (&[u8], u8) {
        let entry = self.frames[at];
        (&self.bytes[entry.start..entry.start + entry.len], entry.hops)
    }

    /// Forgets all, keeping the memory.
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

//! News of streams that wait for room on a ring, merged by stream.

use std::collections::VecDeque;

use crate::net::ring::{Corrupt, Entry, PushError, SeatRings};

/// Flags to send of each stream. A stream waits at most once.
#[derive(Debug)]
pub(super) struct Outbox {
    flags: Vec<u8>,
    waiting: VecDeque<u32>,
    /// Entries that are not merged, in front of the flags.
    entries: VecDeque<Entry>,
}

/// The outcome of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Flushed {
    /// Nothing was sent.
    Nothing,
    /// Entries were sent: ring the doorbell.
    Sent,
}

impl Outbox {
    pub(super) fn new(streams: u32) -> Self {
        Self {
            flags: vec![0; streams as usize],
            waiting: VecDeque::new(),
            entries: VecDeque::new(),
        }
    }

    /// Adds flags of a stream.
    pub(super) fn add(&mut self, stream: u32, flags: u8) {
        let Some(pending) = self.flags.get_mut(stream as usize) else { return };
        if *pending == 0 && flags != 0 {
            self.waiting.push_back(stream);
        }
        *pending |= flags;
    }

    /// Adds an entry that is sent before all flags.
    pub(super) fn add_entry(&mut self, entry: Entry) {
        self.entries.push_back(entry);
    }

    /// Forgets the flags of a stream.
    pub(super) fn clear(&mut self, stream: u32) {
        if let Some(pending) = self.flags.get_mut(stream as usize) {
            *pending = 0;
        }
    }

    /// Returns true if nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.waiting.is_empty()
    }

    /// Sends what fits. `entry` makes the entry of a stream and its flags.
    pub(super) fn flush(
        &mut self,
        rings: &mut SeatRings,
        mut entry: impl FnMut(u32, u8) -> Entry,
    ) -> Result<Flushed, Corrupt> {
        let mut flushed = Flushed::Nothing;
        while let Some(first) = self.entries.front() {
            match rings.push(*first) {
                Ok(()) => flushed = Flushed::Sent,
                Err(PushError::Full) => return Ok(flushed),
                Err(PushError::Corrupt(corrupt)) => return Err(corrupt),
            }
            self.entries.pop_front();
        }
        while let Some(stream) = self.waiting.front().copied() {
            let flags = self.flags[stream as usize];
            if flags != 0 {
                match rings.push(entry(stream, flags)) {
                    Ok(()) => flushed = Flushed::Sent,
                    Err(PushError::Full) => return Ok(flushed),
                    Err(PushError::Corrupt(corrupt)) => return Err(corrupt),
                }
            }
            self.flags[stream as usize] = 0;
            self.waiting.pop_front();
        }
        Ok(flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(stream: u32, flags: u8) -> Entry {
        Entry { stream, flags, ..Entry::default() }
    }

    #[test]
    fn flags_of_a_stream_are_merged_until_there_is_room() {
        let (mut client, mut worker) = SeatRings::pair(2).expect("memory");
        let mut outbox = Outbox::new(4);
        for stream in [0, 1, 2] {
            outbox.add(stream, 1);
        }
        assert_eq!(outbox.flush(&mut client, entry), Ok(Flushed::Sent));
        outbox.add(2, 4);
        outbox.add_entry(Entry { op: 9, ..Entry::default() });
        assert_eq!(outbox.flush(&mut client, entry), Ok(Flushed::Nothing));
        let mut received = Vec::new();
        for _ in 0..3 {
            while let Ok(Some(entry)) = worker.pop() {
                received.push((entry.op, entry.stream, entry.flags));
            }
            let _ = outbox.flush(&mut client, entry);
        }
        assert_eq!(received, [(0, 0, 1), (0, 1, 1), (9, 0, 0), (0, 2, 5)]);
        assert!(outbox.is_empty());
    }
}

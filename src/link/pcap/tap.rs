//! A wrapper that records the traffic of a link to a capture file.

use std::os::fd::BorrowedFd;

use super::{Direction, Recorder};
use crate::link::{Accounting, Frame, Link, Metadata, State, Statistics};
use crate::time::Instant;

/// A link with a recorder: frames are recorded when received and when passed to transmit.
#[derive(Debug)]
pub struct Tap<L> {
    inner: L,
    recorder: Recorder,
    /// Frames were recorded since the last flush of the file (`dirty`), or in this turn (`busy`).
    dirty: bool,
    busy: bool,
}

impl<L: Link> Tap<L> {
    /// Records all traffic of `inner`.
    pub const fn new(inner: L, recorder: Recorder) -> Self {
        Self { inner, recorder, dirty: false, busy: false }
    }

    /// Returns the inner link.
    pub const fn inner(&mut self) -> &mut L {
        &mut self.inner
    }
}

impl<L: Link> Link for Tap<L> {
    fn receive(&mut self, now: Instant, max: usize, frames: &mut Vec<Frame>) -> usize {
        let n = self.inner.receive(now, max, frames);
        for frame in &frames[frames.len() - n..] {
            self.recorder.record(now, Direction::In, frame);
        }
        self.busy |= n > 0;
        n
    }

    fn reserve(&mut self) -> Option<Frame> {
        self.inner.reserve()
    }

    fn transmit(&mut self, now: Instant, frame: Frame) {
        self.recorder.record(now, Direction::Out, &frame);
        self.busy = true;
        self.inner.transmit(now, frame);
    }

    fn release(&mut self, frame: Frame) {
        self.inner.release(frame);
    }

    /// Flushes the file in the first turn without traffic, never while there is work.
    fn flush(&mut self, now: Instant) {
        self.inner.flush(now);
        if self.busy {
            self.dirty = true;
        } else if self.dirty {
            self.recorder.flush();
            self.dirty = false;
        }
        self.busy = false;
    }

    fn frame_max(&self) -> usize {
        self.inner.frame_max()
    }

    fn deadline(&self) -> Option<Instant> {
        self.inner.deadline()
    }

    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.wait_fd()
    }

    fn accounting(&self) -> Accounting {
        self.inner.accounting()
    }

    fn statistics(&mut self) -> Statistics {
        self.inner.statistics()
    }

    fn state(&self) -> State {
        self.inner.state()
    }

    fn metadata(&self) -> &[Metadata] {
        self.inner.metadata()
    }
}

impl<L> Drop for Tap<L> {
    fn drop(&mut self) {
        self.recorder.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::link::memory;
    use crate::link::pcap::{Reader, Record};

    const ORIGIN: core::time::Duration = core::time::Duration::from_secs(1_700_000_000);

    fn file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("linerate-tap-{}-{name}", std::process::id()))
    }

    fn exchange(path: &Path) -> Vec<Record> {
        let (a, mut b) = memory::pair(memory::Config::default());
        let recorder = Recorder::create(path, ORIGIN).unwrap();
        let mut a = Tap::new(a, recorder.clone());
        let mut frames = Vec::new();
        for n in 1..=3 {
            let mut frame = a.reserve().unwrap();
            frame.fill(&[n; 60]);
            a.transmit(Instant::from_nanos(u64::from(n) * 100), frame);
            b.receive(Instant::ZERO, 1, &mut frames);
            b.transmit(Instant::ZERO, frames.pop().unwrap());
            assert_eq!(a.receive(Instant::from_nanos(u64::from(n) * 100 + 7), 9, &mut frames), 1);
            a.release(frames.pop().unwrap());
        }
        assert_eq!((recorder.recorded(), recorder.lost()), (6, None));
        (0..2).for_each(|_| a.flush(Instant::ZERO));
        let records = Reader::open(path).unwrap().collect::<Result<_, _>>().unwrap();
        std::fs::remove_file(path).unwrap();
        records
    }

    #[test]
    fn a_pcapng_file_holds_both_directions_with_their_times() {
        let records = exchange(&file("both.pcapng"));
        assert_eq!(records.len(), 6);
        for (index, record) in records.iter().enumerate() {
            let (n, back) = (index as u64 / 2 + 1, index as u64 % 2);
            assert_eq!(record.at, ORIGIN + core::time::Duration::from_nanos(n * 100 + back * 7));
            assert_eq!(record.bytes, [n as u8; 60]);
            let direction = if back == 1 { Direction::In } else { Direction::Out };
            assert_eq!(record.direction, Some(direction));
        }
    }

    #[test]
    fn a_pcap_file_holds_the_same_but_for_the_direction() {
        let without = |records: Vec<Record>| {
            records.into_iter().map(|record| (record.at, record.bytes)).collect::<Vec<_>>()
        };
        assert_eq!(without(exchange(&file("a.pcap"))), without(exchange(&file("a.pcapng"))));
    }

    #[test]
    fn a_missing_directory_is_reported() {
        let path = Path::new("/nonexistent/x.pcap");
        let error = Recorder::create(path, ORIGIN).unwrap_err().to_string();
        assert!(error.contains("cannot write the capture file `/nonexistent/x.pcap`"), "{error}");
    }
}

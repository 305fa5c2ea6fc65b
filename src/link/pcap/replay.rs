//! A link that delivers the frames of a capture file and discards what is sent.

use std::os::fd::BorrowedFd;
use std::path::Path;

use super::{CaptureError, Direction, Reader, Record};
use crate::link::{Accounting, Area, Frame, Link, Statistics};
use crate::time::{Duration, Instant};

/// Speed of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Keeps the recorded gaps; the first frame arrives with the first call.
    AsRecorded,
    /// As fast as the user receives.
    AtOnce,
}

/// Longest frame that is replayed: above jumbo frames. Longer ones are dropped and counted.
const FRAME_MAX: usize = 16 << 10;

/// Number of frames.
const FRAMES: usize = 1024;

/// A capture as a link. Skips frames recorded as sent.
#[derive(Debug)]
pub struct Replay {
    reader: Reader,
    next: Option<Record>,
    failure: Option<CaptureError>,
    pace: Pace,
    /// Start of the replay, as local time and as time in the file.
    began: Option<(Instant, core::time::Duration)>,
    area: Area,
    statistics: Statistics,
}

impl Replay {
    /// Opens a capture.
    ///
    /// # Errors
    /// When the file cannot be opened, or is not a capture of Ethernet frames.
    pub fn open(path: &Path, pace: Pace) -> Result<Self, CaptureError> {
        let reader = Reader::open(path)?;
        let area = Area::new(FRAMES, FRAME_MAX);
        let statistics = Statistics::default();
        let mut replay =
            Self { reader, next: None, failure: None, pace, began: None, area, statistics };
        replay.advance();
        Ok(replay)
    }

    /// Returns true once every frame has been delivered or reading has failed.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.next.is_none()
    }

    /// Returns the error that ended reading, if any.
    #[must_use]
    pub const fn failure(&self) -> Option<&CaptureError> {
        self.failure.as_ref()
    }

    fn advance(&mut self) {
        self.next = loop {
            match self.reader.poll_record() {
                Ok(Some(record)) if record.direction == Some(Direction::Out) => {}
                Ok(Some(record)) if record.bytes.len() > FRAME_MAX => {
                    self.statistics.rx_dropped += 1;
                }
                Ok(record) => break record,
                Err(failure) => {
                    self.failure = Some(failure);
                    break None;
                }
            }
        };
    }

    fn due_at(&self) -> Option<Instant> {
        let at = self.next.as_ref()?.at;
        match (self.pace, self.began) {
            (Pace::AsRecorded, Some((began, first))) => {
                Some(began + Duration::from(at.saturating_sub(first)))
            }
            _ => Some(Instant::ZERO),
        }
    }
}

impl Link for Replay {
    fn receive(&mut self, now: Instant, max: usize, frames: &mut Vec<Frame>) -> usize {
        let before = frames.len();
        while frames.len() - before < max {
            let Some(record) = &self.next else { break };
            self.began.get_or_insert((now, record.at));
            if self.due_at().is_none_or(|at| at > now) {
                break;
            }
            let Some(mut frame) = self.area.reserve() else { break };
            if let Some(record) = &self.next {
                frame.fill(&record.bytes);
            }
            self.statistics.rx_frames += 1;
            self.statistics.rx_bytes += frame.len() as u64;
            frames.push(frame);
            self.advance();
        }
        frames.len() - before
    }

    fn reserve(&mut self) -> Option<Frame> {
        self.area.reserve()
    }

    fn transmit(&mut self, _now: Instant, frame: Frame) {
        self.statistics.tx_frames += 1;
        self.statistics.tx_bytes += frame.len() as u64;
        self.release(frame);
    }

    fn release(&mut self, frame: Frame) {
        let stray = self.area.release(frame);
        debug_assert!(stray.is_ok(), "frame released to a link it does not belong to: {stray:?}");
    }

    fn flush(&mut self, _now: Instant) {}

    fn frame_max(&self) -> usize {
        FRAME_MAX
    }

    fn deadline(&self) -> Option<Instant> {
        self.due_at()
    }

    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn accounting(&self) -> Accounting {
        Accounting { held: self.area.out(), free: self.area.free(), ..Accounting::default() }
    }

    fn statistics(&mut self) -> Statistics {
        self.statistics
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::pcap::Recorder;

    fn recorded(name: &str, write: impl FnOnce(&Recorder)) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("linerate-{}-{name}", std::process::id()));
        let recorder = Recorder::create(&path, core::time::Duration::from_secs(1)).unwrap();
        write(&recorder);
        path
    }

    fn deliver(replay: &mut Replay, now: Instant) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        replay.receive(now, 64, &mut frames);
        let bytes = frames.iter().map(|frame| frame.to_vec()).collect();
        frames.into_iter().for_each(|frame| replay.release(frame));
        bytes
    }

    fn three(recorder: &Recorder) {
        for n in 1..=3u8 {
            let at = Instant::from_millis(u64::from(n) * 10);
            recorder.record(at, Direction::In, &[n; 70]);
            recorder.record(at, Direction::Out, &[0xff; 70]);
        }
    }

    #[test]
    fn received_frames_keep_their_gaps_and_sent_frames_are_skipped() {
        let path = recorded("gaps.pcapng", three);
        let mut replay = Replay::open(&path, Pace::AsRecorded).unwrap();
        let start = Instant::from_millis(500);
        assert_eq!(deliver(&mut replay, start), [vec![1; 70]]);
        assert_eq!(replay.deadline(), Some(start + Duration::from_millis(10)));
        assert!(deliver(&mut replay, start + Duration::from_millis(9)).is_empty());
        assert_eq!(deliver(&mut replay, start + Duration::from_millis(20)), [[2; 70], [3; 70]]);
        assert!(replay.is_over() && replay.failure().is_none() && replay.deadline().is_none());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn at_once_delivers_all_frames_without_waiting() {
        let path = recorded("once.pcap", three);
        let mut replay = Replay::open(&path, Pace::AtOnce).unwrap();
        assert_eq!(deliver(&mut replay, Instant::ZERO).len(), 6);
        assert_eq!(replay.statistics().rx_bytes, 6 * 70);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_truncated_file_delivers_complete_frames_and_reports_the_error() {
        let path = recorded("cut.pcap", three);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 10]).unwrap();
        let mut replay = Replay::open(&path, Pace::AtOnce).unwrap();
        assert_eq!(deliver(&mut replay, Instant::ZERO).len(), 5);
        assert!(replay.is_over() && replay.failure().is_some());
        std::fs::remove_file(path).unwrap();
    }
}

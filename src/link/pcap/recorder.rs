//! Writer of capture files, shared by the taps of several workers.
//!
//! The first error ends the recording, not the stack. It is kept for [`Recorder::lost`], and later
//! frames are counted as lost. Times are instants of the caller's clock plus its origin.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, Endianness, PcapResult, TsResolution};

use super::reader::is_pcapng;
use super::{CaptureError, Direction};
use crate::time::Instant;

/// Maximum recorded length of a frame in bytes: more than any link carries.
const SNAP_LEN: u32 = 1 << 18;

/// Size of the write buffer in bytes.
const BUFFER: usize = 1 << 16;

/// if_tsresol for nanoseconds: a power of ten.
const NANOSECONDS: u8 = 9;

/// A capture file open for writing. Clones write to the same file. It is complete once the last
/// clone is dropped, or after [`flush`](Self::flush).
#[derive(Clone)]
pub struct Recorder {
    recording: Arc<Mutex<Recording>>,
    origin: core::time::Duration,
}

struct Recording {
    format: Format,
    buffer: Buffer,
    recorded: u64,
    lost: u64,
    failure: Option<io::Error>,
}

enum Format {
    Pcap(PcapWriter<Buffer>),
    PcapNg(PcapNgWriter<Buffer>),
}

/// The buffered file. Shared with the format's writer, which does not expose it for flushing.
#[derive(Clone)]
struct Buffer(Arc<Mutex<BufWriter<File>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        locked(&self.0).write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        locked(&self.0).flush()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Creates the file, overwriting an existing one. `origin` is the Unix time of
    /// [`Instant::ZERO`].
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path, origin: core::time::Duration) -> Result<Self, CaptureError> {
        let recorder = Self::start(path, origin)?;
        recorder.flush();
        let failure = locked(&recorder.recording).failure.take();
        match failure {
            None => Ok(recorder),
            Some(cause) => Err(CaptureError::Create { path: path.display().to_string(), cause }),
        }
    }

    /// Creates the file, with its header still in the buffer.
    fn start(path: &Path, origin: core::time::Duration) -> Result<Self, CaptureError> {
        let failed = |cause| CaptureError::Create { path: path.display().to_string(), cause };
        let file = BufWriter::with_capacity(BUFFER, File::create(path).map_err(failed)?);
        let buffer = Buffer(Arc::new(Mutex::new(file)));
        let format = if is_pcapng(path) {
            pcapng(buffer.clone()).map(Format::PcapNg)
        } else {
            pcap(buffer.clone()).map(Format::Pcap)
        };
        let format = format.map_err(|error| failed(io::Error::other(error)))?;
        let recording = Recording { format, buffer, recorded: 0, lost: 0, failure: None };
        Ok(Self { recording: Arc::new(Mutex::new(recording)), origin })
    }

    /// Writes one frame.
    pub fn record(&self, now: Instant, direction: Direction, bytes: &[u8]) {
        let mut recording = locked(&self.recording);
        if recording.failure.is_some() {
            recording.lost += 1;
            return;
        }
        let at = self.origin + core::time::Duration::from_nanos(now.as_nanos());
        match recording.format.write(at, direction, bytes) {
            Ok(_) => recording.recorded += 1,
            Err(error) => {
                recording.lost += 1;
                recording.failure = Some(io::Error::other(error));
            }
        }
    }

    /// Writes the buffer to the file, so that other programs see it.
    pub fn flush(&self) {
        let mut recording = locked(&self.recording);
        if let Err(error) = recording.buffer.flush() {
            recording.failure.get_or_insert(error);
        }
    }

    /// Returns the number of frames written.
    #[must_use]
    pub fn recorded(&self) -> u64 {
        locked(&self.recording).recorded
    }

    /// Returns the number of frames that could not be written and the reason.
    #[must_use]
    pub fn lost(&self) -> Option<(u64, String)> {
        let recording = locked(&self.recording);
        recording.failure.as_ref().map(|failure| (recording.lost, failure.to_string()))
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorder({} frames, lost {:?})", self.recorded(), self.lost())
    }
}

fn pcap(buffer: Buffer) -> PcapResult<PcapWriter<Buffer>> {
    let header = PcapHeader {
        snaplen: SNAP_LEN,
        datalink: DataLink::ETHERNET,
        ts_resolution: TsResolution::NanoSecond,
        endianness: Endianness::native(),
        ..PcapHeader::default()
    };
    PcapWriter::with_header(buffer, header)
}

fn pcapng(buffer: Buffer) -> PcapResult<PcapNgWriter<Buffer>> {
    let mut writer = PcapNgWriter::new(buffer)?;
    let options = vec![
        InterfaceDescriptionOption::IfName(Cow::Borrowed("linerate")),
        InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
    ];
    let linktype = DataLink::ETHERNET;
    let interface = InterfaceDescriptionBlock { linktype, snaplen: SNAP_LEN, options };
    writer.write_pcapng_block(interface)?;
    Ok(writer)
}

impl Format {
    fn write(
        &mut self,
        at: core::time::Duration,
        direction: Direction,
        bytes: &[u8],
    ) -> PcapResult<usize> {
        let original_len = bytes.len() as u32;
        match self {
            Self::Pcap(writer) => writer.write_packet(&PcapPacket::new(at, original_len, bytes)),
            Self::PcapNg(writer) => writer.write_pcapng_block(EnhancedPacketBlock {
                interface_id: 0,
                timestamp: at,
                original_len,
                data: Cow::Borrowed(bytes),
                options: vec![EnhancedPacketOption::Flags(direction.flags())],
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "/dev/full";
    const ORIGIN: core::time::Duration = core::time::Duration::ZERO;

    #[test]
    fn a_full_disk_is_reported_at_once() {
        let error = Recorder::create(Path::new(FULL), ORIGIN).unwrap_err().to_string();
        assert!(error.contains("No space left"), "{error}");
    }

    #[test]
    fn a_disk_that_fills_up_ends_the_recording_and_lost_frames_are_counted() {
        let recorder = Recorder::start(Path::new(FULL), ORIGIN).unwrap();
        for _ in 0..2000 {
            recorder.record(Instant::ZERO, Direction::In, &[0; 1000]);
        }
        let (lost, cause) = recorder.lost().expect("the failure is reported");
        assert!(lost > 0 && !cause.is_empty());
        assert_eq!(lost + recorder.recorded(), 2000);
    }
}

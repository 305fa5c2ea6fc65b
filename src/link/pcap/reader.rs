//! Reader of capture files: iterates over Ethernet frames and their times.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError};

use super::CaptureError;

/// Direction of a frame as seen by the recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Received.
    In,
    /// Sent.
    Out,
}

impl Direction {
    /// Returns the two lowest bits of epb_flags.
    pub(super) const fn flags(self) -> u32 {
        match self {
            Self::In => 1,
            Self::Out => 2,
        }
    }

    const fn from_flags(flags: u32) -> Option<Self> {
        match flags & 3 {
            1 => Some(Self::In),
            2 => Some(Self::Out),
            _ => None,
        }
    }
}

/// A recorded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Unix time of the frame.
    pub at: core::time::Duration,
    /// Direction, if the file records it.
    pub direction: Option<Direction>,
    /// Bytes of the frame, possibly truncated by the recorder.
    pub bytes: Vec<u8>,
}

/// A capture file open for reading. The format is detected from the contents, not from the file
/// name.
pub struct Reader {
    format: Format,
    path: String,
}

enum Format {
    Pcap(PcapReader<BufReader<File>>),
    PcapNg(PcapNgReader<BufReader<File>>),
}

/// Type of the first block of a pcapng file. A pcap file starts with other magic numbers.
const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Returns true if a file of this name is written as pcapng.
pub(super) fn is_pcapng(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("pcapng"))
}

impl Reader {
    /// Opens a capture.
    ///
    /// # Errors
    /// When the file cannot be opened, or is not a capture of Ethernet frames.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let shown = path.display().to_string();
        let failed = |cause| CaptureError::Open { path: shown.clone(), cause };
        let mut file = File::open(path).map_err(failed)?;
        let mut magic = [0; 4];
        file.read_exact(&mut magic).and_then(|()| file.rewind()).map_err(failed)?;
        let broken = |cause| CaptureError::Malformed { path: shown.clone(), cause };
        let file = BufReader::new(file);
        let format = if magic == SECTION_HEADER {
            Format::PcapNg(PcapNgReader::new(file).map_err(broken)?)
        } else {
            let reader = PcapReader::new(file).map_err(broken)?;
            is_ethernet(reader.header().datalink, &shown)?;
            Format::Pcap(reader)
        };
        Ok(Self { format, path: shown })
    }

    /// Returns the next frame, or `None` at the end.
    ///
    /// # Errors
    /// When the file is truncated, or contains something other than Ethernet.
    pub fn poll_record(&mut self) -> Result<Option<Record>, CaptureError> {
        let path = &self.path;
        let broken = |cause| CaptureError::Malformed { path: path.clone(), cause };
        match &mut self.format {
            Format::Pcap(reader) => {
                let Some(packet) = reader.next_packet() else { return Ok(None) };
                let packet = packet.map_err(broken)?;
                let (at, bytes) = (packet.timestamp, packet.data.into_owned());
                Ok(Some(Record { at, direction: None, bytes }))
            }
            Format::PcapNg(reader) => loop {
                let Some(block) = reader.next_block() else { return Ok(None) };
                let Block::EnhancedPacket(packet) = block.map_err(broken)?.into_owned() else {
                    continue;
                };
                let id = packet.interface_id;
                let interface = reader
                    .packet_interface(&packet)
                    .ok_or_else(|| broken(PcapError::InvalidInterfaceId(id)))?;
                is_ethernet(interface.linktype, path)?;
                return Ok(Some(record(packet, interface)));
            },
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Record, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.poll_record().transpose()
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({})", self.path)
    }
}

fn is_ethernet(link_type: DataLink, path: &str) -> Result<(), CaptureError> {
    if link_type == DataLink::ETHERNET {
        return Ok(());
    }
    let (path, link_type) = (path.to_owned(), format!("{link_type:?}"));
    Err(CaptureError::NotEthernet { path, link_type })
}

fn record(packet: EnhancedPacketBlock<'_>, interface: &InterfaceDescriptionBlock<'_>) -> Record {
    let resolution = interface.options.iter().find_map(|option| match option {
        InterfaceDescriptionOption::IfTsResol(resolution) => Some(*resolution),
        _ => None,
    });
    let flags = packet.options.iter().find_map(|option| match option {
        EnhancedPacketOption::Flags(flags) => Some(*flags),
        _ => None,
    });
    // The parser treats the file's units as nanoseconds.
    let units = packet.timestamp.as_nanos();
    Record {
        at: since_epoch(units, resolution.unwrap_or(MICROSECONDS)),
        direction: flags.and_then(Direction::from_flags),
        bytes: packet.data.into_owned(),
    }
}

/// Default of if_tsresol.
const MICROSECONDS: u8 = 6;

/// Converts a timestamp. if_tsresol is a negative power of two if the highest bit is set, else of
/// ten.
fn since_epoch(units: u128, resolution: u8) -> core::time::Duration {
    const SECOND: u128 = 1_000_000_000;
    let exponent = u32::from(resolution & 0x7f);
    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    let nanos = match base.checked_pow(exponent) {
        Some(units_per_second) => {
            let rest = (units % units_per_second).saturating_mul(SECOND) / units_per_second;
            (units / units_per_second).saturating_mul(SECOND) + rest
        }
        None => 0,
    };
    core::time::Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resolution_of_the_interface_scales_its_times() {
        let since = |units, resolution| since_epoch(units, resolution).as_nanos();
        assert_eq!(since(1_500_000, MICROSECONDS), 1_500_000_000);
        assert_eq!(since(7, 9), 7);
        assert_eq!(since(3, 0), 3_000_000_000);
        assert_eq!(since(3, 0x81), 1_500_000_000);
        assert_eq!(since(u128::MAX, 0), u128::from(u64::MAX));
        assert_eq!(since(9, 0x7f), 0);
    }

    #[test]
    fn an_invalid_capture_is_rejected_with_its_name() {
        let missing = Reader::open(Path::new("/nonexistent/x.pcap")).unwrap_err().to_string();
        assert!(missing.contains("/nonexistent/x.pcap"), "{missing}");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let text = Reader::open(Path::new(source)).unwrap_err().to_string();
        assert!(text.contains("not a complete pcap"), "{text}");
    }
}

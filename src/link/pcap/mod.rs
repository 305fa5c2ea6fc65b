//! Packet captures. A [`Tap`] around any link records every frame in both directions, since other
//! tools do not see AF_XDP traffic. A [`Replay`] is a link that delivers the frames of a file.
//!
//! Files are pcap, or pcapng if the name ends in `.pcapng`, with nanosecond times. pcapng also
//! records the direction of each frame.

mod reader;
mod recorder;
mod replay;
mod tap;

pub use reader::{Direction, Reader, Record};
pub use recorder::Recorder;
pub use replay::{Pace, Replay};
pub use tap::Tap;

/// Error of opening, writing or reading a capture file.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file could not be created.
    #[error("cannot write the capture file `{path}`: {cause}")]
    Create {
        /// The file.
        path: String,
        /// The system's error.
        cause: std::io::Error,
    },
    /// The file could not be opened.
    #[error("cannot read the capture file `{path}`: {cause}")]
    Open {
        /// The file.
        path: String,
        /// The system's error.
        cause: std::io::Error,
    },
    /// The file is not a capture, or is damaged.
    #[error("`{path}` is not a complete pcap or pcapng file: {cause}")]
    Malformed {
        /// The file.
        path: String,
        /// Parse error.
        cause: pcap_file::PcapError,
    },
    /// The file contains something other than Ethernet frames.
    #[error(
        "`{path}` holds {link_type} packets, not Ethernet frames: capture on an Ethernet interface"
    )]
    NotEthernet {
        /// The file.
        path: String,
        /// Link type of the file.
        link_type: String,
    },
}

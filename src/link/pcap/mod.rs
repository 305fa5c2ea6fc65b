//! Captures: a [`Tap`] around any link writes every frame both ways to a file, since no other tool sees
//! AF_XDP traffic; a [`Replay`] is a link that delivers the frames of a file.
//!
//! Files are pcap, or pcapng where the name ends in `.pcapng`, with nanosecond times; pcapng tells the
//! direction of each frame too.

mod reader;
mod recorder;
mod replay;
mod tap;

pub use reader::{Direction, Reader, Record};
pub use recorder::Recorder;
pub use replay::{Pace, Replay};
pub use tap::Tap;

/// Why a capture file could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file could not be made.
    #[error("cannot write the capture file `{path}`: {cause}")]
    Create {
        /// The file.
        path: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file could not be opened.
    #[error("cannot read the capture file `{path}`: {cause}")]
    Open {
        /// The file.
        path: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It is no capture, or a broken one.
    #[error("`{path}` is no whole pcap or pcapng file: {cause}")]
    Malformed {
        /// The file.
        path: String,
        /// Where it breaks.
        cause: pcap_file::PcapError,
    },
    /// It holds something else than Ethernet frames.
    #[error(
        "`{path}` holds {link_type} packets, not Ethernet frames: capture on an Ethernet interface"
    )]
    NotEthernet {
        /// The file.
        path: String,
        /// The link type it names.
        link_type: String,
    },
}

//! Errors of capture files.

/// Error of opening, writing or reading a capture file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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

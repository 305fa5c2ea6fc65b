//! Packet captures. A [`Tap`] around any link records every frame in both directions, since other
//! tools do not see AF_XDP traffic. A [`Replay`] is a link that delivers the frames of a file.
//!
//! Files are pcap, or pcapng if the name ends in `.pcapng`, with nanosecond times. pcapng also
//! records the direction of each frame.

mod error;
mod reader;
mod recorder;
mod replay;
mod tap;

pub use error::CaptureError;
pub use reader::{Direction, Reader, Record};
pub use recorder::Recorder;
pub use replay::{Pace, Replay};
pub use tap::Tap;

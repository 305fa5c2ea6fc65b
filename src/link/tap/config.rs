//! The configuration of a TAP link.

/// The configuration of a TAP link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Name of the device, at most 15 bytes. The kernel replaces `%d` by the first number that is
    /// free.
    pub name: String,
    /// Number of frames of each link, more than [`crate::limits::BATCH`].
    pub frames: usize,
}

/// A batch being read, and as many bursts of replies as the TX queues of the shard hold.
const FRAMES: usize = 2048;

impl Config {
    /// Configures a link to the device `name`, with defaults for everything else.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), frames: FRAMES }
    }
}

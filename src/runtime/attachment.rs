//! The parts of a running stack that only AF_XDP has.

use super::opened::Hold;
use super::stack::Stack;
use crate::link::xsk::Bound;
use crate::xdp::Attachment;

impl Stack {
    /// Returns how the XDP program is attached; `None` on a TAP device.
    pub const fn attachment(&self) -> Option<&Attachment> {
        match &self.hold {
            Hold::Xdp(held) => held.attachment.as_ref(),
            Hold::Tap => None,
        }
    }

    /// Returns how the AF_XDP socket of each worker is bound; nothing on a TAP device.
    pub fn bound(&self) -> &[Bound] {
        match &self.hold {
            Hold::Xdp(held) => &held.bound,
            Hold::Tap => &[],
        }
    }
}

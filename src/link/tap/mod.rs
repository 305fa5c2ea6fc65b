//! A link over a TAP device: the kernel of this host is the other end of the cable.
//!
//! It needs no privilege inside a user namespace (`unshare -rn`), no XDP and no second machine, so
//! that every program of this host can talk to the stack. Each frame costs a system call: for
//! trying things out and for tests, not for speed.
//!
//! The device exists as long as the link, unless the administrator made it persistent (`ip tuntap
//! add`). The kernel computes the checksums of what it sends: a TAP device has no offloads until a
//! program asks for them (`TUNSETOFFLOAD`).
//!
//! | file | owns |
//! |---|---|
//! | `link` | [`TapLink`]: frames in and out |
//! | `device` | opening the device |
//! | `bring_up` | the kernel's side of the cable: [`bring_up()`] |
//! | `netlink` | one rtnetlink(7) request and its answer |
//! | `request` | ioctls |
//! | `config`, `error` | sizes; causes of errors with their remedies |

mod bring_up;
mod config;
mod device;
mod error;
mod link;
mod netlink;
mod request;

pub use bring_up::bring_up;
pub use config::Config;
pub use error::{BringUpError, OpenError};
pub use link::TapLink;

//! Maps the kernel's error numbers to close reasons and connect errors.

use std::io;

use linerate::shard::{CloseReason, ConnectError};

/// Returns the close reason of a connection that failed with `error`.
pub(super) fn close_reason(error: &io::Error) -> CloseReason {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => CloseReason::Refused,
        Some(libc::ETIMEDOUT) => CloseReason::TimedOut,
        Some(libc::EHOSTUNREACH | libc::ENETUNREACH | libc::ENETDOWN | libc::EHOSTDOWN) => {
            CloseReason::Unreachable
        }
        Some(libc::ENOBUFS | libc::ENOMEM) => CloseReason::NoBuffers,
        // ECONNRESET, or EPIPE for a reset that arrived after the peer's FIN.
        _ => CloseReason::Reset,
    }
}

/// Maps an error of `socket`, `bind` or `connect`. `Ok` means a connection that failed at once,
/// `Err` one that could not start.
pub(super) fn of_connect(error: &io::Error) -> Result<CloseReason, ConnectError> {
    match error.raw_os_error() {
        Some(libc::EADDRNOTAVAIL | libc::EAGAIN | libc::EADDRINUSE) => Err(ConnectError::NoPort),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
            Err(ConnectError::TableFull)
        }
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN) => Err(ConnectError::NoRoute),
        Some(libc::EAFNOSUPPORT | libc::EINVAL) => Err(ConnectError::NoAddress),
        _ => Ok(close_reason(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_errno_maps_to_its_close_reason() {
        for (errno, expected) in [
            (libc::ECONNREFUSED, CloseReason::Refused),
            (libc::ECONNRESET, CloseReason::Reset),
            (libc::EPIPE, CloseReason::Reset),
            (libc::ETIMEDOUT, CloseReason::TimedOut),
            (libc::EHOSTUNREACH, CloseReason::Unreachable),
            (libc::ENETUNREACH, CloseReason::Unreachable),
        ] {
            assert_eq!(close_reason(&io::Error::from_raw_os_error(errno)), expected, "{errno}");
        }
    }
}

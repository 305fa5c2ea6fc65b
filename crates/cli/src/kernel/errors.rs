//! What the kernel's error numbers mean for a connection.

use std::io;

use linerate::shard::{CloseReason, ConnectError};

/// How a connection ended that failed with `error`.
pub fn ending(error: &io::Error) -> CloseReason {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => CloseReason::Refused,
        Some(libc::ETIMEDOUT) => CloseReason::TimedOut,
        Some(libc::EHOSTUNREACH | libc::ENETUNREACH | libc::ENETDOWN | libc::EHOSTDOWN) => {
            CloseReason::Unreachable
        }
        Some(libc::ENOBUFS | libc::ENOMEM) => CloseReason::NoBuffers,
        // ECONNRESET, and EPIPE: a reset that came after the peer's FIN.
        _ => CloseReason::Reset,
    }
}

/// What an error of `socket`, `bind` or `connect` itself means: `Ok` is a connection that failed at
/// once, `Err` one that could not begin.
pub fn of_connect(error: &io::Error) -> Result<CloseReason, ConnectError> {
    match error.raw_os_error() {
        Some(libc::EADDRNOTAVAIL | libc::EAGAIN | libc::EADDRINUSE) => Err(ConnectError::NoPort),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
            Err(ConnectError::TableFull)
        }
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN) => Err(ConnectError::NoRoute),
        Some(libc::EAFNOSUPPORT | libc::EINVAL) => Err(ConnectError::NoAddress),
        _ => Ok(ending(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_errno_has_its_ending() {
        for (errno, expected) in [
            (libc::ECONNREFUSED, CloseReason::Refused),
            (libc::ECONNRESET, CloseReason::Reset),
            (libc::EPIPE, CloseReason::Reset),
            (libc::ETIMEDOUT, CloseReason::TimedOut),
            (libc::EHOSTUNREACH, CloseReason::Unreachable),
            (libc::ENETUNREACH, CloseReason::Unreachable),
        ] {
            assert_eq!(ending(&io::Error::from_raw_os_error(errno)), expected, "{errno}");
        }
    }
}

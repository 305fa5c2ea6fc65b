//! Error numbers of socket calls, and their mapping from the stack's errors.

use linerate::shard::{CloseReason, ConnectError};

/// `errno`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errno(pub(super) i32);

macro_rules! errnos {
    ($($name:ident)*) => { $(pub(super) const $name: Self = Self(libc::$name);)* };
}

impl Errno {
    errnos! {
        EBADF EINVAL EAGAIN EFAULT ENOTSOCK ENOPROTOOPT EAFNOSUPPORT EPROTONOSUPPORT
        EADDRINUSE EADDRNOTAVAIL EISCONN ENOTCONN EALREADY EINPROGRESS ECONNREFUSED ECONNRESET
        ETIMEDOUT
        EHOSTUNREACH ENETUNREACH ENOBUFS EPIPE EEXIST ENOENT ENOTTY ECONNABORTED
        EMSGSIZE EMFILE EOPNOTSUPP
    }

    /// Returns the error of a close reason; `None` for reasons that a program reads as end of file.
    pub(super) const fn of_reason(reason: CloseReason) -> Option<Self> {
        match reason {
            CloseReason::Finished | CloseReason::Aborted => None,
            CloseReason::Reset => Some(Self::ECONNRESET),
            CloseReason::Refused => Some(Self::ECONNREFUSED),
            CloseReason::TimedOut | CloseReason::KeepAlive => Some(Self::ETIMEDOUT),
            CloseReason::Unreachable => Some(Self::EHOSTUNREACH),
            CloseReason::NoBuffers => Some(Self::ENOBUFS),
        }
    }

    /// Returns the error of a failed open.
    pub(super) const fn of_connect(error: ConnectError) -> Self {
        match error {
            ConnectError::NoAddress | ConnectError::NoPort => Self::EADDRNOTAVAIL,
            ConnectError::TableFull => Self::ENOBUFS,
            ConnectError::NoRoute => Self::ENETUNREACH,
        }
    }
}

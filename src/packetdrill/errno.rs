//! The error numbers of a socket call, and which of them an end of a connection is.

use crate::shard::{ConnectError, Ending};
use crate::tcp::CloseReason;

/// `errno`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errno(pub(super) i32);

macro_rules! errnos {
    ($($name:ident)*) => { $(pub(super) const $name: Self = Self(libc::$name);)* };
}

impl Errno {
    errnos! {
        EBADF EINVAL EAGAIN EFAULT ENOTSOCK ENOPROTOOPT EAFNOSUPPORT EPROTONOSUPPORT
        EADDRINUSE EADDRNOTAVAIL EISCONN ENOTCONN EALREADY EINPROGRESS ECONNREFUSED ECONNRESET ETIMEDOUT
        EHOSTUNREACH ENETUNREACH ENOBUFS EPIPE EEXIST ENOENT ENOTTY ECONNABORTED
        EMSGSIZE EMFILE EOPNOTSUPP
    }

    /// Why a connection came to this end; `None` for the ends that a program reads as the end of a file.
    pub(super) const fn of_ending(ending: Ending) -> Option<Self> {
        match ending {
            Ending::Finished | Ending::Aborted => None,
            Ending::Reset => Some(Self::ECONNRESET),
            Ending::Refused => Some(Self::ECONNREFUSED),
            Ending::TimedOut | Ending::KeepAlive => Some(Self::ETIMEDOUT),
            Ending::Unreachable => Some(Self::EHOSTUNREACH),
            Ending::NoBuffers => Some(Self::ENOBUFS),
        }
    }

    /// The same of the protocol's own word.
    pub(super) const fn of_reason(reason: CloseReason) -> Option<Self> {
        Self::of_ending(match reason {
            CloseReason::Finished => Ending::Finished,
            CloseReason::Aborted => Ending::Aborted,
            CloseReason::Reset => Ending::Reset,
            CloseReason::Refused => Ending::Refused,
            CloseReason::TimedOut => Ending::TimedOut,
            CloseReason::KeepAlive => Ending::KeepAlive,
            CloseReason::Unreachable => Ending::Unreachable,
            CloseReason::NoBuffers => Ending::NoBuffers,
        })
    }

    /// Why an open could not begin.
    pub(super) const fn of_connect(error: ConnectError) -> Self {
        match error {
            ConnectError::NoAddress | ConnectError::NoPort => Self::EADDRNOTAVAIL,
            ConnectError::TableFull => Self::ENOBUFS,
            ConnectError::NoRoute => Self::ENETUNREACH,
        }
    }
}

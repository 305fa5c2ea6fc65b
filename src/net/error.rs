//! Causes of the stack as [`std::io::Error`], with the kinds that kernel sockets give.

use std::io::{Error, ErrorKind};

use crate::shard::{CloseReason, ConnectError, ListenError};

/// Returns the error of a connection that has ended: `None` after a clean end.
pub(super) fn of_close(reason: CloseReason) -> Option<Error> {
    let (kind, message) = match reason {
        CloseReason::Finished => return None,
        CloseReason::Aborted => (ErrorKind::ConnectionAborted, "this program reset the connection"),
        CloseReason::Reset => (ErrorKind::ConnectionReset, "the peer reset the connection"),
        CloseReason::Refused => (ErrorKind::ConnectionRefused, "nothing listens at the target"),
        CloseReason::TimedOut => (ErrorKind::TimedOut, "the peer did not answer in time"),
        CloseReason::KeepAlive => {
            (ErrorKind::TimedOut, "the peer did not answer keep-alive probes")
        }
        CloseReason::Unreachable => (ErrorKind::HostUnreachable, "the target is unreachable"),
        CloseReason::NoBuffers => {
            (ErrorKind::OutOfMemory, "the stack has no buffer memory: raise its limit")
        }
    };
    Some(Error::new(kind, message))
}

/// Returns the error of a write or a command after the end of a connection.
pub(super) fn of_write(reason: CloseReason) -> Error {
    of_close(reason).unwrap_or_else(broken_pipe)
}

/// Returns the error of a write after the sending direction was closed.
pub(super) fn broken_pipe() -> Error {
    Error::new(ErrorKind::BrokenPipe, "the sending direction is closed")
}

/// Returns the error of a call that needs the stack's buffers where they are not the stack's.
pub(super) fn no_peek() -> Error {
    Error::new(ErrorKind::Unsupported, "this stack cannot show received data in place: use `read`")
}

/// Returns the error of a call outside the worker's tasks, or inside a closure that borrows the
/// stack.
pub(super) fn no_stack() -> Error {
    Error::new(
        ErrorKind::NotConnected,
        "the stack is not reachable here: call this in a task of a running worker, and not inside \
         the closure of another call",
    )
}

/// Returns the error of an accept once the stack drains.
pub(super) fn draining() -> Error {
    Error::new(ErrorKind::NotConnected, "the stack drains: it accepts no more connections")
}

/// Returns the error of an open that sent nothing.
pub(super) fn of_connect(error: ConnectError) -> Error {
    let kind = match error {
        ConnectError::NoAddress | ConnectError::NoPort => ErrorKind::AddrNotAvailable,
        ConnectError::TableFull => ErrorKind::OutOfMemory,
        ConnectError::NoRoute => ErrorKind::NetworkUnreachable,
    };
    Error::new(kind, error)
}

/// Returns the error of a listener that did not open.
pub(super) fn of_listen(error: ListenError) -> Error {
    let kind = match error {
        ListenError::NoPort => ErrorKind::InvalidInput,
        ListenError::NotLocal => ErrorKind::AddrNotAvailable,
        ListenError::InUse => ErrorKind::AddrInUse,
        ListenError::TooMany => ErrorKind::OutOfMemory,
        ListenError::Fixed => ErrorKind::Unsupported,
    };
    Error::new(kind, error)
}

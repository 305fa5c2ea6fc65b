//! Descriptors: real ones, so that none is a number that the process uses for something else, and so that
//! packetdrill may close at its end, through the C library, what the script left open.

use std::fs::File;
use std::os::fd::IntoRawFd;

use crate::errno::Errno;

/// A number that stands for nothing yet.
pub(super) fn reserve() -> Result<i32, Errno> {
    File::open("/dev/null").map(IntoRawFd::into_raw_fd).map_err(|_| Errno::EMFILE)
}

/// Gives a number back.
pub(super) fn give_back(fd: i32) {
    // SAFETY: a plain system call. The number came from `reserve`, and is given back once: by the close
    // of the socket that it stood for.
    unsafe { libc::close(fd) };
}

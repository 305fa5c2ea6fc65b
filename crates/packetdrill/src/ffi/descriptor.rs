//! Descriptors: real ones, so no number collides with another use in the process, and packetdrill
//! can close those that the script left open through the C library.

use std::fs::File;
use std::os::fd::IntoRawFd;

use crate::errno::Errno;

/// Reserves a descriptor.
pub(super) fn reserve() -> Result<i32, Errno> {
    File::open("/dev/null").map(IntoRawFd::into_raw_fd).map_err(|_| Errno::EMFILE)
}

/// Closes a reserved descriptor.
pub(super) fn release(fd: i32) {
    // SAFETY: a plain system call. The number came from `reserve` and is closed once, by the close
    // of its socket.
    unsafe { libc::close(fd) };
}

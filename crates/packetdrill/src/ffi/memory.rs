//! Copies from and to the caller's memory by the kernel: a bad pointer gives `EFAULT`, as in a
//! system call, instead of a crash.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use crate::errno::Errno;

/// Maximum bytes of one copy: more than any script writes.
const COPY_MAX: usize = 1 << 30;

/// Copies `len` bytes from `from`.
pub(super) fn copy_in(from: *const c_void, len: usize) -> Result<Vec<u8>, Errno> {
    let len = len.min(COPY_MAX);
    let mut bytes = vec![0; len];
    transfer(Direction::In, bytes.as_mut_ptr().cast(), from.cast_mut(), len)?;
    Ok(bytes)
}

/// Copies `bytes` to `to`.
pub(super) fn copy_out(to: *mut c_void, bytes: &[u8]) -> Result<(), Errno> {
    transfer(Direction::Out, bytes.as_ptr().cast_mut().cast(), to, bytes.len())
}

/// Plain C structures.
///
/// # Safety
/// Every bit pattern is a valid value of the type, and the type holds no references.
pub(super) unsafe trait Plain: Copy {}

// SAFETY: integers and raw pointers only.
unsafe impl Plain for libc::msghdr {}
// SAFETY: as above.
unsafe impl Plain for libc::iovec {}
// SAFETY: as above.
unsafe impl Plain for libc::pollfd {}
// SAFETY: as above.
unsafe impl Plain for libc::epoll_event {}
// SAFETY: as above.
unsafe impl Plain for libc::socklen_t {}

/// Copies the structure at `from`.
pub(super) fn read<T: Plain>(from: *const T) -> Result<T, Errno> {
    let mut value = MaybeUninit::<T>::zeroed();
    let bytes = value.as_mut_ptr().cast();
    transfer(Direction::In, bytes, from.cast_mut().cast(), size_of::<T>())?;
    // SAFETY: zeroed, then filled; every bit pattern is a valid value.
    Ok(unsafe { value.assume_init() })
}

/// Copies `count` structures, starting at `from`.
pub(super) fn read_all<T: Plain>(from: *const T, count: usize) -> Result<Vec<T>, Errno> {
    (0..count).map(|n| read(from.wrapping_add(n))).collect()
}

/// Copies a structure to `to`.
pub(super) fn write<T: Plain>(to: *mut T, value: T) -> Result<(), Errno> {
    let bytes = (&raw const value).cast_mut().cast();
    transfer(Direction::Out, bytes, to.cast(), size_of::<T>())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// Copies between our own valid memory and the caller's memory, which may be invalid.
fn transfer(
    direction: Direction,
    ours: *mut c_void,
    theirs: *mut c_void,
    len: usize,
) -> Result<(), Errno> {
    if len == 0 {
        return Ok(());
    }
    let local = libc::iovec { iov_base: ours, iov_len: len };
    let remote = libc::iovec { iov_base: theirs, iov_len: len };
    // SAFETY: `ours` points to `len` bytes of this module's memory; the kernel checks `theirs`.
    let copied = unsafe {
        let this = libc::getpid();
        match direction {
            Direction::In => {
                libc::process_vm_readv(this, &raw const local, 1, &raw const remote, 1, 0)
            }
            Direction::Out => {
                libc::process_vm_writev(this, &raw const local, 1, &raw const remote, 1, 0)
            }
        }
    };
    if usize::try_from(copied).is_ok_and(|copied| copied == len) {
        return Ok(());
    }
    let error = std::io::Error::last_os_error().raw_os_error();
    let forbidden = copied < 0 && matches!(error, Some(libc::ENOSYS | libc::EPERM));
    if !forbidden || theirs.is_null() {
        return Err(Errno::EFAULT);
    }
    // SAFETY: a sandbox forbids the system call, so the caller's pointer is trusted, as the C
    // library does.
    unsafe {
        match direction {
            Direction::In => theirs.copy_to(ours, len),
            Direction::Out => theirs.copy_from(ours, len),
        }
    }
    Ok(())
}

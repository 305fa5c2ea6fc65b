//! The loaded stacks, and the pointer by which packetdrill refers to one.

use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::adapter::Adapter;

/// Identifies the stack of a call.
pub(super) type UserData = *mut c_void;

/// The loaded stacks: the C library's `getsockopt` gets only a descriptor.
static LOADED: Mutex<Vec<Arc<Adapter>>> = Mutex::new(Vec::new());

/// Locks the list of loaded stacks.
pub(super) fn loaded() -> MutexGuard<'static, Vec<Arc<Adapter>>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the stack of a call.
///
/// # Safety
/// `userdata` is the value in the table, and was not freed.
pub(super) unsafe fn adapter<'a>(userdata: UserData) -> &'a Adapter {
    // SAFETY: it came from `Arc::into_raw`, and only `free` takes it back.
    unsafe { &*userdata.cast_const().cast() }
}

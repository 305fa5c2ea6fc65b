//! The door to C: packetdrill's table of function pointers, and `getsockopt` in place of the C library's.
//!
//! Owns all `unsafe` of this layer. What comes through pointers is copied in and out by the kernel
//! (`memory`), which refuses a bad one as it would in a system call.

mod calls;
mod descriptor;
mod interpose;
mod memory;
mod messages;
mod table;

use std::ffi::{CStr, c_char};
use std::sync::{Arc, Mutex, PoisonError};

use super::adapter::Adapter;
use table::Interface;

/// The stacks that are loaded: `getsockopt` of the C library is told a descriptor only.
static LOADED: Mutex<Vec<Arc<Adapter>>> = Mutex::new(Vec::new());

fn loaded() -> std::sync::MutexGuard<'static, Vec<Arc<Adapter>>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fills packetdrill's table with the calls of a new stack, as its `--so_filename` asks for. `flags` is the
/// text of `--so_flags`, or null: see `docs/packetdrill.md`.
///
/// # Safety
/// `interface` is packetdrill's `struct packetdrill_interface`, and `flags` a string of C or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(
    flags: *const c_char,
    interface: *mut Interface,
) {
    let flags = if flags.is_null() {
        String::new()
    } else {
        // SAFETY: the caller's contract: not null, so a string of C.
        unsafe { CStr::from_ptr(flags) }.to_string_lossy().into_owned()
    };
    let adapter = Arc::new(Adapter::new(&flags));
    loaded().push(Arc::clone(&adapter));
    interpose::install();
    // SAFETY: the caller's contract: there is room for the table.
    unsafe { interface.write(table::of(Arc::into_raw(adapter).cast_mut().cast())) };
}

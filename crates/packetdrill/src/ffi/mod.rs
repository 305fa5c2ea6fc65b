//! The C interface: packetdrill's table of function pointers, and a replacement of `getsockopt`.
//!
//! Owns all `unsafe` code of this crate. The kernel copies memory behind foreign pointers
//! (`memory`) and rejects a bad one as in a system call.

mod calls;
mod descriptor;
mod interpose;
mod memory;
mod messages;
mod stacks;
mod table;

use std::ffi::{CStr, c_char};
use std::sync::Arc;

use super::adapter::Adapter;
pub use table::Interface;

/// Fills packetdrill's table with the calls of a new stack, as `--so_filename` requires. `flags` is
/// the text of `--so_flags`, or null: see `docs/packetdrill.md`.
///
/// # Safety
/// `interface` points to packetdrill's `struct packetdrill_interface`; `flags` is a C string or
/// null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(
    flags: *const c_char,
    interface: *mut Interface,
) {
    let flags = if flags.is_null() {
        String::new()
    } else {
        // SAFETY: the caller's contract: not null, so it is a C string.
        unsafe { CStr::from_ptr(flags) }.to_string_lossy().into_owned()
    };
    let adapter = Arc::new(Adapter::new(&flags));
    stacks::loaded().push(Arc::clone(&adapter));
    interpose::install();
    // SAFETY: the caller's contract: there is room for the table.
    unsafe { interface.write(table::of(Arc::into_raw(adapter).cast_mut().cast())) };
}

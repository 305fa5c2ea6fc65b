//! The bpf(2) calls that aya does not make: loading a program bound to one interface, and replacing
//! the program of an existing link.
//!
//! Owns the layout of their arguments: aya's bindings of `union bpf_attr`, zeroed except for the
//! fields set.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn, bpf_prog_type};

/// linux/bpf.h, BPF_F_XDP_HAS_FRAGS: the program supports frames of several buffers.
const HAS_FRAGS: u32 = 1 << 5;
/// linux/bpf.h, BPF_F_XDP_DEV_BOUND_ONLY: the program runs only on the interface `prog_ifindex`,
/// and may call functions of its driver.
const DEVICE_BOUND_ONLY: u32 = 1 << 6;

/// Loads an XDP program for frames of several buffers, bound to the interface with this index, if
/// any. The index refers to the network namespace of the calling thread.
pub(super) fn load_xdp(
    name: &str,
    instructions: &[bpf_insn],
    license: &CStr,
    bound_to: Option<u32>,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: every bit pattern is valid in this member, which BPF_PROG_LOAD reads.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = bpf_prog_type::BPF_PROG_TYPE_XDP as u32;
    load.expected_attach_type = bpf_attach_type::BPF_XDP as u32;
    load.insns = instructions.as_ptr() as u64;
    load.insn_cnt = u32::try_from(instructions.len()).map_err(io::Error::other)?;
    load.license = license.as_ptr() as u64;
    load.prog_flags = HAS_FRAGS;
    if let Some(index) = bound_to {
        load.prog_flags |= DEVICE_BOUND_ONLY;
        load.prog_ifindex = index;
    }
    // The last byte stays zero.
    let len = load.prog_name.len() - 1;
    for (slot, byte) in load.prog_name[..len].iter_mut().zip(name.bytes()) {
        *slot = byte as _;
    }
    // SAFETY: instructions and license have the given lengths and outlive the call.
    let answer = unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &attr)? };
    // SAFETY: the kernel has just created this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(answer) })
}

/// Attaches an XDP program to an interface until the returned descriptor is closed.
pub(super) fn create_link(
    program: BorrowedFd<'_>,
    interface: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: every bit pattern is valid in this member, which BPF_LINK_CREATE reads.
    let create = unsafe { &mut attr.link_create };
    create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    create.__bindgen_anon_2.target_ifindex = interface;
    create.attach_type = bpf_attach_type::BPF_XDP as u32;
    create.flags = flags;
    // SAFETY: the arguments hold no pointers.
    let answer = unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &attr)? };
    // SAFETY: the kernel has just created this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(answer) })
}

/// Replaces the program of a link atomically, between two frames.
pub(super) fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed();
    // SAFETY: every bit pattern is valid in this member, which BPF_LINK_UPDATE reads.
    let update = unsafe { &mut attr.link_update };
    update.link_fd = link.as_raw_fd() as u32;
    update.__bindgen_anon_1.new_prog_fd = program.as_raw_fd() as u32;
    // SAFETY: the arguments hold no pointers.
    unsafe { bpf(bpf_cmd::BPF_LINK_UPDATE, &attr) }.map(|_| ())
}

fn zeroed() -> bpf_attr {
    // SAFETY: a union of integers, for which zero is valid; fields that a command does not use must
    // be zero.
    unsafe { std::mem::zeroed() }
}

/// # Safety
/// The memory that `attr` points to is readable, has the given lengths, and stays so during the
/// call.
unsafe fn bpf(command: bpf_cmd, attr: &bpf_attr) -> io::Result<RawFd> {
    // SAFETY: `attr` is a whole union and its size is passed; the caller guarantees the rest.
    let answer = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, &raw const *attr, size_of_val(attr))
    };
    match RawFd::try_from(answer) {
        Ok(answer) if answer >= 0 => Ok(answer),
        _ => Err(io::Error::last_os_error()),
    }
}

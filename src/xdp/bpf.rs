//! The calls of bpf(2) that aya does not make: loading a program that is bound to one interface, and putting another
//! program behind a link that is there already.
//!
//! Owns the layout of their arguments, which are aya's bindings of `union bpf_attr`, zeroed but for what is set.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn, bpf_prog_type};

/// linux/bpf.h: the program knows frames of several buffers.
const HAS_FRAGS: u32 = 1 << 5;
/// linux/bpf.h: it runs on the interface `prog_ifindex` alone, and may call functions of its driver.
const DEVICE_BOUND_ONLY: u32 = 1 << 6;

/// Loads an XDP program for frames of several buffers, bound to the interface with this index, if any. The interface
/// is looked up in the network namespace of the calling thread.
pub(super) fn load_xdp(
    name: &str,
    instructions: &[bpf_insn],
    license: &CStr,
    bound_to: Option<u32>,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: every bit pattern is valid in this member, which is the one that BPF_PROG_LOAD reads.
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
    let places = load.prog_name.len() - 1;
    for (place, byte) in load.prog_name[..places].iter_mut().zip(name.bytes()) {
        *place = byte as _;
    }
    // SAFETY: instructions and license are as long as told and outlive the call.
    let answer = unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &attr)? };
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(answer) })
}

/// Attaches an XDP program to an interface for as long as the descriptor given is open.
pub(super) fn create_link(
    program: BorrowedFd<'_>,
    interface: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: every bit pattern is valid in this member, which is the one that BPF_LINK_CREATE reads.
    let create = unsafe { &mut attr.link_create };
    create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    create.__bindgen_anon_2.target_ifindex = interface;
    create.attach_type = bpf_attach_type::BPF_XDP as u32;
    create.flags = flags;
    // SAFETY: the arguments hold no pointers.
    let answer = unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &attr)? };
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(answer) })
}

/// Puts another program behind a link: from one frame to the next, without a gap.
pub(super) fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed();
    // SAFETY: every bit pattern is valid in this member, which is the one that BPF_LINK_UPDATE reads.
    let update = unsafe { &mut attr.link_update };
    update.link_fd = link.as_raw_fd() as u32;
    update.__bindgen_anon_1.new_prog_fd = program.as_raw_fd() as u32;
    // SAFETY: the arguments hold no pointers.
    unsafe { bpf(bpf_cmd::BPF_LINK_UPDATE, &attr) }.map(|_| ())
}

fn zeroed() -> bpf_attr {
    // SAFETY: a union of integers, for which zero is valid; what a command does not know must be zero.
    unsafe { std::mem::zeroed() }
}

/// # Safety
/// What `attr` points to is readable, and as long as it says, for the time of the call.
unsafe fn bpf(command: bpf_cmd, attr: &bpf_attr) -> io::Result<RawFd> {
    // SAFETY: `attr` is a whole union, its size told; the rest is the caller's promise.
    let answer = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, &raw const *attr, size_of_val(attr))
    };
    match RawFd::try_from(answer) {
        Ok(answer) if answer >= 0 => Ok(answer),
        _ => Err(io::Error::last_os_error()),
    }
}

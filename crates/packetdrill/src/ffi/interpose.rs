//! Replacement of the C library's `getsockopt`: packetdrill calls it for `tcp_info` with a
//! descriptor of this stack.
//!
//! A library loaded late cannot take precedence over the C library for a program that is already
//! linked, so the program's own GOT slot for the function is changed.

use std::ffi::{CStr, c_int, c_void};
use std::slice;

use libc::socklen_t;

use super::{calls, stacks};

/// Implements `getsockopt` for descriptors of this stack and all others. It has its own name: under
/// the C library's name it would replace that function in every program that links this crate.
///
/// # Safety
/// As for the C library's function.
unsafe extern "C" fn getsockopt_hook(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    let adapter = stacks::loaded().iter().find(|adapter| adapter.owns(fd)).cloned();
    match adapter {
        Some(adapter) => calls::getsockopt_of(&adapter, fd, (level, name), (value, len)),
        // SAFETY: the system call itself, with the caller's arguments.
        None => unsafe {
            libc::syscall(libc::SYS_getsockopt, fd, level, name, value, len) as c_int
        },
    }
}

/// Redirects the program's own calls of `getsockopt` to this module.
pub(super) fn install() {
    if SLOT_TYPES.is_empty() {
        return;
    }
    // SAFETY: `on_object` gets the arguments that it expects, and keeps none of them.
    unsafe { libc::dl_iterate_phdr(Some(on_object), std::ptr::null_mut()) };
}

/// Relinks the first object, which is the program itself; the others keep the C library's function.
unsafe extern "C" fn on_object(
    object: *mut libc::dl_phdr_info,
    _: libc::size_t,
    _: *mut c_void,
) -> c_int {
    // SAFETY: the loader's description of a loaded object, valid during this call.
    let (base, headers) = unsafe {
        let object = &*object;
        (
            object.dlpi_addr as usize,
            slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()),
        )
    };
    if let Some(header) = headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC) {
        // SAFETY: the dynamic section of a loaded object, at the loader's address.
        unsafe { relink(base, base + header.p_vaddr as usize) };
    }
    1
}

/// Entries of an object's dynamic section that are used.
#[derive(Default)]
struct Dynamic {
    symbols: usize,
    strings: usize,
    /// Relocation tables: address, and length in bytes.
    tables: [(usize, usize); 2],
}

const DT_PLTRELSZ: u64 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const DT_JMPREL: u64 = 23;

/// Relocation types that hold a function's address: for a call, and for a value.
#[cfg(target_arch = "x86_64")]
const SLOT_TYPES: &[u32] = &[7, 6];
#[cfg(target_arch = "aarch64")]
const SLOT_TYPES: &[u32] = &[1026, 1025];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const SLOT_TYPES: &[u32] = &[];

/// # Safety
/// `at` is the dynamic section of an object loaded at `base`.
unsafe fn dynamic(base: usize, at: usize) -> Dynamic {
    let mut found = Dynamic::default();
    let mut entry = at as *const [u64; 2];
    loop {
        // SAFETY: the section ends with an entry of tag 0.
        let [tag, value] = unsafe { entry.read() };
        let value = value as usize;
        // Some loaders replace offsets by addresses in place, others do not.
        let address = if value < base { base + value } else { value };
        match tag {
            0 => return found,
            DT_SYMTAB => found.symbols = address,
            DT_STRTAB => found.strings = address,
            DT_JMPREL => found.tables[0].0 = address,
            DT_PLTRELSZ => found.tables[0].1 = value,
            DT_RELA => found.tables[1].0 = address,
            DT_RELASZ => found.tables[1].1 = value,
            _ => {}
        }
        entry = entry.wrapping_add(1);
    }
}

/// Changes every slot of the object that holds the address of `getsockopt`.
///
/// # Safety
/// `at` is the dynamic section of an object loaded at `base`.
unsafe fn relink(base: usize, at: usize) {
    // SAFETY: guaranteed by the caller.
    let Dynamic { symbols, strings, tables } = unsafe { dynamic(base, at) };
    if symbols == 0 || strings == 0 {
        return;
    }
    for (table, bytes) in tables {
        for n in 0..bytes / size_of::<libc::Elf64_Rela>() {
            // SAFETY: the table has `bytes` bytes, as the object's dynamic section states.
            let relocation = unsafe { (table as *const libc::Elf64_Rela).add(n).read() };
            let (kind, symbol) = (relocation.r_info as u32, (relocation.r_info >> 32) as usize);
            if !SLOT_TYPES.contains(&kind) {
                continue;
            }
            // SAFETY: a relocation refers to a symbol of the table, and the symbol to its own
            // string.
            let name = unsafe {
                let symbol = (symbols as *const libc::Elf64_Sym).add(symbol).read();
                CStr::from_ptr((strings + symbol.st_name as usize) as *const _)
            };
            if name == c"getsockopt" {
                // SAFETY: the slot of that relocation is a pointer in the object.
                unsafe { set_slot(base + relocation.r_offset as usize) };
            }
        }
    }
}

/// # Safety
/// `at` is the address of a pointer to a function of the same type as `getsockopt_hook`.
unsafe fn set_slot(at: usize) {
    let slot = at as *mut *const c_void;
    // SAFETY: plain system calls; the page contains the slot, which the caller guarantees. In a
    // program that is bound at start-up the page is read-only.
    unsafe {
        let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
        let start = (at & !(page - 1)) as *mut c_void;
        if libc::mprotect(start, page, libc::PROT_READ | libc::PROT_WRITE) == 0 {
            slot.write(getsockopt_hook as *const c_void);
        }
    }
}

//! Kernel functions by which a driver provides metadata of a frame, as the program calls them.
//!
//! In the object such a call has a number that no helper has (`LINERATE_KFUNC_*` of
//! bpf/linerate.h). It is patched here into a call by the function's BTF id in the running kernel,
//! or into the result that a driver without the function returns. One placeholder becomes the
//! constant of the requested metadata. The verifier then removes the unreachable code.

use std::io;

use aya_obj::btf::{Btf, BtfKind};
use aya_obj::generated::bpf_insn;

use super::hints::Hints;
use super::layout;

/// linux/bpf.h: `BPF_JMP | BPF_CALL`, `BPF_ALU64 | BPF_MOV | BPF_K`, and the source register of a
/// call to a kernel function.
const CALL: u8 = 0x85;
const MOVE: u8 = 0xb7;
const PSEUDO_KFUNC_CALL: u8 = 2;

/// BTF ids of the functions to call; `None` for a function that is not called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kfuncs {
    stamp: Option<u32>,
    hash: Option<u32>,
    vlan: Option<u32>,
}

impl Kfuncs {
    /// Looks up the functions for `wanted` in the running kernel. Returns them and the metadata
    /// they provide. Reads the whole BTF of the kernel (5 MB).
    pub(super) fn resolve(wanted: Hints) -> io::Result<(Self, Hints)> {
        let types = Btf::from_sys_fs().map_err(io::Error::other)?;
        let id = |is_wanted: bool, name: &str| {
            let id = types.id_by_type_name_kind(name, BtfKind::Func).ok();
            id.filter(|_| is_wanted)
        };
        let found = Self {
            stamp: id(wanted.stamp, "bpf_xdp_metadata_rx_timestamp"),
            hash: id(wanted.hash, "bpf_xdp_metadata_rx_hash"),
            vlan: id(wanted.vlan, "bpf_xdp_metadata_rx_vlan_tag"),
        };
        let provided = Hints {
            stamp: found.stamp.is_some(),
            hash: found.hash.is_some(),
            vlan: found.vlan.is_some(),
        };
        Ok((found, provided))
    }

    /// Patches the calls in `instructions`, for a program that provides `hints`.
    pub(super) fn patch(&self, instructions: &mut [bpf_insn], hints: Hints) {
        for instruction in instructions.iter_mut().filter(|it| it.code == CALL) {
            let id = match u32::try_from(instruction.imm) {
                Ok(layout::KFUNC_STAMP) => self.stamp,
                Ok(layout::KFUNC_HASH) => self.hash,
                Ok(layout::KFUNC_VLAN) => self.vlan,
                Ok(layout::KFUNC_WANTED) => {
                    set_result(instruction, bits(hints));
                    continue;
                }
                _ => continue,
            };
            match id {
                Some(id) => {
                    instruction.set_src_reg(PSEUDO_KFUNC_CALL);
                    instruction.imm = id as i32;
                }
                None => set_result(instruction, -libc::EOPNOTSUPP),
            }
        }
    }
}

/// Returns the requested metadata as `LINERATE_HINT_*` bits.
fn bits(hints: Hints) -> i32 {
    let bit = |is_wanted: bool, bit: u32| if is_wanted { bit as i32 } else { 0 };
    bit(hints.stamp, layout::HINT_STAMP) | bit(hints.hash, layout::HINT_HASH)
}

/// Replaces a call by its result: moves `value` to register 0.
fn set_result(call: &mut bpf_insn, value: i32) {
    call.code = MOVE;
    call.imm = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: u32) -> bpf_insn {
        let mut instruction = aya_obj::copy_instructions(&[0; 8]).unwrap()[0];
        instruction.code = CALL;
        instruction.imm = number as i32;
        instruction
    }

    #[test]
    fn calls_become_kernel_calls_or_results() {
        let mut all = [1, layout::KFUNC_VLAN, layout::KFUNC_HASH, layout::KFUNC_WANTED].map(call);
        let kfuncs = Kfuncs { vlan: Some(77), ..Kfuncs::default() };
        kfuncs.patch(&mut all, Hints { vlan: true, stamp: true, hash: false });
        let patched = all.map(|it| (it.code, it.src_reg(), it.dst_reg(), it.imm));
        assert_eq!(patched[0], (CALL, 0, 0, 1), "a helper call is unchanged");
        assert_eq!(patched[1], (CALL, PSEUDO_KFUNC_CALL, 0, 77));
        assert_eq!(patched[2], (MOVE, 0, 0, -libc::EOPNOTSUPP));
        assert_eq!(patched[3], (MOVE, 0, 0, layout::HINT_STAMP as i32));
    }
}

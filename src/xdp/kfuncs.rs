//! The functions of the kernel by which a driver tells more of a frame than its bytes, as the program calls them.
//!
//! In the object such a call names a number that no helper has (`LINERATE_KFUNC_*` of bpf/linerate.h). Here it becomes a
//! call by the function's id among the running kernel's types, or, where it is not to be made, the answer that a
//! driver without the function gives; one of them, what is asked for. The kernel leaves out what then cannot be reached.

use std::io;

use aya_obj::btf::{Btf, BtfKind};
use aya_obj::generated::bpf_insn;

use super::hints::Hints;
use super::layout;

/// linux/bpf.h: `BPF_JMP | BPF_CALL`, `BPF_ALU64 | BPF_MOV | BPF_K`, and the source register of a call to a function of
/// the kernel.
const CALL: u8 = 0x85;
const MOVE: u8 = 0xb7;
const PSEUDO_KFUNC_CALL: u8 = 2;

/// The ids of the functions that can be called; `None` where one is not to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kfuncs {
    stamp: Option<u32>,
    hash: Option<u32>,
    vlan: Option<u32>,
}

impl Kfuncs {
    /// Looks up what `wanted` takes in the types of the running kernel, and tells which of it there is. That reads all
    /// of them (5 MB).
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
        let had = Hints {
            stamp: found.stamp.is_some(),
            hash: found.hash.is_some(),
            vlan: found.vlan.is_some(),
        };
        Ok((found, had))
    }

    /// Makes the calls in `instructions` what they are to be, for a program that brings `hints`.
    pub(super) fn put_into(&self, instructions: &mut [bpf_insn], hints: Hints) {
        for instruction in instructions.iter_mut().filter(|it| it.code == CALL) {
            let id = match u32::try_from(instruction.imm) {
                Ok(layout::KFUNC_STAMP) => self.stamp,
                Ok(layout::KFUNC_HASH) => self.hash,
                Ok(layout::KFUNC_VLAN) => self.vlan,
                Ok(layout::KFUNC_WANTED) => {
                    answer(instruction, bits(hints));
                    continue;
                }
                _ => continue,
            };
            match id {
                Some(id) => {
                    instruction.set_src_reg(PSEUDO_KFUNC_CALL);
                    instruction.imm = id as i32;
                }
                None => answer(instruction, -libc::EOPNOTSUPP),
            }
        }
    }
}

/// What stands in front of a frame that brings `hints`.
fn bits(hints: Hints) -> i32 {
    let bit = |is_wanted: bool, bit: u32| if is_wanted { bit as i32 } else { 0 };
    bit(hints.stamp, layout::HINT_STAMP) | bit(hints.hash, layout::HINT_HASH)
}

/// Puts `value` where the answer of a call is, in register 0, instead of the call.
fn answer(call: &mut bpf_insn, value: i32) {
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
    fn calls_become_calls_of_the_kernel_or_answers() {
        let mut all = [1, layout::KFUNC_VLAN, layout::KFUNC_HASH, layout::KFUNC_WANTED].map(call);
        let kfuncs = Kfuncs { vlan: Some(77), ..Kfuncs::default() };
        kfuncs.put_into(&mut all, Hints { vlan: true, stamp: true, hash: false });
        let told = all.map(|it| (it.code, it.src_reg(), it.dst_reg(), it.imm));
        assert_eq!(told[0], (CALL, 0, 0, 1), "a helper is left alone");
        assert_eq!(told[1], (CALL, PSEUDO_KFUNC_CALL, 0, 77));
        assert_eq!(told[2], (MOVE, 0, 0, -libc::EOPNOTSUPP));
        assert_eq!(told[3], (MOVE, 0, 0, layout::HINT_STAMP as i32));
    }
}

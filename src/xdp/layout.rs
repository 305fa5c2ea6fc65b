//! The numbers of bpf/linerate.h, one constant for each `LINERATE_` line of it, written by build.rs.
//!
//! There is no second copy of any of them, so that the two sides cannot diverge.

#![allow(missing_docs, dead_code)]

include!(concat!(env!("OUT_DIR"), "/layout.rs"));

// A shard that could have more addresses than the program knows would be deaf on the rest.
const _: () = assert!(crate::limits::LOCAL_ADDRESSES_MAX == ADDRESSES_MAX as usize);
// Each worker owns a queue, and needs a place for its socket.
const _: () = assert!(crate::limits::WORKERS_MAX <= QUEUES_MAX as usize);
const _: () = assert!(PORT_WORDS * PORT_WORD_BITS == 1 << 16);
const _: () = assert!(PORT_WORD_BITS == u64::BITS);
// The kernel takes no other lengths (net/core/filter.c, bpf_xdp_adjust_meta, before Linux 6.5).
const _: () = assert!(HINTS_BYTES <= 32 && HINTS_BYTES.is_multiple_of(4));

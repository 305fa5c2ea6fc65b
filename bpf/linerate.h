/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the XDP program and the Rust side must agree on. build.rs turns every line of the form
 * "#define LINERATE_NAME NUMBER" into a Rust constant NAME (src/xdp/layout.rs), so that there is
 * one place to change: keep to plain decimal numbers here.
 */
#ifndef LINERATE_H
#define LINERATE_H

/* Local addresses of each family: as many as limits::LOCAL_ADDRESSES_MAX. */
#define LINERATE_ADDRESSES_MAX 256

/* Queues of one interface that may have a socket. A queue beyond passes to the kernel. */
#define LINERATE_QUEUES_MAX 256

/* 65536 claimed-port bits in 64-bit words, least significant bit first. */
#define LINERATE_PORT_WORDS 1024
#define LINERATE_PORT_WORD_BITS 64

/* Tags looked through: one 802.1ad and one 802.1Q tag. */
#define LINERATE_VLAN_TAGS_MAX 2

/* IPv6 extension headers looked through. RFC 8200 §4.1 names seven in its recommended order; a longer
 * chain is no real traffic and passes. */
#define LINERATE_EXTENSIONS_MAX 8

/* Entries of the map `config`, an array of 32-bit words. */
#define LINERATE_CONFIG_ROLE 0
#define LINERATE_CONFIG_FRAGMENTS 1
#define LINERATE_CONFIG_ROUTERS 2
#define LINERATE_CONFIG_ENTRIES 3

/* Zero is what a fresh map holds, so zero is what takes the least from the kernel. */
#define LINERATE_ROLE_SHARED 0
#define LINERATE_ROLE_EXCLUSIVE 1
#define LINERATE_FRAGMENTS_PASS 0
#define LINERATE_FRAGMENTS_STACK 1
#define LINERATE_ROUTERS_KERNEL 0
#define LINERATE_ROUTERS_STACK 1

/* Bits of what linerate_hints writes in front of a frame. */
#define LINERATE_HINT_STAMP 1
#define LINERATE_HINT_HASH 2

/* What stands right in front of the first byte of a frame that linerate_hints redirects, where one of these was
 * asked for (struct hints in linerate.bpf.c has it in this order). The mark tells it from what else the headroom
 * holds: whoever reads it clears the mark. A multiple of 4 bytes, 32 at most (xdp_metalen_invalid of Linux 6.3). */
#define LINERATE_HINTS_MARK 1818847348
#define LINERATE_HINTS_BYTES 24
#define LINERATE_HINTS_VALID_AT 4
#define LINERATE_HINTS_STAMP_AT 8
#define LINERATE_HINTS_HASH_AT 16
#define LINERATE_HINTS_HASH_TYPE_AT 20

/* Bits of its field `valid`. The stamp is in nanoseconds of CLOCK_MONOTONIC: when the program saw the frame, or when
 * the driver says that it came. */
#define LINERATE_VALID_STAMP 1
#define LINERATE_VALID_STAMP_OF_DRIVER 2
/* The driver told a time that is of another clock. */
#define LINERATE_VALID_FOREIGN_STAMP 4
#define LINERATE_VALID_HASH 8

/* A driver's time that is no further back than this when the program runs is taken to be of CLOCK_MONOTONIC: no frame
 * waits for a second between the two. */
#define LINERATE_STAMP_AGE_MAX_NS 1000000000

/* The kernel's functions that linerate_hints calls have no numbers of their own. These stand in for them, and no helper
 * has such; src/xdp/kfuncs.rs puts in what the running kernel has. The last one stands for a constant: the bits of what
 * is asked for, so that the kernel leaves out what is not. */
#define LINERATE_KFUNC_STAMP 2000000001
#define LINERATE_KFUNC_HASH 2000000002
#define LINERATE_KFUNC_VLAN 2000000003
#define LINERATE_KFUNC_WANTED 2000000004

/* Entries of the per-CPU map `counters`: 64-bit counts of frames by verdict. Those below
 * LINERATE_VERDICT_PASSES were redirected to a socket, the others passed to the kernel. */
#define LINERATE_VERDICT_TCP 0
#define LINERATE_VERDICT_FRAGMENT 1
#define LINERATE_VERDICT_ICMP 2
#define LINERATE_VERDICT_ICMP_ERROR 3
#define LINERATE_VERDICT_NDP 4
#define LINERATE_VERDICT_ARP 5
#define LINERATE_VERDICT_PASSES 6
#define LINERATE_VERDICT_PASS_ETHERTYPE 6
#define LINERATE_VERDICT_PASS_ADDRESS 7
#define LINERATE_VERDICT_PASS_PROTOCOL 8
#define LINERATE_VERDICT_PASS_PORT 9
#define LINERATE_VERDICT_PASS_FRAGMENT 10
#define LINERATE_VERDICT_PASS_MALFORMED 11
#define LINERATE_VERDICT_PASS_NO_SOCKET 12
#define LINERATE_VERDICT_PASS_TAG 13
#define LINERATE_VERDICTS 14

#endif

/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The layouts that the XDP program and the Rust side share. build.rs turns every line of the
 * form "#define LINERATE_NAME NUMBER" into a Rust constant NAME (src/xdp/layout.rs), so each
 * value has one definition. Use only plain decimal numbers.
 */
#ifndef LINERATE_H
#define LINERATE_H

/* Local addresses of each family; equals limits::LOCAL_ADDRESSES_MAX. */
#define LINERATE_ADDRESSES_MAX 256

/* Queues of one interface that may have a socket. Frames of further queues pass to the kernel. */
#define LINERATE_QUEUES_MAX 256

/* 65536 claimed-port bits in 64-bit words, least significant bit first. */
#define LINERATE_PORT_WORDS 1024
#define LINERATE_PORT_WORD_BITS 64

/* VLAN tags that the program skips: one 802.1ad and one 802.1Q tag. */
#define LINERATE_VLAN_TAGS_MAX 2

/* IPv6 extension headers that the program skips. RFC 8200 §4.1 names seven in its recommended
 * order; a longer chain is not real traffic and passes. */
#define LINERATE_EXTENSIONS_MAX 8

/* Entries of the map `config`, an array of 32-bit words. */
#define LINERATE_CONFIG_ROLE 0
#define LINERATE_CONFIG_FRAGMENTS 1
#define LINERATE_CONFIG_ROUTERS 2
#define LINERATE_CONFIG_ENTRIES 3

/* Zero is the value in a new map, so zero claims the least from the kernel. */
#define LINERATE_ROLE_SHARED 0
#define LINERATE_ROLE_EXCLUSIVE 1
#define LINERATE_FRAGMENTS_PASS 0
#define LINERATE_FRAGMENTS_STACK 1
#define LINERATE_ROUTERS_KERNEL 0
#define LINERATE_ROUTERS_STACK 1

/* Metadata that linerate_hints can write in front of a frame, as bits. */
#define LINERATE_HINT_STAMP 1
#define LINERATE_HINT_HASH 2

/* The metadata directly in front of the first byte of a frame that linerate_hints redirects, if
 * any was requested. struct hints in linerate.bpf.c has the same order. The mark distinguishes
 * it from other contents of the headroom; the reader clears the mark. The size is a multiple of
 * 4 bytes and at most 32 (xdp_metalen_invalid of Linux 6.3). */
#define LINERATE_HINTS_MARK 1818847348
#define LINERATE_HINTS_BYTES 24
#define LINERATE_HINTS_VALID_AT 4
#define LINERATE_HINTS_STAMP_AT 8
#define LINERATE_HINTS_HASH_AT 16
#define LINERATE_HINTS_HASH_TYPE_AT 20

/* Bits of the field `valid`. The stamp is in nanoseconds of CLOCK_MONOTONIC: the time at which
 * the program saw the frame, or at which the driver says it arrived. */
#define LINERATE_VALID_STAMP 1
#define LINERATE_VALID_DRIVER_STAMP 2
/* The driver's timestamp is from another clock. */
#define LINERATE_VALID_FOREIGN_STAMP 4
#define LINERATE_VALID_HASH 8

/* A driver timestamp at most this much older than the program's own clock reading counts as
 * CLOCK_MONOTONIC: no frame waits for a second between the driver and the program. */
#define LINERATE_STAMP_AGE_MAX_NS 1000000000

/* The kernel functions that linerate_hints calls have no fixed numbers. These placeholders,
 * which no helper uses, stand for them; src/xdp/kfuncs.rs replaces them with the functions of
 * the running kernel. The last placeholder stands for a constant, the bits of the requested
 * metadata, so that the verifier removes the code for the rest. */
#define LINERATE_KFUNC_STAMP 2000000001
#define LINERATE_KFUNC_HASH 2000000002
#define LINERATE_KFUNC_VLAN 2000000003
#define LINERATE_KFUNC_WANTED 2000000004

/* Entries of the per-CPU map `counters`: 64-bit frame counts by verdict. Verdicts below
 * LINERATE_VERDICT_PASSES redirect the frame to a socket; the others pass it to the kernel. */
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

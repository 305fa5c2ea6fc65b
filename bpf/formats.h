/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The headers that the XDP program parses, and PULL, the only way to read them: it returns null
 * for a header that extends past the end of the frame. Headers that linux/ defines without
 * pulling in the C library come from there; the rest is defined here.
 */
#ifndef LINERATE_FORMATS_H
#define LINERATE_FORMATS_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NET16(value) __builtin_bswap16(value)
#else
#define NET16(value) (value)
#endif

/* Tag control information and the EtherType behind it. 802.1Q and 802.1ad tags have this layout. */
struct vlan_tag {
	__be16 control;
	__be16 ethertype;
};

/* An Ethernet header up to and including its first tag. */
struct tagged {
	__u8 addresses[2 * ETH_ALEN];
	__be16 protocol;
	__be16 control;
};

/* ARP for IPv4 over Ethernet (RFC 826). */
struct arp_ipv4 {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_mac[ETH_ALEN];
	__u8 sender[4];
	__u8 target_mac[ETH_ALEN];
	__u8 target[4];
} __attribute__((packed));

struct extension {
	__u8 next;
	__u8 length;
};

struct fragment_extension {
	__u8 next;
	__u8 reserved;
	__be16 offset;
	__be32 identification;
};

struct icmp_fixed {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest;
};

/* Neighbour solicitations and advertisements have the same layout (RFC 4861 §4.3 and §4.4). */
struct neighbour_message {
	struct icmp_fixed fixed;
	__u8 target[16];
};

struct ports {
	__be16 source;
	__be16 destination;
};

/* Values from the RFCs. The system headers that define them pull in the C library. */
enum {
	ARP_ETHERNET = 1, /* RFC 826 */
	ICMP_UNREACHABLE = 3, /* RFC 792 */
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER_PROBLEM = 12,
	ICMPV6_ERROR_FIRST = 1,	      /* RFC 4443 §3.1: destination unreachable */
	ICMPV6_ERROR_LAST = 4,	      /* RFC 4443 §3.4: parameter problem */
	ROUTER_ADVERTISEMENT = 134,   /* RFC 4861 §4.2 */
	NEIGHBOUR_SOLICITATION = 135, /* RFC 4861 §4.3 */
	NEIGHBOUR_ADVERTISEMENT = 136,
	IPV4_MORE_OR_OFFSET = 0x3fff, /* RFC 791 §3.1: more fragments, and the offset */
	IPV4_OFFSET = 0x1fff,
	IPV6_MORE_OR_OFFSET = 0xfff9, /* RFC 8200 §4.5 */
};

/* The part of the frame that is not parsed yet. */
struct cursor {
	void *at;
	void *end;
};

/* Returns the next header, or null if the frame ends too early. Advances the cursor past it. */
#define PULL(cursor, kind)                                                          \
	({                                                                          \
		kind *header = (cursor)->at;                                        \
		(cursor)->at = header + 1;                                          \
		(void *)(header + 1) > (cursor)->end ? (kind *)0 : header;          \
	})

#endif

/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The XDP program. It decides which frames of an interface belong to the stack and redirects
 * those to the AF_XDP socket of the queue they arrived on. All other frames pass to the kernel
 * untouched: frames that are not claimed, frames that cannot be parsed, and frames on a queue
 * without a socket.
 *
 * The program parses headers only as far as the decision needs, verifies no checksum and drops
 * nothing: the stack checks the frames it receives and counts those it refuses. The program
 * reads only the linear part of a frame. Drivers place the headers there, even when the frame
 * has more buffers.
 *
 * The object holds two programs that make the same decisions. linerate is the plain one.
 * linerate_hints also passes on the metadata that the driver has about a redirected frame: it
 * reinserts a VLAN tag that the NIC stripped, and writes the requested metadata (struct hints)
 * in front of the frame. It calls kernel functions of the driver, so it is loaded bound to one
 * interface, on drivers that have these functions.
 *
 * Maps steer both programs and can be changed while they run; bpf/linerate.h has the layouts.
 */
#include <linux/bpf.h>

#include "formats.h"
#include "linerate.h"

#define SEC(name) __attribute__((section(name), used))
#define INLINE static __attribute__((always_inline)) inline

/* BTF map definitions encode a number as the length of an array type. */
#define MAP_NUMBER(name, value) int(*name)[value]
#define MAP_TYPE(name, value) __typeof__(value) *name

/* The helpers in use, by their numbers in linux/bpf.h. This avoids the libbpf headers. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*const bpf_redirect_map)(void *map, __u64 key, __u64 flags) = (void *)BPF_FUNC_redirect_map;
static __u64 (*const bpf_ktime_get_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;
static long (*const bpf_xdp_adjust_head)(struct xdp_md *context, int by) = (void *)BPF_FUNC_xdp_adjust_head;
static long (*const bpf_xdp_adjust_meta)(struct xdp_md *context, int by) = (void *)BPF_FUNC_xdp_adjust_meta;

/* Metadata that a driver has about a frame (net/core/xdp.c, bpf_xdp_metadata_rx_*). Returns 0,
 * or an error if the driver does not have it. */
static int (*const rx_timestamp)(const struct xdp_md *context, __u64 *nanoseconds) = (void *)LINERATE_KFUNC_STAMP;
static int (*const rx_hash)(const struct xdp_md *context, __u32 *hash, __u32 *type) = (void *)LINERATE_KFUNC_HASH;
static int (*const rx_vlan_tag)(const struct xdp_md *context, __be16 *protocol, __u16 *control) =
	(void *)LINERATE_KFUNC_VLAN;
static __u32 (*const wanted_hints)(void) = (void *)LINERATE_KFUNC_WANTED;

/* The metadata in front of a frame. */
struct hints {
	__u32 mark;
	__u32 valid;
	__u64 stamp;
	__u32 hash;
	__u32 hash_type;
};

_Static_assert(sizeof(struct hints) == LINERATE_HINTS_BYTES, "");
_Static_assert(__builtin_offsetof(struct hints, mark) == 0, "");
_Static_assert(__builtin_offsetof(struct hints, valid) == LINERATE_HINTS_VALID_AT, "");
_Static_assert(__builtin_offsetof(struct hints, stamp) == LINERATE_HINTS_STAMP_AT, "");
_Static_assert(__builtin_offsetof(struct hints, hash) == LINERATE_HINTS_HASH_AT, "");
_Static_assert(__builtin_offsetof(struct hints, hash_type) == LINERATE_HINTS_HASH_TYPE_AT, "");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_XSKMAP);
	MAP_NUMBER(max_entries, LINERATE_QUEUES_MAX);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u32);
} sockets SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_HASH);
	MAP_NUMBER(max_entries, LINERATE_ADDRESSES_MAX);
	MAP_TYPE(key, __u8[4]);
	MAP_TYPE(value, __u8);
} addresses_v4 SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_HASH);
	MAP_NUMBER(max_entries, LINERATE_ADDRESSES_MAX);
	MAP_TYPE(key, __u8[16]);
	MAP_TYPE(value, __u8);
} addresses_v6 SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(max_entries, LINERATE_PORT_WORDS);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u64);
} ports SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(max_entries, LINERATE_CONFIG_ENTRIES);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u32);
} config SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_NUMBER(max_entries, LINERATE_VERDICTS);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u64);
} counters SEC(".maps");

INLINE __u32 setting(__u32 key)
{
	__u32 *value = bpf_map_lookup_elem(&config, &key);

	return value ? *value : 0;
}

INLINE int exclusive(void)
{
	return setting(LINERATE_CONFIG_ROLE) == LINERATE_ROLE_EXCLUSIVE;
}

INLINE int ours_v4(const void *address)
{
	return bpf_map_lookup_elem(&addresses_v4, address) != 0;
}

INLINE int ours_v6(const void *address)
{
	return bpf_map_lookup_elem(&addresses_v6, address) != 0;
}

INLINE int port_claimed(__be16 port_net)
{
	__u32 port = NET16(port_net);
	__u32 word = port / LINERATE_PORT_WORD_BITS;
	__u64 *bits = bpf_map_lookup_elem(&ports, &word);

	return bits && (*bits >> (port % LINERATE_PORT_WORD_BITS) & 1);
}

/* A fragment of a packet that the stack might claim if it were whole. Only the first fragment
 * has ports, so the decision uses the address and the protocol alone. For IPv6, the announced
 * protocol may be an extension header of the whole packet. */
INLINE __u32 fragment(__u8 protocol)
{
	if (setting(LINERATE_CONFIG_FRAGMENTS) != LINERATE_FRAGMENTS_STACK)
		return LINERATE_VERDICT_PASS_FRAGMENT;
	if (protocol == IPPROTO_TCP)
		return LINERATE_VERDICT_FRAGMENT;
	if (exclusive() && (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ||
			    protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_ROUTING))
		return LINERATE_VERDICT_FRAGMENT;
	return LINERATE_VERDICT_PASS_PROTOCOL;
}

INLINE __u32 tcp(struct cursor *cursor)
{
	struct tcphdr *header = PULL(cursor, struct tcphdr);

	if (!header)
		return LINERATE_VERDICT_PASS_MALFORMED;
	if (!exclusive() && !port_claimed(header->dest))
		return LINERATE_VERDICT_PASS_PORT;
	return LINERATE_VERDICT_TCP;
}

/* The stack must have sent the quoted packet: its source address is local and its source port is
 * claimed. */
INLINE __u32 quoted_ports(struct cursor *cursor)
{
	struct ports *quoted = PULL(cursor, struct ports);

	if (!quoted)
		return LINERATE_VERDICT_PASS_MALFORMED;
	return port_claimed(quoted->source) ? LINERATE_VERDICT_ICMP_ERROR : LINERATE_VERDICT_PASS_PORT;
}

/* RFC 792: the quote is the IP header and at least 64 bits of what follows. */
INLINE __u32 icmp_v4(struct cursor *cursor)
{
	struct icmp_fixed *icmp = PULL(cursor, struct icmp_fixed);
	struct iphdr *quoted;
	__u32 length;

	if (!icmp)
		return LINERATE_VERDICT_PASS_MALFORMED;
	if (exclusive())
		return LINERATE_VERDICT_ICMP;
	if (icmp->type != ICMP_UNREACHABLE && icmp->type != ICMP_TIME_EXCEEDED &&
	    icmp->type != ICMP_PARAMETER_PROBLEM)
		return LINERATE_VERDICT_PASS_PROTOCOL;
	quoted = PULL(cursor, struct iphdr);
	if (!quoted || quoted->version != 4 || quoted->ihl < 5)
		return LINERATE_VERDICT_PASS_MALFORMED;
	if (quoted->protocol != IPPROTO_TCP || quoted->frag_off & NET16(IPV4_OFFSET))
		return LINERATE_VERDICT_PASS_PROTOCOL;
	if (!ours_v4(&quoted->saddr))
		return LINERATE_VERDICT_PASS_ADDRESS;
	length = quoted->ihl * 4;
	cursor->at = (void *)quoted + length;
	return quoted_ports(cursor);
}

INLINE __u32 ipv4(struct cursor *cursor)
{
	struct iphdr *ip = PULL(cursor, struct iphdr);
	__u32 length;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return LINERATE_VERDICT_PASS_MALFORMED;
	if (!ours_v4(&ip->daddr))
		return LINERATE_VERDICT_PASS_ADDRESS;
	if (ip->frag_off & NET16(IPV4_MORE_OR_OFFSET))
		return fragment(ip->protocol);
	length = ip->ihl * 4;
	cursor->at = (void *)ip + length;
	if (ip->protocol == IPPROTO_TCP)
		return tcp(cursor);
	if (ip->protocol == IPPROTO_ICMP)
		return icmp_v4(cursor);
	return LINERATE_VERDICT_PASS_PROTOCOL;
}

/* Segments of the stack carry no extension headers, so TCP directly follows the quoted IPv6
 * header. */
INLINE __u32 icmp_v6_error(struct cursor *cursor)
{
	struct ipv6hdr *quoted = PULL(cursor, struct ipv6hdr);

	if (!quoted || quoted->version != 6)
		return LINERATE_VERDICT_PASS_MALFORMED;
	if (quoted->nexthdr != IPPROTO_TCP)
		return LINERATE_VERDICT_PASS_PROTOCOL;
	if (!ours_v6(&quoted->saddr))
		return LINERATE_VERDICT_PASS_ADDRESS;
	return quoted_ports(cursor);
}

INLINE __u32 icmp_v6(struct cursor *cursor)
{
	struct icmp_fixed *icmp = PULL(cursor, struct icmp_fixed);

	if (!icmp)
		return LINERATE_VERDICT_PASS_MALFORMED;
	if (exclusive())
		return icmp->type == NEIGHBOUR_SOLICITATION || icmp->type == NEIGHBOUR_ADVERTISEMENT
			       ? LINERATE_VERDICT_NDP
			       : LINERATE_VERDICT_ICMP;
	if (icmp->type < ICMPV6_ERROR_FIRST || icmp->type > ICMPV6_ERROR_LAST)
		return LINERATE_VERDICT_PASS_PROTOCOL;
	return icmp_v6_error(cursor);
}

/* A multicast packet belongs to the stack only if it solicits or claims an address of the stack.
 * RFC 4861 §7.2.1 sends solicitations to the solicited-node group, which other addresses may
 * share; RFC 4862 §5.4.4 makes the owner of an address advertise it to all nodes. Any other
 * multicast packet may concern the kernel's own addresses on the interface, and a frame cannot
 * go to both, so it passes. Router advertisements are the exception: where the stack configures
 * its addresses from them, the kernel does without. */
INLINE __u32 multicast_v6(struct cursor *cursor, __u8 next)
{
	struct neighbour_message *message;
	struct icmp_fixed *icmp = cursor->at;

	if (next != IPPROTO_ICMPV6 || !exclusive())
		return LINERATE_VERDICT_PASS_ADDRESS;
	if ((void *)(icmp + 1) > cursor->end)
		return LINERATE_VERDICT_PASS_MALFORMED;
	if (icmp->type == ROUTER_ADVERTISEMENT)
		return setting(LINERATE_CONFIG_ROUTERS) == LINERATE_ROUTERS_STACK
			       ? LINERATE_VERDICT_NDP
			       : LINERATE_VERDICT_PASS_PROTOCOL;
	message = PULL(cursor, struct neighbour_message);
	if (!message)
		return LINERATE_VERDICT_PASS_MALFORMED;
	if (message->fixed.type != NEIGHBOUR_SOLICITATION &&
	    message->fixed.type != NEIGHBOUR_ADVERTISEMENT)
		return LINERATE_VERDICT_PASS_PROTOCOL;
	return ours_v6(message->target) ? LINERATE_VERDICT_NDP : LINERATE_VERDICT_PASS_ADDRESS;
}

/* Moves the cursor to the upper-layer header. Returns -1 with the protocol in *next, or 0 with
 * *verdict set when the extension headers alone decide. */
INLINE int extensions(struct cursor *cursor, __u8 *next, __u32 *verdict)
{
	for (int i = 0; i <= LINERATE_EXTENSIONS_MAX; i++) {
		struct extension *extension = cursor->at;
		struct fragment_extension *part = cursor->at;

		if (*next != IPPROTO_HOPOPTS && *next != IPPROTO_ROUTING && *next != IPPROTO_DSTOPTS &&
		    *next != IPPROTO_FRAGMENT)
			return -1;
		/* Every extension header is at least 8 bytes long. */
		if ((void *)(part + 1) > cursor->end) {
			*verdict = LINERATE_VERDICT_PASS_MALFORMED;
			return 0;
		}
		if (*next != IPPROTO_FRAGMENT) {
			*next = extension->next;
			cursor->at += (extension->length + 1) * 8;
			continue;
		}
		*next = part->next;
		/* RFC 6946: a packet with offset 0 and no more fragments is not a fragment. */
		if (part->offset & NET16(IPV6_MORE_OR_OFFSET)) {
			*verdict = fragment(*next);
			return 0;
		}
		cursor->at = part + 1;
	}
	*verdict = LINERATE_VERDICT_PASS_PROTOCOL;
	return 0;
}

INLINE __u32 ipv6(struct cursor *cursor)
{
	struct ipv6hdr *ip = PULL(cursor, struct ipv6hdr);
	int multicast;
	__u32 verdict;
	__u8 next;

	if (!ip || ip->version != 6)
		return LINERATE_VERDICT_PASS_MALFORMED;
	multicast = ip->daddr.s6_addr[0] == 0xff;
	if (!multicast && !ours_v6(&ip->daddr))
		return LINERATE_VERDICT_PASS_ADDRESS;
	next = ip->nexthdr;
	/* Hosts send no solicitations behind extension headers; such a packet passes. */
	if (multicast)
		return multicast_v6(cursor, next);
	if (extensions(cursor, &next, &verdict) == 0)
		return verdict;
	if (next == IPPROTO_TCP)
		return tcp(cursor);
	if (next == IPPROTO_ICMPV6)
		return icmp_v6(cursor);
	return LINERATE_VERDICT_PASS_PROTOCOL;
}

INLINE __u32 arp(struct cursor *cursor)
{
	struct arp_ipv4 *message;

	if (!exclusive())
		return LINERATE_VERDICT_PASS_PROTOCOL;
	message = PULL(cursor, struct arp_ipv4);
	if (!message || message->hardware != NET16(ARP_ETHERNET) ||
	    message->protocol != NET16(ETH_P_IP) || message->hardware_length != ETH_ALEN ||
	    message->protocol_length != sizeof(message->target))
		return LINERATE_VERDICT_PASS_MALFORMED;
	/* RFC 5227 §2.1.1: a host that answers a probe names itself as the sender; the target is
	 * zero. */
	return ours_v4(message->target) || ours_v4(message->sender) ? LINERATE_VERDICT_ARP
								     : LINERATE_VERDICT_PASS_ADDRESS;
}

INLINE __u32 classify(struct cursor *cursor)
{
	struct ethhdr *ethernet = PULL(cursor, struct ethhdr);
	__be16 ethertype;

	if (!ethernet)
		return LINERATE_VERDICT_PASS_MALFORMED;
	ethertype = ethernet->h_proto;
#pragma unroll
	for (int i = 0; i < LINERATE_VLAN_TAGS_MAX; i++) {
		struct vlan_tag *tag;

		if (ethertype != NET16(ETH_P_8021Q) && ethertype != NET16(ETH_P_8021AD))
			break;
		tag = PULL(cursor, struct vlan_tag);
		if (!tag)
			return LINERATE_VERDICT_PASS_MALFORMED;
		ethertype = tag->ethertype;
	}
	if (ethertype == NET16(ETH_P_IP))
		return ipv4(cursor);
	if (ethertype == NET16(ETH_P_IPV6))
		return ipv6(cursor);
	if (ethertype == NET16(ETH_P_ARP))
		return arp(cursor);
	return LINERATE_VERDICT_PASS_ETHERTYPE;
}

/* A per-CPU entry. Only this CPU writes it, with preemption off, so it needs no atomic. */
INLINE void count(__u32 verdict)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &verdict);

	if (counter)
		*counter += 1;
}

/* Reinserts a tag that the NIC stripped, so that the stack sees the frame as it was on the wire.
 * Returns false if the frame has no room for it: without the tag, a frame of another network
 * would look like one of the stack's. */
INLINE int retag(struct xdp_md *context)
{
	__be16 protocol = 0;
	__u16 control = 0;
	struct tagged *frame;

	if (rx_vlan_tag(context, &protocol, &control) != 0)
		return 1;
	if (bpf_xdp_adjust_head(context, -(int)sizeof(struct vlan_tag)) != 0)
		return 0;
	frame = (void *)(unsigned long)context->data;
	if ((void *)(frame + 1) > (void *)(unsigned long)context->data_end)
		return 0;
	__builtin_memmove(frame->addresses, (void *)frame + sizeof(struct vlan_tag), sizeof(frame->addresses));
	frame->protocol = protocol;
	frame->control = NET16(control);
	return 1;
}

/* Collects the requested metadata. Must run before the frame start moves: some drivers locate the
 * metadata by it (virtio_net). */
INLINE void collect_hints(struct xdp_md *context, __u32 wanted, struct hints *hints)
{
	if (wanted & LINERATE_HINT_STAMP) {
		__u64 now = bpf_ktime_get_ns();
		__u64 driver_time = 0;

		hints->stamp = now;
		hints->valid = LINERATE_VALID_STAMP;
		if (rx_timestamp(context, &driver_time) == 0 && driver_time) {
			/* A time in the future wraps to a large number. */
			if (now - driver_time <= LINERATE_STAMP_AGE_MAX_NS) {
				hints->stamp = driver_time;
				hints->valid |= LINERATE_VALID_DRIVER_STAMP;
			} else {
				hints->valid |= LINERATE_VALID_FOREIGN_STAMP;
			}
		}
	}
	if (wanted & LINERATE_HINT_HASH && rx_hash(context, &hints->hash, &hints->hash_type) == 0)
		hints->valid |= LINERATE_VALID_HASH;
}

/* Writes the metadata in front of the frame. If the driver leaves no room, the frame goes
 * without it. */
INLINE void annotate(struct xdp_md *context, struct hints *hints)
{
	struct hints *place;

	hints->mark = LINERATE_HINTS_MARK;
	if (bpf_xdp_adjust_meta(context, -(int)sizeof(*hints)) != 0)
		return;
	place = (void *)(unsigned long)context->data_meta;
	if ((void *)(place + 1) <= (void *)(unsigned long)context->data)
		*place = *hints;
}

/* Restores the VLAN tag and adds the requested metadata. Returns false if the frame must not go
 * to a socket. */
INLINE int add_hints(struct xdp_md *context)
{
	__u32 wanted = wanted_hints();
	struct hints hints = {};

	if (!wanted)
		return retag(context);
	collect_hints(context, wanted, &hints);
	if (!retag(context))
		return 0;
	annotate(context, &hints);
	return 1;
}

INLINE int steer(struct xdp_md *context, int with_hints)
{
	struct cursor cursor = {
		.at = (void *)(unsigned long)context->data,
		.end = (void *)(unsigned long)context->data_end,
	};
	__u32 verdict = classify(&cursor);
	long action = XDP_PASS;

	if (verdict < LINERATE_VERDICT_PASSES) {
		/* bpf_redirect_map returns the flags as the action for a queue without a socket. */
		action = bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS);
		if (action != XDP_REDIRECT) {
			verdict = LINERATE_VERDICT_PASS_NO_SOCKET;
		} else if (with_hints && !add_hints(context)) {
			verdict = LINERATE_VERDICT_PASS_TAG;
			action = XDP_PASS;
		}
	}
	count(verdict);
	return action;
}

SEC("xdp.frags")
int linerate(struct xdp_md *context)
{
	return steer(context, 0);
}

SEC("xdp.frags")
int linerate_hints(struct xdp_md *context)
{
	return steer(context, 1);
}

char program_license[] SEC("license") = "Dual MIT/GPL";

// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Takes established TCP past the pump. Minimum kernel: 6.6 (BPF_LINK_TYPE_TCX).
 *
 * Theory of operation
 *
 * The pump carries every packet between the faith interface and the private namespace through user
 * space, and must: it holds SYNs, counts refusals and answers what cannot be captured. Of a segment
 * in the middle of a connection it asks nothing that a program in the kernel could not ask, and such
 * segments are nearly all there are; of a SYN neither, where nobody holds any. A veth pair joins the
 * host's namespace and the private one beside the two TUN devices, and two programs send the segments
 * by it; a third one has SYNs come to a worker:
 *
 *   to_stack   at the egress of the faith interface, before its queue: segments for the stack
 *   to_worker  at the ingress of the pair's end inside, where there are several workers
 *   to_host    at the ingress of the pair's end on the host: all that the stack sends
 *
 * On the host everything looks as it does with the pump: packets are routed to the faith interface,
 * and come from it (BPF_F_INGRESS), so firewalls and filters of reverse paths see the same.
 *
 * to_stack takes only what the classifier of crates/faith-packet would capture as plain TCP without
 * a second look, and leaves the rest to the device's queue and so to the pump: it may take too
 * little, never too much. to_host has nobody behind it, and drops what the classifier would drop.
 *
 * to_worker has the readier of two workers get a connection (backlog.h), by the receive queue that
 * SYNs claim to have come by: listening sockets are chosen by that. What counts as seen here is
 * accepted.
 *
 * The faith interface and these programs go with the process that holds them, whatever it dies of. Its
 * sockets then say their last, and as long as TCP repeats it for want of an answer, minutes perhaps,
 * they hold the private namespace, and that the pair. So the pair itself holds a fourth program, behind
 * to_host, which packets come to when that is no more:
 *
 *   to_nobody  answers for their peers, by a RST
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "backlog.h"

#define ETH_P_IPV6 0x86dd
#define ETH_HLEN 14

#define NEXT_TCP 6
#define NEXT_FRAGMENT 44
#define NEXT_ICMPV6 58

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct address {
	__be64 high, low;
};

struct ipv6 {
	__u8 version; /* and half of the traffic class */
	__u8 rest[3];
	__be16 payload_len;
	__u8 next;
	__u8 hop_limit;
	struct address source, destination;
};

struct tcp {
	__be16 source, destination;
	__be32 number, acknowledged;
	__u8 offset; /* in the upper half, in words of four bytes */
	__u8 flags;
	__be16 window, checksum, urgent;
};

struct fragment {
	__u8 next;
	__u8 rest[7];
};

struct ethernet {
	__u8 destination[6], source[6];
	__be16 protocol;
} __attribute__((packed));

/* After that nobody is about to accept what has come: it was refused, or forged. */
#define PATIENCE 1000000000ull

/* Both ends of the pair have this address, so that either takes what is sent to it for its own. */
#define MAC { 0x02, 0xfa, 0x17, 0xfa, 0x17, 0xd0 }

struct prefix_key {
	__u32 prefixlen;
	struct address address;
} __attribute__((packed));

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct prefix_key);
	__type(value, __u32);
} prefixes SEC(".maps");

/* Interface indices, and whether SYNs pass; 0 is closed. */
enum way { TO_STACK, TO_HOST, SYNS, WAYS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WAYS);
	__type(key, __u32);
	__type(value, __u32);
} ways SEC(".maps");

enum fate { CAPTURED, RETURNED, OUTBOUND, FATES };

struct count {
	__u64 packets, bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FATES);
	__type(key, __u32);
	__type(value, struct count);
} counts SEC(".maps");

static __always_inline __u32 way(__u32 which)
{
	__u32 *index = bpf_map_lookup_elem(&ways, &which);

	return index ? *index : 0;
}

static __always_inline void count(__u32 fate, __u32 bytes)
{
	struct count *counted = bpf_map_lookup_elem(&counts, &fate);

	if (!counted)
		return;
	counted->packets++;
	counted->bytes += bytes;
}

static __always_inline int is_inside(const struct address *address)
{
	struct prefix_key key __attribute__((aligned(4))) = { .prefixlen = 128, .address = *address };

	return bpf_map_lookup_elem(&prefixes, &key) != 0;
}

/* Where the IPv6 header starts, if it is one and `length` bytes from there on can be read. */
static __always_inline struct ipv6 *header(struct __sk_buff *skb, __u32 offset, __u32 length)
{
	void *start = (void *)(long)skb->data;

	if (skb->protocol != bpf_htons(ETH_P_IPV6))
		return 0;
	if (start + offset + length > (void *)(long)skb->data_end) {
		if (bpf_skb_pull_data(skb, offset + length))
			return 0;
		start = (void *)(long)skb->data;
		if (start + offset + length > (void *)(long)skb->data_end)
			return 0;
	}
	return start + offset;
}

static __always_inline int may_pass(__u8 flags)
{
	switch (flags & (TCP_SYN | TCP_ACK)) {
	case TCP_ACK:
		return 1;
	case TCP_SYN:
		return !(flags & (TCP_FIN | TCP_RST)) && way(SYNS);
	default:
		return 0;
	}
}

SEC("classifier")
int to_stack(struct __sk_buff *skb)
{
	const __u32 length = sizeof(struct ipv6) + sizeof(struct tcp);
	const struct ethernet link = {
		.destination = MAC,
		.source = MAC,
		.protocol = bpf_htons(ETH_P_IPV6),
	};
	__u32 there = way(TO_STACK), bytes = skb->len;
	struct ipv6 *ip;
	struct tcp *tcp;

	if (!there)
		return TC_ACT_UNSPEC;
	ip = header(skb, 0, length);
	if (!ip || ip->version >> 4 != 6 || ip->next != NEXT_TCP)
		return TC_ACT_UNSPEC;
	if (sizeof(*ip) + bpf_ntohs(ip->payload_len) != bytes)
		return TC_ACT_UNSPEC;
	tcp = (void *)(ip + 1);
	if (!may_pass(tcp->flags))
		return TC_ACT_UNSPEC;
	if (tcp->offset >> 4 < 5 || sizeof(*ip) + (tcp->offset >> 4) * 4 > bytes)
		return TC_ACT_UNSPEC;
	/* Unspecified, loopback and IPv4-mapped sources begin with eight zeros, multicast ones with 0xff. */
	if (!ip->source.high || *(__u8 *)&ip->source == 0xff)
		return TC_ACT_UNSPEC;
	/*
	 * The kernel ties a connection from a link-local address to the device its SYN came by, which is the
	 * pump's where SYNs are held. Such connections are the host's own, of a host without other addresses.
	 */
	if ((bpf_ntohs(*(__be16 *)&ip->source) & 0xffc0) == 0xfe80)
		return TC_ACT_UNSPEC;
	/* The stack keeps to its prefixes by itself, by its routes, so prefixes may change one by one. */
	if (!is_inside(&ip->destination) || is_inside(&ip->source))
		return TC_ACT_UNSPEC;

	if (bpf_skb_change_head(skb, ETH_HLEN, 0))
		return TC_ACT_UNSPEC;
	bpf_skb_store_bytes(skb, 0, &link, sizeof(link), 0);
	count(CAPTURED, bytes);
	return bpf_redirect(there, 0);
}

SEC("classifier")
int to_worker(struct __sk_buff *skb)
{
	struct ipv6 *ip = header(skb, ETH_HLEN, sizeof(struct ipv6) + sizeof(struct tcp));
	struct tcp *tcp = (void *)(ip + 1);

	if (workers < 2 || !ip || ip->next != NEXT_TCP)
		return TC_ACT_UNSPEC;
	if ((tcp->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		__u64 random = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();

		/* As skb_record_rx_queue() does: 0 is no queue. */
		skb->queue_mapping = readier(random, PATIENCE) + 1;
	}
	return TC_ACT_UNSPEC;
}

static __always_inline int may_leave(struct __sk_buff *skb)
{
	/* Every message that may leave has 8 bytes behind the IPv6 header. */
	struct ipv6 *ip = header(skb, ETH_HLEN, sizeof(struct ipv6) + sizeof(struct fragment));
	struct fragment *behind;

	if (!ip || ip->version >> 4 != 6 || !is_inside(&ip->source))
		return 0;
	if (ETH_HLEN + sizeof(*ip) + bpf_ntohs(ip->payload_len) != skb->len)
		return 0;
	behind = (void *)(ip + 1);
	switch (ip->next) {
	case NEXT_TCP:
		return 1;
	case NEXT_FRAGMENT:
		return behind->next == NEXT_TCP;
	case NEXT_ICMPV6:
		/* The type comes first: errors are 1 to 4. */
		return behind->next >= 1 && behind->next <= 4;
	default:
		return 0;
	}
}

SEC("classifier")
int to_host(struct __sk_buff *skb)
{
	__u32 there = way(TO_HOST), bytes = skb->len - ETH_HLEN;

	if (!there || !may_leave(skb)) {
		count(OUTBOUND, bytes);
		return TC_ACT_SHOT;
	}
	count(RETURNED, bytes);
	return bpf_redirect(there, BPF_F_INGRESS);
}

static __always_inline __be16 checksum(struct ipv6 *ip, struct tcp *tcp)
{
	/* The rest of what RFC 8200, section 8.1, has in the sum. */
	__be32 behind[2] = { bpf_htonl(sizeof(*tcp)), bpf_htonl(NEXT_TCP) };
	__u64 sum = bpf_csum_diff(0, 0, (__be32 *)&ip->source, 2 * sizeof(struct address), 0);

	sum = bpf_csum_diff(0, 0, behind, sizeof(behind), sum);
	sum = bpf_csum_diff(0, 0, (__be32 *)tcp, sizeof(*tcp), sum);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Sends a segment back as the RST that its peer would have sent, had it known nothing of the connection. */
SEC("classifier")
int to_nobody(struct __sk_buff *skb)
{
	const __u32 length = sizeof(struct ipv6) + sizeof(struct tcp);
	struct ipv6 *ip = header(skb, ETH_HLEN, length);
	struct tcp *tcp = (void *)(ip + 1);
	struct address address;
	__be16 port;

	if (!ip || ip->version >> 4 != 6 || ip->next != NEXT_TCP)
		return TC_ACT_SHOT;
	if ((tcp->flags & (TCP_RST | TCP_ACK)) != TCP_ACK)
		return TC_ACT_SHOT;
	if (bpf_skb_change_tail(skb, ETH_HLEN + length, 0))
		return TC_ACT_SHOT;
	ip = header(skb, ETH_HLEN, length);
	if (!ip)
		return TC_ACT_SHOT;
	tcp = (void *)(ip + 1);

	address = ip->source;
	ip->source = ip->destination;
	ip->destination = address;
	ip->payload_len = bpf_htons(sizeof(*tcp));
	port = tcp->source;
	tcp->source = tcp->destination;
	tcp->destination = port;
	tcp->number = tcp->acknowledged;
	tcp->acknowledged = 0;
	tcp->offset = sizeof(*tcp) / 4 << 4;
	tcp->flags = TCP_RST;
	tcp->window = 0;
	tcp->urgent = 0;
	tcp->checksum = 0;
	tcp->checksum = checksum(ip, tcp);
	return bpf_redirect(skb->ifindex, 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";

// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Takes established TCP past the pump. Minimum kernel: 6.6 (BPF_LINK_TYPE_TCX).
 *
 * Theory of operation
 *
 * The pump carries packets between the faith interface and the private namespace through user space: it
 * holds SYNs, counts refusals and answers packets that cannot be captured. The pump does nothing for
 * mid-connection segments, nearly all of the traffic, that a kernel program could not do. The same holds
 * for SYNs if no listener holds them. A veth pair therefore joins the host's namespace and the private
 * one, beside the two TUN devices. Three programs use it:
 *
 *   to_stack   at the egress of the faith interface, before its queue: redirects segments to the stack
 *   to_worker  at the ingress of the pair's inner end: chooses the worker, if there are several
 *   to_host    at the ingress of the pair's host end: redirects all packets from the stack
 *
 * The host sees the same as with the pump: it routes packets to the faith interface, and packets come
 * from it (BPF_F_INGRESS). So firewalls and reverse path filters work the same.
 *
 * to_stack takes only packets that the classifier of crates/faith-packet would capture as plain TCP, and
 * leaves the others to the device's queue and so to the pump. It may take too few packets, never too
 * many. No pump checks packets behind to_host, so it drops those that the classifier would drop.
 *
 * to_worker gives a connection to the worker with the smaller backlog out of two (backlog.h). It writes
 * the worker's number as the receive queue of the SYN, by which the kernel chooses the listening socket.
 * A connection counts as seen here when the worker accepts it.
 *
 * When the process ends, in any way, the kernel removes the faith interface and these programs. The
 * sockets left behind then send their final segments. While TCP retransmits them unanswered, perhaps for
 * minutes, the sockets keep the private namespace, which keeps the pair. So the pair itself keeps a
 * fourth program, behind to_host, which gets packets once to_host is gone:
 *
 *   reset_orphans  answers each segment with a RST, in the peer's place
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

/* In nanoseconds. A SYN that was not accepted by then was refused or forged. */
#define PATIENCE 1000000000ull

/* Both ends of the pair have this address, so that each accepts frames from the other. */
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

/* Interface indices, and 1 in SYNS to let SYNs pass; 0 means closed. */
enum way { TO_STACK, TO_HOST, SYNS, WAYS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WAYS);
	__type(key, __u32);
	__type(value, __u32);
} ways SEC(".maps");

enum fate { CAPTURED, RETURNED, OUTBOUND, NO_LISTENER, FATES };

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

/* Finds the IPv6 header at `offset`. 0 if it is none, or fewer than `length` bytes can be read. */
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
	 * The kernel ties a connection from a link-local address to the device of its SYN. If SYNs are held,
	 * that is the pump's device, so its other segments must take the pump too. Only this host makes such
	 * connections, while it has no other addresses.
	 */
	if ((bpf_ntohs(*(__be16 *)&ip->source) & 0xffc0) == 0xfe80)
		return TC_ACT_UNSPEC;
	/* Routes inside limit the stack to its prefixes too, so this map may change one prefix at a time. */
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

		/* As skb_record_rx_queue() does: 0 means no queue. */
		skb->queue_mapping = readier(random, PATIENCE) + 1;
	}
	return TC_ACT_UNSPEC;
}

static __always_inline int may_leave(struct __sk_buff *skb)
{
	/* Every packet that may leave has at least 8 bytes behind the IPv6 header. */
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
		/* The first byte is the type: errors are 1 to 4. */
		return behind->next >= 1 && behind->next <= 4;
	default:
		return 0;
	}
}

/*
 * The kernel's answer to a SYN without a listener: a RST of number 0, which no connection has (RFC 9293
 * section 3.10.7.1).
 */
static __always_inline int refuses(struct __sk_buff *skb)
{
	const __u32 length = sizeof(struct ipv6) + sizeof(struct tcp);
	struct ipv6 *ip = header(skb, ETH_HLEN, length);
	struct tcp *tcp = (void *)(ip + 1);

	return ip && ip->next == NEXT_TCP && !tcp->number &&
	       (tcp->flags & (TCP_RST | TCP_ACK)) == (TCP_RST | TCP_ACK);
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
	if (bytes == sizeof(struct ipv6) + sizeof(struct tcp) && refuses(skb))
		count(NO_LISTENER, bytes);
	return bpf_redirect(there, BPF_F_INGRESS);
}

static __always_inline __be16 checksum(struct ipv6 *ip, struct tcp *tcp)
{
	/* The rest of the pseudo-header (RFC 8200 section 8.1). */
	__be32 behind[2] = { bpf_htonl(sizeof(*tcp)), bpf_htonl(NEXT_TCP) };
	__u64 sum = bpf_csum_diff(0, 0, (__be32 *)&ip->source, 2 * sizeof(struct address), 0);

	sum = bpf_csum_diff(0, 0, behind, sizeof(behind), sum);
	sum = bpf_csum_diff(0, 0, (__be32 *)tcp, sizeof(*tcp), sum);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Turns a segment into the RST of a peer that does not have the connection, and sends it back. */
SEC("classifier")
int reset_orphans(struct __sk_buff *skb)
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

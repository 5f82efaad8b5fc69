// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Chooses the queue of a TUN device, and so the worker, that a packet goes to. Minimum kernel: 5.5
 * (TUNSETSTEERINGEBPF, BPF_F_MMAPABLE).
 *
 * Theory of operation
 *
 * Both devices of a faith interface have a queue per worker, and both directions of a connection must
 * come to the same one. Without a program the kernel sees to that with a table of its own, in which
 * it enters each flow that is written to the device, with a lock and an allocation, and which it
 * searches for each packet; with connections that last for a few packets this is much of what the
 * device costs. The program keeps nothing: exclusive or makes the addresses and ports of either
 * direction the same, and a multiplication spreads them.
 *
 * Clients choose addresses and ports, and one that knew the constants could have all its connections
 * on one worker. So both are drawn by the loader.
 *
 * Where the rest of a connection passes the device by (shortcut.bpf.c), whoever gets its SYN has all
 * of it, and none of its packets has to come to that queue. So a SYN goes to the readier of two workers,
 * which the flow chooses (backlog.h): the one with fewer SYNs since it last saw its queue empty.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "backlog.h"

#define NEXT_TCP 6

#define TCP_SYN 0x02
#define TCP_ACK 0x10

/* Set by the loader; the factor to an odd number. */
struct {
	__u64 addend, factor;
} mixing SEC(".data.mixing") = { 0, 1 };

/* An IPv6 header from its next-header field on, and the ports of a TCP header right behind it. */
struct flow {
	__u8 next, hop_limit;
	__u64 source[2], destination[2];
	__u16 ports[2];
} __attribute__((packed));

#define FLOW_OFFSET 6
#define TCP_FLAGS_OFFSET (40 + 13)

/* A product carries only upwards, so what is in the upper half is brought down; and with one product alone, some
 * factors leave ports that follow each other on few queues. */
static __u64 mix(__u64 key)
{
	key = (key ^ key >> 32) * mixing.factor;
	key = (key ^ key >> 29) * mixing.factor;
	return key ^ key >> 32;
}

static int begins_connection(struct __sk_buff *skb)
{
	__u8 flags;

	if (bpf_skb_load_bytes(skb, TCP_FLAGS_OFFSET, &flags, sizeof(flags)))
		return 0;
	return (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

SEC("socket")
int queue(struct __sk_buff *skb)
{
	struct flow flow;
	__u64 key;

	if (bpf_skb_load_bytes(skb, FLOW_OFFSET, &flow, sizeof(flow)))
		return 0; /* too short for TCP */
	key = mix((flow.source[0] ^ flow.destination[0]) + mixing.addend);
	key = mix(key ^ flow.source[1] ^ flow.destination[1]);
	if (flow.next == NEXT_TCP) {
		key = mix(key ^ flow.ports[0] ^ flow.ports[1]);
		if (workers > 1 && begins_connection(skb))
			return readier(key, 0); /* a worker reads all of its queue */
	}
	/* The device takes the remainder by the number of its queues. */
	return key & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

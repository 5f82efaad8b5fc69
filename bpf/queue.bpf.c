// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Chooses the queue of a TUN device, and so the worker, that a packet goes to. Minimum kernel: 4.16
 * (TUNSETSTEERINGEBPF).
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
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define NEXT_TCP 6

/* Overwritten by the loader; the factor with an odd number. */
volatile const __u64 addend = 0, factor = 1;

/* An IPv6 header from its next-header field on, and the ports of a TCP header right behind it. */
struct flow {
	__u8 next, hop_limit;
	__u64 source[2], destination[2];
	__u16 ports[2];
} __attribute__((packed));

#define FLOW_OFFSET 6

/* A product carries only upwards, so what is in the upper half is brought down; and with one product alone, some
 * factors leave ports that follow each other on few queues. */
static __u64 mix(__u64 key)
{
	key = (key ^ key >> 32) * factor;
	key = (key ^ key >> 29) * factor;
	return key ^ key >> 32;
}

SEC("socket")
int queue(struct __sk_buff *skb)
{
	struct flow flow;
	__u64 key;

	if (bpf_skb_load_bytes(skb, FLOW_OFFSET, &flow, sizeof(flow)))
		return 0; /* too short for TCP */
	key = mix((flow.source[0] ^ flow.destination[0]) + addend);
	key = mix(key ^ flow.source[1] ^ flow.destination[1]);
	if (flow.next == NEXT_TCP)
		key = mix(key ^ flow.ports[0] ^ flow.ports[1]);
	/* The device takes the remainder by the number of its queues. */
	return key & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Chooses the queue of a TUN device, and so the worker, for each packet. Minimum kernel: 5.5
 * (TUNSETSTEERINGEBPF, BPF_F_MMAPABLE).
 *
 * Theory of operation
 *
 * Both devices of a faith interface have a queue per worker, and both directions of a connection must
 * come to the same queue. Without a program the kernel ensures that with a table of flows. It enters
 * each flow that is written to the device, with a lock and an allocation, and searches the table for
 * each packet. For short connections that is a large part of the device's cost. This program keeps no
 * state: exclusive or gives the addresses and ports of both directions the same key, and multiplication
 * spreads the keys over the queues.
 *
 * Clients choose addresses and ports. A client that knew the constants could put all its connections on
 * one worker, so the loader draws both constants at random.
 *
 * Datagrams of clients go by their source alone: all that a client sends from one port must come to the worker that has
 * its socket. Echo requests do the same, with their identifier in place of the port. The pump computes the same
 * (mixing.rs) and passes on what came to another worker, which costs a second thread's wake-up.
 *
 * With the shortcut (shortcut.bpf.c), only the SYN of a connection comes to a queue, so it may go to any
 * worker, and that worker serves the connection. The flow chooses two workers, and the SYN goes to the
 * one that was given fewer SYNs since it last saw its queue empty (backlog.h).
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "backlog.h"

#define NEXT_TCP 6
#define NEXT_UDP 17
#define NEXT_ICMPV6 58
#define ECHO_REQUEST 128

#define TCP_SYN 0x02
#define TCP_ACK 0x10

/* Set by the loader; the factor to an odd number. */
struct {
	__u64 addend, factor;
} mixing SEC(".data.mixing") = { 0, 1 };

/* An IPv6 header from its next-header field on, followed by the ports of a TCP or UDP header. */
struct flow {
	__u8 next, hop_limit;
	__u64 source[2], destination[2];
	__u16 ports[2];
} __attribute__((packed));

#define FLOW_OFFSET 6
#define TCP_FLAGS_OFFSET (40 + 13)
#define IDENTIFIER_OFFSET (40 + 4)

/* Multiplication carries bits only upwards, so shifts bring the upper half down. Two multiplications are needed: with
 * one, some factors put consecutive ports on few queues. */
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

/* The queue of what a client sends from a port. */
static __u32 of_port(const struct flow *flow, __u16 port)
{
	__u64 key = mix(flow->source[0] + mixing.addend);

	key = mix(key ^ flow->source[1]);
	return mix(key ^ port) & 0x7fffffff;
}

SEC("socket")
int queue(struct __sk_buff *skb)
{
	struct flow flow;
	__u16 identifier;
	__u64 key;

	if (bpf_skb_load_bytes(skb, FLOW_OFFSET, &flow, sizeof(flow)))
		return 0; /* too short for TCP */
	if (flow.next == NEXT_UDP)
		return of_port(&flow, flow.ports[0]);
	/* The type is the first octet behind the IPv6 header. */
	if (flow.next == NEXT_ICMPV6 && *(__u8 *)flow.ports == ECHO_REQUEST &&
	    !bpf_skb_load_bytes(skb, IDENTIFIER_OFFSET, &identifier, sizeof(identifier)))
		return of_port(&flow, identifier);
	key = mix((flow.source[0] ^ flow.destination[0]) + mixing.addend);
	key = mix(key ^ flow.source[1] ^ flow.destination[1]);
	if (flow.next == NEXT_TCP) {
		key = mix(key ^ flow.ports[0] ^ flow.ports[1]);
		if (workers > 1 && begins_connection(skb))
			return readier(key, 0); /* endless patience: a worker reads all of its queue */
	}
	/* The device takes this modulo the number of its queues. */
	return key & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Steers TCP connections to faith listeners. Minimum kernel: 5.9 (BPF_PROG_TYPE_SK_LOOKUP).
 *
 * Theory of operation
 *
 * This program is attached to the private namespace, where every address of every faith prefix is local.
 * A faith listener may take one port, a few ranges or all 65,535. Its socket is bound to an ephemeral
 * port of ::1, which captured packets cannot reach without this program. The maps below hold the ports
 * and addresses of each listener; only the program's loader writes them:
 *
 *   addresses   local address                    -> table
 *   ports       table, then leading bits of port -> slot   (a range is a few aligned power-of-two blocks)
 *   listeners   slot                             -> listening socket
 *
 * The kernel runs the program for each segment that belongs to no connection, before its own search for
 * a listener. The program looks for the port in the table of the dialled address, if it has one, and
 * then in table 0, the wildcard's. So an exact address wins, and ports that it leaves out fall through.
 * If nothing is found, the program returns SK_PASS: the kernel's own search finds no listener for a
 * faith address either, and the kernel answers with a RST.
 *
 * A listener is a SO_REUSEPORT group with a socket per worker, and the slot names one member. Without
 * BPF_SK_LOOKUP_F_NO_REUSEPORT in bpf_sk_assign(), the kernel then picks the member of the group as it
 * would without this program.
 *
 * The kernel removes a closed socket from `listeners`, so a slot may be empty for a moment until its
 * ports are removed; that is SK_PASS too.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* linux/in.h and linux/socket.h would include the C library for these two. */
#define AF_INET6 10
#define IPPROTO_TCP 6

#define WILDCARD_TABLE 0

struct address {
	__u32 words[4]; /* network byte order */
};

/* The trie compares bytes from the left, so both numbers are big endian. It takes every byte behind
 * prefixlen for part of the key, so the structure is packed. */
struct port_key {
	__u32 prefixlen; /* bits of table and port together */
	__be32 table;
	__be16 port;
} __attribute__((packed));

#define PORT_KEY_BITS (8 * (sizeof(struct port_key) - sizeof(__u32)))

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct address);
	__type(value, __u32);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct port_key);
	__type(value, __u32);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} listeners SEC(".maps");

static __always_inline __u32 *slot_of(__u32 table, __u32 port)
{
	struct port_key key __attribute__((aligned(4))) = {
		.prefixlen = PORT_KEY_BITS,
		.table = bpf_htonl(table),
		.port = bpf_htons(port),
	};

	return bpf_map_lookup_elem(&ports, &key);
}

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *ctx)
{
	struct address dialled;
	struct bpf_sock *listener;
	__u32 *table, *slot = 0;
	long failed;

	if (ctx->family != AF_INET6 || ctx->protocol != IPPROTO_TCP)
		return SK_PASS;

	/* The verifier requires one context access per word; it refuses a memcpy. */
	dialled.words[0] = ctx->local_ip6[0];
	dialled.words[1] = ctx->local_ip6[1];
	dialled.words[2] = ctx->local_ip6[2];
	dialled.words[3] = ctx->local_ip6[3];

	table = bpf_map_lookup_elem(&addresses, &dialled);
	if (table)
		slot = slot_of(*table, ctx->local_port);
	if (!slot)
		slot = slot_of(WILDCARD_TABLE, ctx->local_port);
	if (!slot)
		return SK_PASS;

	listener = bpf_map_lookup_elem(&listeners, slot);
	if (!listener)
		return SK_PASS;
	failed = bpf_sk_assign(ctx, listener, 0);
	bpf_sk_release(listener);

	return failed ? SK_DROP : SK_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";

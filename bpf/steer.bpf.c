// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Steers TCP connections to faith listeners. Minimum kernel: 5.9 (BPF_PROG_TYPE_SK_LOOKUP).
 *
 * Theory of operation
 *
 * Every address of every faith prefix is local in the private namespace this program is attached to,
 * and a faith listener may take one port, a few ranges or all 65,535. Its socket is bound to an
 * ephemeral port of ::1, where no captured packet can reach it by itself; what it takes is written in
 * the maps below, by the program's loader and by nobody else:
 *
 *   addresses   local address                    -> table
 *   ports       table, then leading bits of port -> slot   (a range is a few aligned power-of-two blocks)
 *   listeners   slot                             -> listening socket
 *
 * The kernel runs the program for each segment that belongs to no connection, before it looks for a
 * listener itself. A port is sought in the table of the address that was dialled, if it has one, and
 * then in table 0, the wildcard's, so that an exact address wins and whatever it leaves open falls
 * through. Nothing found means SK_PASS: the kernel goes on to its own lookup, which knows no listener
 * for a faith address, and answers with RST.
 *
 * A listener is a SO_REUSEPORT group, a socket per worker, of which the slot names any one. Because
 * BPF_SK_LOOKUP_F_NO_REUSEPORT is not given to bpf_sk_assign(), the kernel then picks the group's
 * member as it would have without this program.
 *
 * A socket that is closed leaves `listeners` by itself, so a slot may be empty for the moment between
 * a close and the removal of its ports; that too is SK_PASS.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* linux/in.h and linux/socket.h would drag the C library in for these two. */
#define AF_INET6 10
#define IPPROTO_TCP 6

#define WILDCARD_TABLE 0

struct address {
	__u32 words[4]; /* network byte order */
};

/* The trie compares bytes from the left, so both numbers are big endian; packed, because it counts
 * every byte behind prefixlen as part of the key. */
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

	/* Each word is a context access of its own to the verifier; a memcpy would not be. */
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

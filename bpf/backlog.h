/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Pending connections per worker, to pick the less loaded of two.
 *
 * A program counts each connection that it gives to a worker. A worker that has none left copies that
 * count. The difference is the worker's backlog: the connections given since it last had none left. A
 * worker that waits for a processor, or is busy for long, gets few new connections; an idle one gets
 * more. Comparing two workers is nearly as good as comparing all (Mitzenmacher, The Power of Two Choices
 * in Randomized Load Balancing, 2001).
 *
 * Some connections are given and never seen: SYNs for closed ports, for example, are never accepted. So
 * a backlog older than `patience` counts as empty. Otherwise one port scan could keep a worker from
 * getting connections forever.
 *
 * Races may make the numbers slightly wrong. That is harmless: they only guide the choice.
 */
#ifndef FAITH_BACKLOG_H
#define FAITH_BACKLOG_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* The number of workers; below 2 there is no choice. Set by the loader. */
__u32 workers SEC(".data.workers") = 0;

/* A cache line for each of two writers: programs, and the worker. */
struct backlog {
	__u64 given, since, line[6]; /* since: the last time without a backlog, in nanoseconds */
	__u64 seen, other_line[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the loader sets one entry per worker */
	__type(key, __u32);
	__type(value, struct backlog);
} backlogs SEC(".maps");

static __always_inline __u64 behind(struct backlog *backlog, __u64 now, __u64 patience)
{
	if (backlog->given != backlog->seen && patience && now - backlog->since > patience)
		backlog->seen = backlog->given;
	return backlog->given - backlog->seen;
}

/*
 * Returns the worker with the smaller backlog out of two different ones, and counts a connection for it. The halves
 * of `random` choose the two. `patience` is in nanoseconds; 0 is endless.
 */
static __always_inline __u32 readier(__u64 random, __u64 patience)
{
	__u32 first = (__u32)random % workers;
	__u32 second = (first + 1 + (__u32)(random >> 32) % (workers - 1)) % workers;
	struct backlog *one = bpf_map_lookup_elem(&backlogs, &first);
	struct backlog *other = bpf_map_lookup_elem(&backlogs, &second);
	__u64 now = patience ? bpf_ktime_get_ns() : 0;

	if (!one || !other)
		return first;
	if (behind(other, now, patience) < behind(one, now, patience)) {
		first = second;
		one = other;
	}
	if (one->given == one->seen)
		one->since = now;
	__sync_fetch_and_add(&one->given, 1);
	return first;
}

#endif

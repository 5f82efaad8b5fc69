/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * How much each worker has been given and not seen yet, by which new connections come to one that is
 * ready for them.
 *
 * A program that gives a worker something counts it; a worker that sees that it has nothing left takes
 * over that count. So the difference is what came since the worker last had nothing to do. A worker
 * that waits for a processor, or is at something long, gets few connections then, and one that has
 * nothing to do gets more. Of two workers the readier one is taken, because two choices are nearly as
 * good as looking at all (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001).
 *
 * Where some of what is given never comes to be seen, as SYNs for closed ports do not come to be
 * accepted, a backlog that is older than `patience` counts no more: who has one would get nothing, and
 * never get to see anything, because of a scan of long ago.
 *
 * Numbers may be wrong by what is under way just then, and it does not matter: they advise.
 */
#ifndef FAITH_BACKLOG_H
#define FAITH_BACKLOG_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* How many workers there are to choose from, from 2 on. Set by the loader. */
__u32 workers SEC(".data.workers") = 0;

/* A cache line for each of two writers: programs, and the worker. */
struct backlog {
	__u64 given, since, line[6]; /* since: when there was no backlog last, in nanoseconds */
	__u64 seen, other_line[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* a worker each: overwritten by the loader */
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
 * The readier one of two different workers, which has been given one more then. The halves of `random` choose the
 * two; `patience` is in nanoseconds, 0 without end.
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

// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A histogram of durations in nanoseconds: 64 buckets for each power of two. So a percentile is off by less than 1 %
 * at any size, and recording a duration costs a few instructions.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#define FINE_BITS 6
#define FINE (1u << FINE_BITS)
#define BUCKETS ((64 - FINE_BITS + 1) * FINE)

struct histogram {
	uint64_t count;
	uint64_t largest;
	uint64_t buckets[BUCKETS];
};

static inline unsigned bucket_of(uint64_t value)
{
	if (value < FINE)
		return (unsigned)value;
	unsigned shift = 63u - FINE_BITS - (unsigned)__builtin_clzll(value);

	return (shift + 1) * FINE + (unsigned)(value >> shift) - FINE;
}

/* The middle of a bucket. */
static inline double value_of(unsigned bucket)
{
	if (bucket < FINE)
		return bucket;
	unsigned shift = bucket / FINE - 1;

	return (double)((uint64_t)(bucket % FINE + FINE) << shift) + (double)(1ull << shift) / 2;
}

static inline void record(struct histogram *histogram, uint64_t nanoseconds)
{
	histogram->buckets[bucket_of(nanoseconds)]++;
	histogram->count++;
	if (nanoseconds > histogram->largest)
		histogram->largest = nanoseconds;
}

static inline void add(struct histogram *sum, const struct histogram *part)
{
	for (unsigned bucket = 0; bucket < BUCKETS; bucket++)
		sum->buckets[bucket] += part->buckets[bucket];
	sum->count += part->count;
	if (part->largest > sum->largest)
		sum->largest = part->largest;
}

/* Microseconds below which the given share of the recorded durations lies. */
static inline double percentile(const struct histogram *histogram, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)histogram->count), seen = 0;

	for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
		seen += histogram->buckets[bucket];
		if (seen > wanted && value_of(bucket) < (double)histogram->largest)
			return value_of(bucket) / 1000;
	}
	return (double)histogram->largest / 1000;
}

/* Prints a member of a JSON object, in microseconds; null if nothing was recorded. */
static inline void print_histogram(const char *name, const struct histogram *histogram)
{
	if (histogram->count == 0) {
		printf(",\"%s\":null", name);
		return;
	}
	printf(",\"%s\":{\"count\":%llu,\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"max\":%.2f}", name,
	       (unsigned long long)histogram->count, percentile(histogram, 0.5), percentile(histogram, 0.9),
	       percentile(histogram, 0.99), (double)histogram->largest / 1000);
}

#endif

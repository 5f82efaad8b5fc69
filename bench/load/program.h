// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Code that the benchmark's C programs share: reading options, parsing socket addresses, and ending with an error. A
 * benchmark program never goes on after an error of its own, because its figures would be wrong.
 */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H

/* For strerrorname_np() and accept4(). This header must precede all system headers. */
#define _GNU_SOURCE 1

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NANOSECONDS 1000000000ull

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

/* The value of `--name VALUE`, or `fallback` if it is not given. */
static inline const char *option(char *const *arguments, const char *name, const char *fallback)
{
	for (char *const *at = arguments + 1; at[0] != NULL; at++)
		if (strncmp(at[0], "--", 2) == 0 && strcmp(at[0] + 2, name) == 0 && at[1] != NULL)
			return at[1];
	if (fallback == NULL)
		die("--%s is missing", name);
	return fallback;
}

static inline double number(char *const *arguments, const char *name, const char *fallback)
{
	const char *text = option(arguments, name, fallback);
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || value < 0)
		die("--%s: '%s' is not a number", name, text);
	return value;
}

static inline void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL)
		die("out of memory");
	return memory;
}

static inline void switch_on(int fd, int level, int name)
{
	int one = 1;

	if (setsockopt(fd, level, name, &one, sizeof(one)) < 0)
		die("setsockopt: %s", strerror(errno));
}

/* Reads `8000,8010-8013`, calling `take` for every port. */
static inline void each_port(const char *list, void (*take)(uint16_t port, void *with), void *with)
{
	const char *at = list;

	while (*at != '\0') {
		char *end;
		unsigned long first = strtoul(at, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (first == 0 || last > 65535 || first > last || (*end != ',' && *end != '\0'))
			die("'%s' is not a list of ports", list);
		for (unsigned long port = first; port <= last; port++)
			take((uint16_t)port, with);
		at = *end == ',' ? end + 1 : end;
	}
}

static inline uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * NANOSECONDS + (uint64_t)time.tv_nsec;
}

#endif

// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * The load: many connections, each with at most one exchange (a request and a reply of known sizes) under way, and
 * the times of everything. A closed loop: a finished connection begins again at once.
 *
 *   tcp-load --mode MODE --targets '[64:ff9b::c633:6402]:8000 198.51.100.2:8001' [options]
 *
 *   wait   try until one exchange has worked with every target, at most --seconds; prints nothing
 *   close  connect, one exchange, close, again: the server closes first, the client with --closes client
 *   keep   open every connection first, then exchange after exchange on each
 *   hold   open every connection, one exchange on each, print "held N" and do nothing until standard
 *          input ends; then one more exchange on each, to count those still alive
 *
 *   --connections 64   --seconds 3   --warmup 0.2   --threads 1   --request 100   --reply 200   --http 1
 *
 * The result is one line of JSON; times are in microseconds. Targets are used in turn, because a single one runs out
 * of ports: connections of the last minute keep theirs in TIME_WAIT.
 */
#include "connections.h"

#include <netdb.h>
#include <sys/resource.h>

/* Time limit for opening every connection; the load needs them all. */
#define OPENING_LIMIT (30 * NANOSECONDS)

static void pause_for(double seconds)
{
	struct timespec time = { .tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (time_t)seconds) * 1e9) };

	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		continue;
}

static void parse_targets(char *list)
{
	for (char *at = strtok(list, " "); at != NULL; at = strtok(NULL, " ")) {
		struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
		struct addrinfo *found;
		char *colon = strrchr(at, ':');

		if (colon == NULL || target_count == TARGETS)
			die("'%s' is not [address]:port, or one target too many", at);
		*colon = '\0';
		if (at[0] == '[' && colon > at && colon[-1] == ']') {
			colon[-1] = '\0';
			at++;
		}
		if (getaddrinfo(at, colon + 1, &hints, &found) != 0)
			die("'%s' port '%s' is not an address", at, colon + 1);
		memcpy(&targets[target_count].address, found->ai_addr, found->ai_addrlen);
		targets[target_count++].length = found->ai_addrlen;
		freeaddrinfo(found);
	}
	if (target_count == 0)
		die("--targets is empty");
}

static void make_request(size_t size, bool http)
{
	const char *path = mode == MODE_CLOSE || mode == MODE_WAIT ? "/close" : "/";
	char head[80];
	int length = snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: bench\r\nX: ", path);

	request_size = size;
	request = allocate(size + 1, 1);
	memset(request, 'x', size);
	if (!http)
		return;
	if (size < (size_t)length + 4)
		die("--request must be at least %d", length + 4);
	memcpy(request, head, (size_t)length);
	memcpy(request + size - 4, "\r\n\r\n", 4);
}

/* One exchange with one target, in blocking calls. */
static bool reachable(const struct target *target, char *buffer)
{
	/* Retries sooner than the kernel, which repeats a lost SYN only after a second. */
	struct timeval limit = { .tv_usec = 250000 };
	int fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t received = 0;
	ssize_t length = 0;

	if (fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&target->address, target->length) == 0 &&
	    send(fd, request, request_size, MSG_NOSIGNAL) == (ssize_t)request_size)
		do {
			length = recv(fd, buffer, reply_size + 1, 0);
			received += length > 0 ? (size_t)length : 0;
		} while (length > 0 && received < reply_size);
	close(fd);
	return received == reply_size;
}

static void wait_for_targets(double seconds)
{
	uint64_t deadline = now() + (uint64_t)(seconds * 1e9);
	char *buffer = allocate(reply_size + 1, 1);

	for (unsigned index = 0; index < target_count;) {
		if (reachable(&targets[index], buffer))
			index++;
		else if (now() > deadline)
			die("target %u of %u does not answer", index + 1, target_count);
		else
			pause_for(0.02);
	}
}

/* The number of sessions that wait for an answer. */
static unsigned exchanging(const struct worker *worker)
{
	unsigned count = 0;

	for (unsigned index = 0; index < worker->count; index++)
		count += worker->connections[index].phase == EXCHANGING;
	return count;
}

static void hold(struct worker *worker)
{
	uint64_t deadline = now() + OPENING_LIMIT;
	char byte;

	advance(worker, worker->connections);
	while (worker->answered + atomic_load(&failed_total) < worker->count && now() < deadline)
		turn_loop(worker, 10);
	printf("held %u\n", worker->open);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
	worker->answered = 0;
	deadline = now() + OPENING_LIMIT;
	turn_loop(worker, 0);
	for (unsigned index = 0; index < worker->count; index++)
		if (worker->connections[index].phase == READY)
			ask(worker, &worker->connections[index]);
	while (exchanging(worker) > 0 && now() < deadline)
		turn_loop(worker, 10);
	/* fail() has counted the sessions that ended. */
	worker->errors.count += exchanging(worker);
}

/* Runs the stages, and returns the duration of the measured one. */
static double run(struct worker *workers, unsigned threads, unsigned connections, double warmup, double seconds)
{
	uint64_t deadline = now() + OPENING_LIMIT, start;

	atomic_store(&stage, mode == MODE_KEEP ? STAGE_OPENING : STAGE_WARMING);
	for (unsigned index = 0; index < threads; index++)
		if (pthread_create(&workers[index].id, NULL, work, &workers[index]) != 0)
			die("cannot start a thread");
	while (mode == MODE_KEEP && atomic_load(&open_total) < connections) {
		if (now() > deadline || atomic_load(&failed_total) > 0)
			die("only %u of %u connections could be opened", atomic_load(&open_total), connections);
		pause_for(0.002);
	}
	atomic_store(&stage, STAGE_WARMING);
	pause_for(warmup);
	start = now();
	atomic_store(&stage, STAGE_MEASURING);
	pause_for(seconds);
	double measured = (double)(now() - start) / 1e9;

	atomic_store(&stage, STAGE_DONE);
	for (unsigned index = 0; index < threads; index++)
		pthread_join(workers[index].id, NULL);
	return measured;
}

static void report(struct worker *workers, unsigned threads, unsigned connections, double seconds)
{
	struct worker *sum = &workers[0];

	for (unsigned index = 1; index < threads; index++) {
		add(&sum->connect, &workers[index].connect);
		add(&sum->exchange, &workers[index].exchange);
		add(&sum->whole, &workers[index].whole);
		sum->exchanges += workers[index].exchanges;
		sum->answered += workers[index].answered;
		sum->errors.count += workers[index].errors.count;
		for (unsigned error = 0; error < 256; error++)
			sum->errors.by_number[error] += workers[index].errors.by_number[error];
	}
	printf("{\"connections\":%u,\"threads\":%u,\"seconds\":%.4f,\"exchanges\":%llu,\"errors\":%u", connections,
	       threads, seconds, (unsigned long long)sum->exchanges, sum->errors.count);
	if (mode == MODE_HOLD)
		printf(",\"alive\":%u", sum->answered);
	printf(",\"reasons\":{");
	const char *comma = "";

	for (int error = 0; error < 256; error++) {
		if (sum->errors.by_number[error] == 0)
			continue;
		printf("%s\"%s\":%u", comma, error == 0 ? "closed early" : strerrorname_np(error),
		       sum->errors.by_number[error]);
		comma = ",";
	}
	printf("}");
	print_histogram("connect", &sum->connect);
	print_histogram("exchange", &sum->exchange);
	print_histogram("whole", &sum->whole);
	puts("}");
}

static enum mode parse_mode(const char *name)
{
	static const char *const names[] = { "wait", "close", "keep", "hold" };

	for (unsigned index = 0; index < sizeof(names) / sizeof(names[0]); index++)
		if (strcmp(name, names[index]) == 0)
			return (enum mode)index;
	die("--mode: '%s' is not one of wait, close, keep, hold", name);
}

int main(int count, char **arguments)
{
	(void)count;
	mode = parse_mode(option(arguments, "mode", NULL));
	client_closes = strcmp(option(arguments, "closes", "server"), "client") == 0;
	unsigned connections = (unsigned)number(arguments, "connections", "64");
	unsigned threads = mode == MODE_HOLD ? 1 : (unsigned)number(arguments, "threads", "1");
	double seconds = number(arguments, "seconds", "3");
	struct rlimit files;

	reply_size = (size_t)number(arguments, "reply", "200");
	make_request((size_t)number(arguments, "request", "100"), number(arguments, "http", "1") != 0);
	parse_targets(strdup(option(arguments, "targets", NULL)));
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (mode == MODE_WAIT) {
		wait_for_targets(seconds);
		return 0;
	}
	if (threads == 0 || connections == 0)
		die("--threads and --connections must be at least 1");
	if (threads > connections)
		threads = connections;
	struct worker *workers = allocate(threads, sizeof(*workers));

	for (unsigned index = 0; index < threads; index++) {
		struct worker *worker = &workers[index];

		worker->epoll = epoll_create1(EPOLL_CLOEXEC);
		worker->count = connections / threads + (index < connections % threads);
		worker->connections = allocate(worker->count, sizeof(*worker->connections));
		worker->buffer = allocate(reply_size + 1, 1);
		worker->turn = index;
	}
	if (mode == MODE_HOLD)
		hold(workers);
	else
		seconds = run(workers, threads, connections, number(arguments, "warmup", "0.2"), seconds);
	report(workers, threads, connections, seconds);
	return 0;
}

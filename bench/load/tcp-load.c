// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * The load: many connections, each with at most one exchange (a request and a reply of known sizes)
 * under way, and how long everything took. A closed loop: whoever is done begins again at once.
 *
 *   tcp-load --mode MODE --targets '[64:ff9b::c633:6402]:8000 198.51.100.2:8001' [options]
 *
 *   wait   until one exchange has worked with every target, for at most --seconds; prints nothing
 *   close  connect, one exchange, close, again: the server closes first, the client with --closes client
 *   keep   open every connection first, then exchange after exchange on each
 *   hold   open every connection, one exchange on each, print "held N" and do nothing until standard
 *          input ends; then one more exchange on each, to see which are still alive
 *
 *   --connections 64   --seconds 3   --warmup 0.2   --threads 1   --request 100   --reply 200   --http 1
 *
 * One line of JSON says how it went; times are in microseconds. Targets are taken in turn, because a
 * single one runs out of ports: connections of the last minute keep theirs in TIME_WAIT.
 */
#include "program.h"

#include "histogram.h"

#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define BATCH 256
#define TARGETS 64
/* Connections a thread opens at a time where all must be open before anything begins. */
#define OPENING 64
/* Every connection must be open after this, or the load is not what was asked for. */
#define OPENING_LIMIT (30 * NANOSECONDS)

enum mode { MODE_WAIT, MODE_CLOSE, MODE_KEEP, MODE_HOLD };
enum stage { STAGE_OPENING, STAGE_WARMING, STAGE_MEASURING, STAGE_DONE };
enum phase { UNOPENED, CONNECTING, READY, EXCHANGING, ENDING, FAILED };

struct target {
	struct sockaddr_storage address;
	socklen_t length;
};

struct connection {
	uint64_t started; /* when connect() was called */
	uint64_t asked;	  /* when the request was sent */
	int fd;
	enum phase phase;
	uint32_t sent, received;
};

struct errors {
	unsigned count;
	unsigned by_number[256]; /* errno; 0 means that the connection was closed before its reply was whole */
};

struct worker {
	pthread_t id;
	int epoll;
	struct connection *connections;
	unsigned count, opened, opening, open, answered, failed;
	unsigned turn;
	char *buffer;
	uint64_t exchanges;
	struct errors errors;
	struct histogram connect, exchange, whole;
};

static enum mode mode;
static bool client_closes;
static size_t request_size, reply_size;
static char *request;
static struct target targets[TARGETS];
static unsigned target_count;
static _Atomic enum stage stage;
static atomic_uint open_total, failed_total;

static void advance(struct worker *worker, struct connection *connection);

static bool measuring(void)
{
	return atomic_load_explicit(&stage, memory_order_relaxed) == STAGE_MEASURING;
}

static void count_error(struct worker *worker, int error)
{
	if (mode != MODE_HOLD && mode != MODE_KEEP && !measuring())
		return;
	worker->errors.count++;
	worker->errors.by_number[error & 255]++;
}

static void shut(struct connection *connection)
{
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
	connection->phase = UNOPENED;
}

static void fail(struct worker *worker, struct connection *connection, int error)
{
	if (connection->phase == CONNECTING)
		worker->opening--;
	else if (mode != MODE_CLOSE)
		worker->open--;
	shut(connection);
	connection->phase = FAILED;
	worker->failed++;
	count_error(worker, error);
	atomic_fetch_add(&failed_total, 1);
}

static void open_connection(struct worker *worker, struct connection *connection)
{
	const struct target *target = &targets[worker->turn++ % target_count];
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = connection };

	connection->started = now();
	connection->fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (connection->fd < 0)
		die("socket: %s", strerror(errno));
	switch_on(connection->fd, IPPROTO_TCP, TCP_NODELAY);
	connection->phase = CONNECTING;
	worker->opening++;
	if (connect(connection->fd, (const struct sockaddr *)&target->address, target->length) < 0 &&
	    errno != EINPROGRESS) {
		fail(worker, connection, errno);
		return;
	}
	/* After connect(), or epoll would tell of the hang-up of a socket that is not connected yet. */
	if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void push(struct worker *worker, struct connection *connection)
{
	while (connection->sent < request_size) {
		ssize_t length = send(connection->fd, request + connection->sent, request_size - connection->sent,
				      MSG_NOSIGNAL);

		if (length < 0 && errno == EAGAIN)
			return;
		if (length < 0) {
			fail(worker, connection, errno);
			return;
		}
		connection->sent += (uint32_t)length;
	}
}

static void ask(struct worker *worker, struct connection *connection)
{
	connection->asked = now();
	connection->sent = connection->received = 0;
	connection->phase = EXCHANGING;
	push(worker, connection);
}

static void connected(struct worker *worker, struct connection *connection)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		error = errno;
	if (error != 0) {
		fail(worker, connection, error);
		return;
	}
	worker->opening--;
	if (measuring() || mode == MODE_HOLD || mode == MODE_KEEP)
		record(&worker->connect, now() - connection->started);
	if (mode != MODE_CLOSE) {
		worker->open++;
		atomic_fetch_add(&open_total, 1);
	}
	if (mode == MODE_KEEP && atomic_load(&stage) == STAGE_OPENING)
		connection->phase = READY;
	else
		ask(worker, connection);
}

static void replied(struct worker *worker, struct connection *connection)
{
	uint64_t time = now();

	if (measuring() || mode == MODE_HOLD) {
		worker->exchanges++;
		record(&worker->exchange, time - connection->asked);
		if (mode == MODE_CLOSE)
			record(&worker->whole, time - connection->started);
	}
	worker->answered++;
	if (mode == MODE_KEEP && atomic_load_explicit(&stage, memory_order_relaxed) != STAGE_DONE)
		ask(worker, connection);
	else if (mode == MODE_CLOSE && client_closes)
		shut(connection);
	else
		connection->phase = mode == MODE_CLOSE ? ENDING : READY;
}

static void pull(struct worker *worker, struct connection *connection)
{
	while (connection->phase == EXCHANGING || connection->phase == ENDING) {
		ssize_t length = recv(connection->fd, worker->buffer, reply_size + 1, 0);

		if (length < 0 && errno == EAGAIN)
			return;
		if (length < 0) {
			fail(worker, connection, errno);
			return;
		}
		if (length == 0) {
			if (connection->phase == ENDING)
				shut(connection);
			else
				fail(worker, connection, 0);
			return;
		}
		connection->received += (uint32_t)length;
		if (connection->received > reply_size)
			die("a reply of more than %zu bytes", reply_size);
		if (connection->received == reply_size)
			replied(worker, connection);
		/* Whoever keeps the connection would find nothing more; an end of file comes with an event. */
		if (mode != MODE_CLOSE && connection->received == 0)
			return;
	}
}

static void handle(struct worker *worker, struct connection *connection, uint32_t events)
{
	if (connection->phase == CONNECTING && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		connected(worker, connection);
	if (connection->phase == EXCHANGING && (events & EPOLLOUT))
		push(worker, connection);
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))
		pull(worker, connection);
	if (connection->phase == READY && (events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)))
		fail(worker, connection, 0);
	advance(worker, connection);
}

/* What a connection that has ended becomes: the next one. */
static void advance(struct worker *worker, struct connection *connection)
{
	if (mode == MODE_CLOSE) {
		if (connection->phase == UNOPENED)
			open_connection(worker, connection);
		return;
	}
	while (worker->opening < OPENING && worker->opened < worker->count)
		open_connection(worker, &worker->connections[worker->opened++]);
}

static void turn_loop(struct worker *worker, int timeout)
{
	struct epoll_event events[BATCH];
	int ready = epoll_wait(worker->epoll, events, BATCH, timeout);

	for (int index = 0; index < ready; index++)
		handle(worker, events[index].data.ptr, events[index].events);
}

/* Failed ones begin again only here, once in a turn, so that a dead target is not hammered. */
static void reopen_failed(struct worker *worker)
{
	worker->failed = 0;
	for (unsigned index = 0; index < worker->count; index++)
		if (worker->connections[index].phase == FAILED)
			open_connection(worker, &worker->connections[index]);
}

static void *work(void *with)
{
	struct worker *worker = with;
	bool asked = false;

	for (unsigned index = 0; mode == MODE_CLOSE && index < worker->count; index++)
		open_connection(worker, &worker->connections[index]);
	if (mode != MODE_CLOSE)
		advance(worker, worker->connections);
	while (atomic_load_explicit(&stage, memory_order_relaxed) != STAGE_DONE) {
		turn_loop(worker, 10);
		if (mode == MODE_CLOSE && worker->failed > 0)
			reopen_failed(worker);
		if (mode != MODE_KEEP || asked || atomic_load(&stage) == STAGE_OPENING)
			continue;
		asked = true;
		for (unsigned index = 0; index < worker->count; index++)
			if (worker->connections[index].phase == READY)
				ask(worker, &worker->connections[index]);
	}
	return NULL;
}

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
			die("'%s' port '%s' is no address", at, colon + 1);
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
	/* A SYN that came too early is sent again after a second; a new one need not wait so long. */
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
	unsigned left = worker->open;

	for (unsigned index = 0; index < worker->count; index++)
		if (worker->connections[index].phase == READY)
			ask(worker, &worker->connections[index]);
	while (worker->answered < worker->open && now() < deadline)
		turn_loop(worker, 10);
	if (left > worker->answered)
		worker->errors.count += left - worker->answered;
}

/* Runs the stages, and tells how long what was measured took. */
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
	die("--mode: '%s' is none of wait, close, keep, hold", name);
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

// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * The connections of the load: handles the events of each in one epoll(7) loop per thread. The program that runs the
 * loops sets the request first, and moves the loops from stage to stage.
 */
#ifndef BENCH_CONNECTIONS_H
#define BENCH_CONNECTIONS_H

#include "program.h"

#include "histogram.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#define BATCH 256
#define TARGETS 64
/* Connections that a thread opens at a time when all must be open before the load begins. */
#define OPENING 64

enum mode { MODE_WAIT, MODE_CLOSE, MODE_KEEP, MODE_HOLD };
enum stage { STAGE_OPENING, STAGE_WARMING, STAGE_MEASURING, STAGE_DONE };
enum phase { UNOPENED, CONNECTING, READY, EXCHANGING, ENDING, FAILED };

struct target {
	struct sockaddr_storage address;
	socklen_t length;
};

struct connection {
	uint64_t started; /* time of connect() */
	uint64_t asked;	  /* time of the request */
	int fd;
	enum phase phase;
	uint32_t sent, received;
};

struct errors {
	unsigned count;
	unsigned by_number[256]; /* errno; 0 means that the peer closed before the end of the reply */
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
	/* Adds the socket after connect(): epoll reports a hang-up for a socket that is not yet connecting. */
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
		/* Skips a read that would find nothing on a kept connection; an end of file comes with an event. */
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

/* Replaces a connection that has ended with the next one. */
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

/* Reopens failed connections only here, once per turn, so that a dead target is not hammered. */
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

#endif

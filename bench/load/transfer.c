// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Moves a number of bytes over its own connection and reports the time from connect() until the last byte has
 * arrived. For bytes that go up, the server reports the arrival. iperf3 accepts a number of bytes too, but stops as
 * soon as its socket has taken them.
 *
 *   transfer --serve 5202
 *   transfer --target '64:ff9b::c633:6402' --port 5202 --way up|down [--bytes 10000000] [--times 3]
 *
 * The server prints "listening" when ready, and runs until it is killed. The client prints JSON, times in ms.
 */
#include "program.h"

#include <netdb.h>
#include <pthread.h>

#define PIECE (256 * 1024)

/* The first bytes of a connection: the client's order. */
struct order {
	uint64_t bytes; /* in this machine's byte order: both ends run on it */
	uint64_t up;
};

static char nothing[PIECE];

/* Returns false when the peer is gone. */
static bool send_all(int fd, const void *bytes, size_t length)
{
	for (const char *at = bytes; length > 0;) {
		ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return false;
		at += sent;
		length -= (size_t)sent;
	}
	return true;
}

static bool send_nothing(int fd, uint64_t bytes)
{
	for (; bytes > PIECE; bytes -= PIECE)
		if (!send_all(fd, nothing, PIECE))
			return false;
	return send_all(fd, nothing, bytes);
}

static bool receive_all(int fd, uint64_t bytes)
{
	static _Thread_local char piece[PIECE];

	while (bytes > 0) {
		ssize_t length = recv(fd, piece, bytes < PIECE ? bytes : PIECE, 0);

		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return false;
		bytes -= (uint64_t)length;
	}
	return true;
}

static void *serve_one(void *with)
{
	int fd = (int)(intptr_t)with;
	struct order order;

	if (recv(fd, &order, sizeof(order), MSG_WAITALL) == sizeof(order)) {
		if (!order.up)
			send_nothing(fd, order.bytes);
		else if (receive_all(fd, order.bytes))
			send_all(fd, nothing, 1);
	}
	close(fd);
	return NULL;
}

static void serve(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0)
		die("socket: %s", strerror(errno));
	switch_on(listener, SOL_SOCKET, SO_REUSEADDR);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 64) < 0)
		die("port %u: %s", port, strerror(errno));
	puts("listening");
	fflush(stdout);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		pthread_t thread;

		if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
			continue;
		if (fd < 0 || pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd) != 0)
			die("accept: %s", strerror(errno));
		pthread_detach(thread);
	}
}

static double move(const struct addrinfo *target, struct order order)
{
	uint64_t start = now();
	int fd = socket(target->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, target->ai_addr, target->ai_addrlen) < 0)
		die("connect: %s", strerror(errno));
	bool whole = send_all(fd, &order, sizeof(order));

	if (order.up)
		whole = whole && send_nothing(fd, order.bytes) && receive_all(fd, 1);
	else
		whole = whole && receive_all(fd, order.bytes);
	if (!whole)
		die("the connection ended before all had come");
	double took = (double)(now() - start) / 1e6;

	close(fd);
	return took;
}

int main(int count, char **arguments)
{
	(void)count;
	uint16_t port = (uint16_t)number(arguments, "serve", "0");

	if (port != 0)
		serve(port);
	const char *way = option(arguments, "way", NULL);
	unsigned times = (unsigned)number(arguments, "times", "3");
	struct order order = {
		.bytes = (uint64_t)number(arguments, "bytes", "10000000"),
		.up = strcmp(way, "up") == 0,
	};
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	struct addrinfo *target;

	if (!order.up && strcmp(way, "down") != 0)
		die("--way: '%s' is neither up nor down", way);
	if (times == 0)
		die("--times must be at least 1");
	if (getaddrinfo(option(arguments, "target", NULL), option(arguments, "port", NULL), &hints, &target) != 0)
		die("--target and --port are no address");
	double *took = allocate(times, sizeof(*took));

	/* Prints only after the last move: a program that fails must print no beginning of a result. */
	for (unsigned turn = 0; turn < times; turn++)
		took[turn] = move(target, order);
	printf("{\"times\":[");
	for (unsigned turn = 0; turn < times; turn++)
		printf("%s%.3f", turn == 0 ? "" : ",", took[turn]);
	puts("]}");
	return 0;
}

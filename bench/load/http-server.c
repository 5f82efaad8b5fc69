// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A minimal HTTP server that is never the bottleneck. It finds the end of each request by the empty line and always
 * sends the same bytes. It answers `GET /close` with `Connection: close` and closes first, as web servers do; it keeps
 * every other connection until the client closes.
 *
 *   http-server --ports 8000-8003 [--threads 1] [--reply 200]
 *
 * Each thread has its own loop and listening sockets (SO_REUSEPORT); nothing is shared. The server prints "listening"
 * when ready, and runs until it is killed.
 */
#include "program.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define BATCH 256
#define LISTENER (1ull << 32)

/* Read position in a connection's current request. */
struct request {
	uint32_t position;
	uint8_t end_matched; /* bytes of "\r\n\r\n" */
	bool close;
};

struct response {
	char *bytes;
	size_t length;
};

struct thread {
	pthread_t id;
	int epoll;
	struct request *requests; /* by descriptor; a descriptor belongs to one thread at a time */
};

static struct response kept, closed;

static struct response make_response(const char *connection, size_t length)
{
	char head[160];
	const char *form = "HTTP/1.1 200 OK\r\nConnection: %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n";
	int probe = snprintf(head, sizeof(head), form, connection, (size_t)100);

	if (length < (size_t)probe + 100 || length > (size_t)probe + 999)
		die("--reply must be %d to %d", probe + 100, probe + 999);
	size_t body = length - (size_t)probe;

	snprintf(head, sizeof(head), form, connection, body);
	char *bytes = allocate(length, 1);

	memcpy(bytes, head, (size_t)probe);
	memset(bytes + probe, 'x', body);
	return (struct response){ bytes, length };
}

static void watch(int epoll, int fd, uint64_t data)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = data };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void listen_on(uint16_t port, void *with)
{
	const struct thread *thread = with;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	switch_on(fd, SOL_SOCKET, SO_REUSEADDR);
	switch_on(fd, SOL_SOCKET, SO_REUSEPORT);
	/* Every accepted socket inherits this option. */
	switch_on(fd, IPPROTO_TCP, TCP_NODELAY);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 65535) < 0)
		die("port %u: %s", port, strerror(errno));
	watch(thread->epoll, fd, LISTENER | (uint32_t)fd);
}

static void accept_all(struct thread *thread, int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
			continue;
		if (fd < 0 && errno == EAGAIN)
			return;
		if (fd < 0)
			die("accept: %s", strerror(errno));
		thread->requests[fd] = (struct request){ 0 };
		watch(thread->epoll, fd, (uint32_t)fd);
	}
}

/* Answers every request that ends within these bytes; false if the connection must be closed. */
static bool answer(struct request *request, int fd, const char *bytes, size_t length)
{
	static const char end[4] = "\r\n\r\n";

	for (size_t at = 0; at < length; at++) {
		/* The sixth byte identifies "GET /close". */
		if (request->position == 5)
			request->close = bytes[at] == 'c';
		request->position++;
		if (bytes[at] == end[request->end_matched])
			request->end_matched++;
		else
			request->end_matched = bytes[at] == '\r';
		if (request->end_matched < sizeof(end))
			continue;
		const struct response *response = request->close ? &closed : &kept;

		/* Our client has one request under way, so the socket's buffer is always empty. */
		if (send(fd, response->bytes, response->length, MSG_NOSIGNAL) != (ssize_t)response->length)
			return false;
		if (request->close)
			return false;
		*request = (struct request){ 0 };
	}
	return true;
}

static void *serve(void *with)
{
	struct thread *thread = with;
	struct epoll_event events[BATCH];
	char bytes[65536];

	for (;;) {
		int ready = epoll_wait(thread->epoll, events, BATCH, -1);

		for (int index = 0; index < ready; index++) {
			int fd = (int)(uint32_t)events[index].data.u64;

			if (events[index].data.u64 & LISTENER) {
				accept_all(thread, fd);
				continue;
			}
			ssize_t length = recv(fd, bytes, sizeof(bytes), 0);

			if (length < 0 && (errno == EAGAIN || errno == EINTR))
				continue;
			if (length <= 0 || !answer(&thread->requests[fd], fd, bytes, (size_t)length))
				close(fd);
		}
	}
	return NULL;
}

int main(int count, char **arguments)
{
	(void)count;
	unsigned threads = (unsigned)number(arguments, "threads", "1");
	size_t reply = (size_t)number(arguments, "reply", "200");
	const char *ports = option(arguments, "ports", NULL);
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		die("getrlimit: %s", strerror(errno));
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	kept = make_response("keep-alive", reply);
	closed = make_response("close", reply);
	struct thread *all = allocate(threads, sizeof(*all));
	struct request *requests = allocate(files.rlim_max, sizeof(*requests));

	for (unsigned index = 0; index < threads; index++) {
		all[index].requests = requests;
		all[index].epoll = epoll_create1(EPOLL_CLOEXEC);
		each_port(ports, listen_on, &all[index]);
	}
	for (unsigned index = 0; index < threads; index++)
		if (pthread_create(&all[index].id, NULL, serve, &all[index]) != 0)
			die("cannot start a thread");
	puts("listening");
	fflush(stdout);
	pthread_join(all[0].id, NULL);
	return 0;
}

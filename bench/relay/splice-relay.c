// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A bare relay: no policy, no limits, no timeouts, no log, one possible configuration. It shows the best that a relay
 * made of kernel sockets can reach on a local route, and so divides a figure into the kernel's part and the relay's
 * part.
 *
 *   splice-relay --ports 5201,8000-8003 [--threads 1] [--pipe 262144] [--listen-in /proc/PID/ns/net]
 *
 * Theory of operation
 *
 * Each thread has its own epoll loop, listening sockets (SO_REUSEPORT), pipes and sessions. It accepts a client on
 * any dialled address; the last 32 bits of that address are the IPv4 address to connect to. A session has two
 * directions. Each direction writes everything it has read before it reads more:
 *
 *   small   recv() into the thread's buffer and send() at once: cheapest for a request or a reply.
 *   bulk    after a read that filled the buffer: splice() into a pipe and out of it, until nothing
 *           more comes.
 *
 * A direction holds a pipe only while bytes are in it; bytes that a send() left over go into one, too. The relay
 * passes on an end of file by shutdown() once the pipe is empty, and any error by resetting both sides. Each socket is
 * watched edge-triggered for all events from the start, so nothing is re-armed.
 *
 * With --listen-in the relay accepts clients in another network namespace; the host forwards their packets. The
 * relay connects to servers in its own namespace.
 */
#include "../load/program.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define BATCH 256
#define SMALL 16384
#define LISTENER 1ul

struct pipe {
	int out, in; /* as pipe2() gives them */
	size_t held;
	struct pipe *next;
};

struct side {
	struct session *session;
	struct side *other;
	int fd;
	bool readable, writable;
	/* The direction from here to the other side. */
	bool bulk, ended, passed_on;
	struct pipe *pipe;
};

struct session {
	struct side client, server;
	bool dead;
	struct session *next; /* list of sessions that died in this turn */
};

struct thread {
	pthread_t id;
	int epoll;
	struct pipe *pool;
	struct session *dead;
	char buffer[SMALL];
};

static int pipe_size;

static void watch(const struct thread *thread, int fd, uint32_t events, void *data)
{
	struct epoll_event event = { .events = events, .data.ptr = data };

	if (epoll_ctl(thread->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

static struct pipe *take_pipe(struct thread *thread)
{
	struct pipe *pipe = thread->pool;

	if (pipe != NULL) {
		thread->pool = pipe->next;
		return pipe;
	}
	int ends[2];

	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
	/* Uses the default size once the user's share of pipe pages is spent. */
	if (fcntl(ends[1], F_SETPIPE_SZ, pipe_size) < 0 && errno != EPERM)
		die("F_SETPIPE_SZ: %s", strerror(errno));
	pipe = allocate(1, sizeof(*pipe));
	pipe->out = ends[0];
	pipe->in = ends[1];
	return pipe;
}

static void give_pipe(struct thread *thread, struct side *from)
{
	struct pipe *pipe = from->pipe;

	from->pipe = NULL;
	if (pipe->held > 0) {
		close(pipe->out);
		close(pipe->in);
		free(pipe);
		return;
	}
	pipe->next = thread->pool;
	thread->pool = pipe;
}

static void end_session(struct thread *thread, struct session *session, bool reset)
{
	struct linger linger = { .l_onoff = 1 };

	if (session->dead)
		return;
	session->dead = true;
	for (struct side *side = &session->client; side != NULL;
	     side = side == &session->client ? &session->server : NULL) {
		if (side->pipe != NULL)
			give_pipe(thread, side);
		if (reset)
			setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		close(side->fd);
	}
	/* Frees the session later: an event of the other side may still be in this turn's batch. */
	session->next = thread->dead;
	thread->dead = session;
}

/* Empties the pipe into the other side; false if that side is full or broken. */
static bool drain(struct thread *thread, struct side *from)
{
	struct side *to = from->other;

	while (from->pipe != NULL) {
		ssize_t length = splice(from->pipe->out, NULL, to->fd, NULL, from->pipe->held,
					SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (length < 0 && errno == EAGAIN) {
			to->writable = false;
			return false;
		}
		if (length <= 0) {
			end_session(thread, from->session, true);
			return false;
		}
		from->pipe->held -= (size_t)length;
		if (from->pipe->held == 0)
			give_pipe(thread, from);
	}
	return true;
}

static void keep_rest(struct thread *thread, struct side *from, const char *bytes, size_t length)
{
	from->other->writable = false;
	from->pipe = take_pipe(thread);
	/* Any pipe that root makes has at least the room of the buffer. */
	if (write(from->pipe->in, bytes, length) != (ssize_t)length)
		die("write to a pipe: %s", strerror(errno));
	from->pipe->held = length;
}

/* Reads once and passes on as much as it can. Returns the length read, 0 at the end of file, or less than 0. */
static ssize_t pass_small(struct thread *thread, struct side *from)
{
	ssize_t length = recv(from->fd, thread->buffer, SMALL, 0);

	if (length <= 0)
		return length;
	ssize_t sent = send(from->other->fd, thread->buffer, (size_t)length, MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN)
		return -1;
	if (sent < 0)
		sent = 0;
	if (sent < length)
		keep_rest(thread, from, thread->buffer + sent, (size_t)(length - sent));
	from->bulk = length == SMALL;
	return length;
}

static ssize_t pass_bulk(struct thread *thread, struct side *from)
{
	from->pipe = take_pipe(thread);
	ssize_t length = splice(from->fd, NULL, from->pipe->in, NULL, (size_t)pipe_size,
				SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	int error = errno;

	if (length > 0) {
		from->pipe->held = (size_t)length;
		return length;
	}
	give_pipe(thread, from);
	from->bulk = false;
	errno = error;
	return length;
}

/* Moves as much as possible from one side to the other. */
static void move(struct thread *thread, struct side *from)
{
	struct session *session = from->session;

	while (!session->dead && from->other->writable && drain(thread, from)) {
		if (from->ended) {
			if (!from->passed_on)
				shutdown(from->other->fd, SHUT_WR);
			from->passed_on = true;
			if (from->other->passed_on)
				end_session(thread, session, false);
			return;
		}
		if (!from->readable)
			return;
		ssize_t length = from->bulk ? pass_bulk(thread, from) : pass_small(thread, from);

		if (length == 0)
			from->ended = true;
		else if (length < 0 && errno == EAGAIN)
			from->readable = false;
		else if (length < 0)
			end_session(thread, session, true);
	}
}

static void handle(struct thread *thread, struct side *side, uint32_t events)
{
	if (side->session->dead)
		return;
	if (events & (EPOLLERR | EPOLLHUP)) {
		int error = 0;
		socklen_t length = sizeof(error);

		/* A hang-up alone means both ends of file; reading finds them. */
		if (getsockopt(side->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error != 0) {
			end_session(thread, side->session, true);
			return;
		}
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) {
		side->readable = true;
		move(thread, side);
	}
	if ((events & EPOLLOUT) && !side->session->dead && !side->writable) {
		side->writable = true;
		move(thread, side->other);
		/* Starts the server's direction, which could not begin before the connect. */
		if (!side->session->dead)
			move(thread, side);
	}
}

static bool connect_upstream(struct thread *thread, struct session *session)
{
	struct sockaddr_in6 dialled;
	socklen_t length = sizeof(dialled);
	struct sockaddr_in address = { .sin_family = AF_INET };
	int fd;

	if (getsockname(session->client.fd, (struct sockaddr *)&dialled, &length) < 0)
		return false;
	address.sin_port = dialled.sin6_port;
	memcpy(&address.sin_addr, &dialled.sin6_addr.s6_addr[12], sizeof(address.sin_addr));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket: %s", strerror(errno));
	switch_on(fd, IPPROTO_TCP, TCP_NODELAY);
	session->server.fd = fd;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS) {
		close(fd);
		return false;
	}
	watch(thread, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &session->server);
	watch(thread, session->client.fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &session->client);
	return true;
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
		struct session *session = allocate(1, sizeof(*session));

		session->client = (struct side){ .session = session, .other = &session->server, .fd = fd };
		session->server = (struct side){ .session = session, .other = &session->client, .fd = -1 };
		if (!connect_upstream(thread, session)) {
			close(fd);
			free(session);
		}
	}
}

static void listen_on(uint16_t port, void *with)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	switch_on(fd, SOL_SOCKET, SO_REUSEADDR);
	switch_on(fd, SOL_SOCKET, SO_REUSEPORT);
	switch_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	/* Every accepted socket inherits this option. */
	switch_on(fd, IPPROTO_TCP, TCP_NODELAY);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 65535) < 0)
		die("port %u: %s", port, strerror(errno));
	/* A session's address is even, so the lowest bit tells a listener's descriptor from it. */
	watch(with, fd, EPOLLIN, (void *)((uintptr_t)fd << 1 | LISTENER));
}

/* Makes this thread's new sockets in that network namespace from now on; returns its former namespace. */
static int enter(int namespace)
{
	int before = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (before < 0 || setns(namespace, CLONE_NEWNET) < 0)
		die("cannot enter a network namespace: %s", strerror(errno));
	close(namespace);
	return before;
}

static void *serve(void *with)
{
	struct thread *thread = with;
	struct epoll_event events[BATCH];

	for (;;) {
		int ready = epoll_wait(thread->epoll, events, BATCH, -1);

		for (int index = 0; index < ready; index++) {
			uintptr_t data = (uintptr_t)events[index].data.ptr;

			if (data & LISTENER)
				accept_all(thread, (int)(data >> 1));
			else
				handle(thread, events[index].data.ptr, events[index].events);
		}
		while (thread->dead != NULL) {
			struct session *session = thread->dead;

			thread->dead = session->next;
			free(session);
		}
	}
	return NULL;
}

int main(int count, char **arguments)
{
	(void)count;
	unsigned threads = (unsigned)number(arguments, "threads", "1");
	const char *ports = option(arguments, "ports", NULL);
	const char *elsewhere = option(arguments, "listen-in", "/proc/self/ns/net");
	struct rlimit files;

	/* Ignores SIGPIPE: splice() has no MSG_NOSIGNAL. */
	signal(SIGPIPE, SIG_IGN);
	pipe_size = (int)number(arguments, "pipe", "262144");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	struct thread *all = allocate(threads, sizeof(*all));
	int own = enter(open(elsewhere, O_RDONLY | O_CLOEXEC));

	for (unsigned index = 0; index < threads; index++) {
		all[index].epoll = epoll_create1(EPOLL_CLOEXEC);
		each_port(ports, listen_on, &all[index]);
	}
	close(enter(own));
	for (unsigned index = 0; index < threads; index++)
		if (pthread_create(&all[index].id, NULL, serve, &all[index]) != 0)
			die("cannot start a thread");
	pthread_join(all[0].id, NULL);
	return 0;
}

// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Datagrams, both ends of them.
 *
 *   udp-load --serve QUERY_PORT --bulk BULK_PORT --address IPV4_ADDRESS
 *   udp-load --target ADDRESS --query PORT|--bulk PORT --mode MODE [options]
 *
 *   wait   ask until one answer has come, at most --seconds; prints nothing
 *   keep   one query after the other from each of --sockets sockets
 *   fresh  the same, but each query from a socket of its own, as DNS clients ask
 *   up     as many bytes as possible to the server
 *   down   as many bytes as possible from the server
 *
 *   --sockets 64   --seconds 3   --warmup 0.2   --request 60   --reply 200   --size 1400   --segment 1   --window 512
 *
 * In bulk, --window datagrams at most are under way, as with QUIC: the receiver acknowledges each of its reads with the
 * highest number that it has got, so a lost datagram frees its place when a later one arrives. With --segment 1 the
 * sender passes up to 64 KiB to the kernel at once (UDP_SEGMENT), and the receiver takes as much (UDP_GRO). The result is
 * one line of JSON: bytes are those that the receiver got, times are in microseconds.
 */
#include "program.h"

#include "histogram.h"

#include <netdb.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/epoll.h>

#define PACKED 65535
#define BATCH 32
/* UDP_MAX_SEGMENTS of older kernels. */
#define SEGMENTS 64
/* A query or an acknowledgement that has not come after this long is lost. */
#define PATIENCE_MS 100
#define BUFFER (8 << 20)

struct start {
	char kind; /* 'D' */
	bool segment;
	uint16_t size;
	uint32_t window;
	double seconds;
};

struct acknowledgement {
	char kind; /* 'A' */
	uint64_t highest, datagrams, bytes;
};

struct end {
	int fd;
	struct sockaddr_storage address;
	socklen_t length;
};

static int make_socket(int family)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = BUFFER;

	if (fd < 0)
		die("socket: %s", strerror(errno));
	/* Works for root alone; the benchmark runs as root. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return fd;
}

static struct end dial(const char *address, uint16_t port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM }, *found;
	struct end end = { 0 };
	char text[6];

	snprintf(text, sizeof(text), "%u", port);
	if (getaddrinfo(address, text, &hints, &found) != 0)
		die("'%s' is not an address", address);
	end.fd = make_socket(found->ai_family);
	memcpy(&end.address, found->ai_addr, found->ai_addrlen);
	end.length = found->ai_addrlen;
	freeaddrinfo(found);
	if (connect(end.fd, (struct sockaddr *)&end.address, end.length) < 0)
		die("connect: %s", strerror(errno));
	return end;
}

/* Bulk: the sender. */

static uint64_t send_some(const struct end *to, uint64_t number, uint32_t room, uint16_t size, bool segment)
{
	static char packed[PACKED];
	uint32_t most = (PACKED - 100) / size, count = room < most ? room : most;

	count = count < SEGMENTS ? count : SEGMENTS;
	for (uint32_t at = 0; at < count; at++) {
		uint64_t of = number + at;

		packed[at * size] = 'U';
		memcpy(&packed[at * size + 1], &of, sizeof(of));
	}
	if (segment) {
		struct iovec data = { packed, (size_t)count * size };
		union {
			struct cmsghdr head;
			char bytes[CMSG_SPACE(sizeof(uint16_t))];
		} control = { 0 };
		struct msghdr message = { .msg_name = (void *)&to->address, .msg_namelen = to->length, .msg_iov = &data,
			.msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);

		head->cmsg_level = SOL_UDP;
		head->cmsg_type = UDP_SEGMENT;
		head->cmsg_len = CMSG_LEN(sizeof(uint16_t));
		memcpy(CMSG_DATA(head), &size, sizeof(size));
		return sendmsg(to->fd, &message, 0) < 0 ? 0 : count;
	}
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec data[BATCH];

	count = count < BATCH ? count : BATCH;
	for (uint32_t at = 0; at < count; at++) {
		data[at] = (struct iovec){ &packed[at * size], size };
		messages[at].msg_hdr = (struct msghdr){ .msg_name = (void *)&to->address, .msg_namelen = to->length,
			.msg_iov = &data[at], .msg_iovlen = 1 };
	}
	int sent = sendmmsg(to->fd, messages, count, 0);

	return sent < 0 ? 0 : (uint64_t)sent;
}

static struct acknowledgement push(const struct end *to, const struct start *start)
{
	uint64_t until = now() + (uint64_t)(start->seconds * NANOSECONDS), next = 1, acknowledged = 0;
	struct acknowledgement last = { 0 }, got;
	struct pollfd poll_of = { .fd = to->fd, .events = POLLIN };

	while (now() < until) {
		while (next - acknowledged <= start->window) {
			uint32_t room = (uint32_t)(start->window - (next - acknowledged) + 1);
			uint64_t sent = send_some(to, next, room, start->size, start->segment);

			next += sent;
			if (sent == 0)
				break;
		}
		if (poll(&poll_of, 1, PATIENCE_MS) == 0)
			acknowledged = next - 1;
		while (recv(to->fd, &got, sizeof(got), MSG_DONTWAIT) == sizeof(got) && got.kind == 'A')
			if (got.highest > last.highest)
				last = got;
		if (last.highest > acknowledged)
			acknowledged = last.highest;
	}
	return last;
}

/* Bulk: the receiver. */

/* Reads once. Returns false if nothing has come in time. */
static bool read_once(int fd, int flags, struct acknowledgement *state, struct end *from, struct start *begin)
{
	static char packed[PACKED];
	struct iovec data = { packed, sizeof(packed) };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = { .msg_name = &from->address, .msg_namelen = sizeof(from->address), .msg_iov = &data,
		.msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t length = recvmsg(fd, &message, flags);

	if (length <= 0)
		return false;
	from->length = message.msg_namelen;
	if (packed[0] == 'D' && begin != NULL) {
		memcpy(begin, packed, sizeof(*begin));
		*state = (struct acknowledgement){ 0 };
		return true;
	}
	if (packed[0] != 'U')
		return true;
	size_t each = (size_t)length, datagrams = 1;
	int size;
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	if (head != NULL && head->cmsg_level == SOL_UDP && head->cmsg_type == UDP_GRO) {
		memcpy(&size, CMSG_DATA(head), sizeof(size));
		each = (size_t)size;
		datagrams = ((size_t)length + each - 1) / each;
	}
	uint64_t number;

	memcpy(&number, &packed[(datagrams - 1) * each + 1], sizeof(number));
	state->kind = 'A';
	state->highest = number > state->highest ? number : state->highest;
	state->datagrams += datagrams;
	state->bytes += (uint64_t)length;
	return true;
}

/* Reads what is there, and acknowledges it. Returns false if nothing has come in time. */
static bool take(int fd, struct acknowledgement *state, struct end *from, struct start *begin)
{
	int flags = 0, reads = 0;

	while (reads < BATCH && read_once(fd, flags, state, from, begin)) {
		flags = MSG_DONTWAIT;
		reads++;
	}
	if (reads > 0 && state->datagrams > 0)
		sendto(fd, state, sizeof(*state), 0, (struct sockaddr *)&from->address, from->length);
	return reads > 0;
}

static void receive_packed(int fd, int milliseconds)
{
	struct timeval limit = { .tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000 };

	switch_on(fd, SOL_UDP, UDP_GRO);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* The server. */

static int listen_on(const char *on, uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = make_socket(AF_INET);

	if (inet_pton(AF_INET, on, &address.sin_addr) != 1)
		die("'%s' is not an IPv4 address", on);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("port %u: %s", port, strerror(errno));
	return fd;
}

static void answer(int fd)
{
	static char buffers[BATCH][2048];
	static struct sockaddr_storage addresses[BATCH];
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec data[BATCH];

	for (int at = 0; at < BATCH; at++) {
		data[at] = (struct iovec){ buffers[at], sizeof(buffers[at]) };
		messages[at].msg_hdr = (struct msghdr){ .msg_name = &addresses[at], .msg_namelen = sizeof(addresses[at]),
			.msg_iov = &data[at], .msg_iovlen = 1 };
	}
	int count = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);

	for (int at = 0; at < count; at++) {
		uint16_t reply;

		/* A query tells the size of its answer in its first two octets. */
		memcpy(&reply, buffers[at], sizeof(reply));
		data[at].iov_len = reply < sizeof(buffers[at]) ? reply : sizeof(buffers[at]);
	}
	if (count > 0)
		sendmmsg(fd, messages, (unsigned)count, 0);
}

__attribute__((noreturn)) static void serve(const char *on, uint16_t query_port, uint16_t bulk_port)
{
	struct pollfd polls[2] = { { .fd = listen_on(on, query_port), .events = POLLIN },
		{ .fd = listen_on(on, bulk_port), .events = POLLIN } };
	struct acknowledgement state = { 0 };
	struct end client = { .fd = polls[1].fd };

	receive_packed(polls[1].fd, PATIENCE_MS);
	puts("listening");
	fflush(stdout);
	for (;;) {
		if (poll(polls, 2, -1) < 0)
			die("poll: %s", strerror(errno));
		if (polls[0].revents != 0)
			answer(polls[0].fd);
		if (polls[1].revents != 0) {
			struct start begin = { 0 };

			/* Both ways begin with a start, which is 0 seconds long if the client sends. */
			take(polls[1].fd, &state, &client, &begin);
			if (begin.kind == 'D' && begin.seconds > 0)
				push(&client, &begin);
		}
	}
}

/* Queries. */

struct query {
	struct end end;
	uint64_t asked;
};

static char request[2048];

static void ask(struct query *query, size_t size)
{
	query->asked = now();
	if (send(query->end.fd, request, size, 0) < 0 && errno != ECONNREFUSED && errno != ENOBUFS)
		die("send: %s", strerror(errno));
}

static void query(const char *address, uint16_t port, bool fresh, char *const *arguments)
{
	size_t size = (size_t)number(arguments, "request", "60"), sockets = (size_t)number(arguments, "sockets", "64");
	uint16_t reply = (uint16_t)number(arguments, "reply", "200");
	double seconds = number(arguments, "seconds", "3"), warmup = number(arguments, "warmup", "0.2");
	struct query *queries = allocate(sockets, sizeof(*queries));
	struct histogram *times = allocate(1, sizeof(*times));
	struct epoll_event events[64];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t lost = 0, begin = now(), counted = begin + (uint64_t)(warmup * NANOSECONDS);
	uint64_t until = counted + (uint64_t)(seconds * NANOSECONDS), swept = begin;
	char answered[2048];

	memcpy(request, &reply, sizeof(reply));
	for (size_t at = 0; at < sockets; at++) {
		queries[at].end = dial(address, port);
		epoll_ctl(epoll, EPOLL_CTL_ADD, queries[at].end.fd, &(struct epoll_event){ EPOLLIN, { .u64 = at } });
		ask(&queries[at], size);
	}
	for (uint64_t time = begin; time < until; time = now()) {
		int count = epoll_wait(epoll, events, 64, PATIENCE_MS);

		for (int event = 0; event < count; event++) {
			struct query *of = &queries[events[event].data.u64];

			if (recv(of->end.fd, answered, sizeof(answered), MSG_DONTWAIT) <= 0)
				continue;
			time = now();
			if (of->asked >= counted)
				record(times, time - of->asked);
			if (fresh) {
				close(of->end.fd);
				of->end = dial(address, port);
				epoll_ctl(epoll, EPOLL_CTL_ADD, of->end.fd,
					  &(struct epoll_event){ EPOLLIN, { .u64 = events[event].data.u64 } });
			}
			ask(of, size);
		}
		if (time - swept < NANOSECONDS / 10)
			continue;
		swept = time;
		for (size_t at = 0; at < sockets; at++) {
			if (time < queries[at].asked + PATIENCE_MS * 10 * 1000000ull)
				continue;
			lost += queries[at].asked >= counted;
			ask(&queries[at], size);
		}
	}
	printf("{\"seconds\":%.3f,\"answers\":%llu,\"lost\":%llu", seconds, (unsigned long long)times->count,
	       (unsigned long long)lost);
	print_histogram("query", times);
	puts("}");
}

static bool reachable(const char *address, uint16_t port, double seconds)
{
	uint64_t until = now() + (uint64_t)(seconds * NANOSECONDS);
	uint16_t reply = 20;

	memcpy(request, &reply, sizeof(reply));
	while (now() < until) {
		struct end end = dial(address, port);
		struct pollfd poll_of = { .fd = end.fd, .events = POLLIN };
		char answered[64];

		send(end.fd, request, 20, 0);
		poll(&poll_of, 1, PATIENCE_MS);
		bool has_answered = recv(end.fd, answered, sizeof(answered), MSG_DONTWAIT) > 0;

		close(end.fd);
		if (has_answered)
			return true;
		usleep(20000);
	}
	return false;
}

static void bulk(const char *address, uint16_t port, bool up, char *const *arguments)
{
	struct end end = dial(address, port);
	struct start start = { .kind = 'D', .segment = number(arguments, "segment", "1") != 0,
		.size = (uint16_t)number(arguments, "size", "1400"), .window = (uint32_t)number(arguments, "window", "512"),
		.seconds = number(arguments, "seconds", "3") };
	struct acknowledgement state = { 0 };
	uint64_t begin = now(), last = begin;

	if (up) {
		struct start nothing = { .kind = 'D' };

		send(end.fd, &nothing, sizeof(nothing), 0);
		state = push(&end, &start);
		last = now();
	} else {
		receive_packed(end.fd, 500);
		send(end.fd, &start, sizeof(start), 0);
		/* The server is silent after its last datagram. */
		while (take(end.fd, &state, &end, NULL))
			last = now();
	}
	printf("{\"seconds\":%.3f,\"bytes\":%llu,\"datagrams\":%llu,\"lost\":%llu}\n", (double)(last - begin) / NANOSECONDS,
	       (unsigned long long)state.bytes, (unsigned long long)state.datagrams,
	       (unsigned long long)(state.highest - state.datagrams));
}

int main(int count, char **arguments)
{
	(void)count;
	if (strcmp(option(arguments, "serve", ""), "") != 0)
		serve(option(arguments, "address", NULL), (uint16_t)number(arguments, "serve", "0"),
		      (uint16_t)number(arguments, "bulk", NULL));

	const char *address = option(arguments, "target", NULL), *mode = option(arguments, "mode", NULL);
	uint16_t query_port = (uint16_t)number(arguments, "query", "0"), bulk_port = (uint16_t)number(arguments, "bulk", "0");

	if (strcmp(mode, "wait") == 0)
		return reachable(address, query_port, number(arguments, "seconds", "3")) ? 0 : 1;
	if (strcmp(mode, "keep") == 0 || strcmp(mode, "fresh") == 0)
		query(address, query_port, mode[0] == 'f', arguments);
	else if (strcmp(mode, "up") == 0 || strcmp(mode, "down") == 0)
		bulk(address, bulk_port, mode[0] == 'u', arguments);
	else
		die("'%s' is not a mode", mode);
	return 0;
}

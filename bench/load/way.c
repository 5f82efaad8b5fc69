// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Simulates a long path: packets routed into a TUN device come out of it later, at most at the rate of the link. The
 * kernel's netem does the same, but not every kernel has it.
 *
 *   way --devices up,down [--delay 20] [--rate 500] [--queue 4]
 *
 * The delay is in milliseconds, the rate in Mbit/s, the queue in front of the link in MB. A packet that finds the
 * queue full is lost. Each device is one direction and has its own thread. The program prints "laid" when the devices
 * exist, and runs until it is killed.
 */
#include "program.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>

#define PACKETS 65536u
#define LONGEST 65536

struct packet {
	uint64_t due;
	size_t length;
	char *bytes;
};

struct way {
	pthread_t id;
	int tun;
	uint64_t delay;
	double nanoseconds_per_byte;
	double longest_wait; /* maximum delay of the queue in front of the link */
	uint64_t free_at; /* time when the link has carried all queued packets */
	struct packet packets[PACKETS];
	unsigned first, end;
};

static int open_tun(const char *name)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };

	if (strlen(name) >= sizeof(request.ifr_name))
		die("'%s' is too long for a device", name);
	strcpy(request.ifr_name, name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		die("%s: %s", name, strerror(errno));
	return fd;
}

/* Takes the packets routed into the device and queues them for the link. */
static void take(struct way *way)
{
	static _Thread_local char bytes[LONGEST];

	for (;;) {
		ssize_t length = read(way->tun, bytes, sizeof(bytes));

		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0 && errno == EAGAIN)
			return;
		if (length < 0)
			die("read: %s", strerror(errno));
		uint64_t time = now(), begins = way->free_at > time ? way->free_at : time;

		if ((double)(begins - time) > way->longest_wait || way->end - way->first == PACKETS)
			continue;
		struct packet *packet = &way->packets[way->end++ % PACKETS];

		way->free_at = begins + (uint64_t)((double)length * way->nanoseconds_per_byte);
		packet->due = way->free_at + way->delay;
		packet->length = (size_t)length;
		packet->bytes = memcpy(allocate(packet->length, 1), bytes, packet->length);
	}
}

/* Sends the packets that are due; returns the time until the next one is. */
static uint64_t let_out(struct way *way)
{
	uint64_t time = now();

	for (; way->first != way->end; way->first++) {
		struct packet *packet = &way->packets[way->first % PACKETS];

		if (packet->due > time)
			return packet->due - time;
		/* A packet that the kernel refuses is lost, as on any link. */
		if (write(way->tun, packet->bytes, packet->length) < 0 && errno == EBADF)
			die("write: %s", strerror(errno));
		free(packet->bytes);
	}
	return NANOSECONDS;
}

static void *carry(void *with)
{
	struct way *way = with;
	struct pollfd readable = { .fd = way->tun, .events = POLLIN };

	for (;;) {
		uint64_t wait = let_out(way);
		struct timespec time = { .tv_sec = (time_t)(wait / NANOSECONDS), .tv_nsec = (long)(wait % NANOSECONDS) };

		if (ppoll(&readable, 1, &time, NULL) > 0)
			take(way);
	}
	return NULL;
}

int main(int count, char **arguments)
{
	(void)count;
	double delay = number(arguments, "delay", "20"), rate = number(arguments, "rate", "500");
	double queue = number(arguments, "queue", "4");
	char *names = strdup(option(arguments, "devices", NULL));
	pthread_t last = 0;

	if (rate == 0)
		die("--rate must be more than 0");
	for (char *name = strtok(names, ","); name != NULL; name = strtok(NULL, ",")) {
		struct way *way = allocate(1, sizeof(*way));

		way->tun = open_tun(name);
		way->delay = (uint64_t)(delay * 1e6);
		way->nanoseconds_per_byte = 8e3 / rate;
		way->longest_wait = queue * 1e6 * way->nanoseconds_per_byte;
		if (pthread_create(&way->id, NULL, carry, way) != 0)
			die("cannot start a thread");
		last = way->id;
	}
	puts("laid");
	fflush(stdout);
	pthread_join(last, NULL);
	return 0;
}

"""A slow link between two hosts: two TUN devices, with this program between them.

usage: slow-link.py DEVICE DEVICE MILLISECONDS [BITS_PER_SECOND QUEUE]

A packet that enters one device leaves the other MILLISECONDS later. With a rate, packets also queue for transmission:
a packet that finds more than QUEUE bytes waiting is lost. The program makes both devices; either may then be moved to
another network namespace. netem(8) would do, but not every kernel has it.
"""

import collections
import contextlib
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def tun(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


class Way:
    """The direction from one device to the other."""

    def __init__(self, to: int, rate: float, queue: float) -> None:
        self.to, self.rate, self.queue = to, rate, queue
        self.free = 0.0

    def leaves(self, now: float, length: int) -> float | None:
        """The time when the last bit of a packet arriving now has left; None if the queue is full."""
        self.free = max(self.free, now)
        if (self.free - now) * self.rate / 8 > self.queue:
            return None
        self.free += length * 8 / self.rate
        return self.free


def main() -> None:
    # Runs in real time: a link's timing must not depend on the load of the machine, which would lose packets in bursts.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    first, second = tun(sys.argv[1]), tun(sys.argv[2])
    delay = int(sys.argv[3]) / 1000
    rate, queue = map(float, sys.argv[4:6] or ("inf", "inf"))
    ways = {first: Way(second, rate, queue), second: Way(first, rate, queue)}
    # Orders each direction separately, because one may queue while the other does not.
    travelling: dict[int, collections.deque[tuple[float, bytes]]] = {
        first: collections.deque(),
        second: collections.deque(),
    }
    print("linked", flush=True)
    while True:
        dues = [queued[0][0] for queued in travelling.values() if queued]
        rest = max(0.0, min(dues) - time.monotonic()) if dues else None
        for device in select.select([first, second], [], [], rest)[0]:
            packet, now = os.read(device, 65536), time.monotonic()
            leaves = ways[device].leaves(now, len(packet))
            if leaves is not None:
                travelling[device].append((leaves + delay, packet))
        for device, queued in travelling.items():
            while queued and queued[0][0] <= time.monotonic():
                # A device that is down takes no packets.
                with contextlib.suppress(OSError):
                    os.write(ways[device].to, queued.popleft()[1])


main()

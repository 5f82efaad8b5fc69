"""A link between two hosts on which everything takes its time: two TUN devices, and this program in between.

usage: slow-link.py DEVICE DEVICE MILLISECONDS [BITS_PER_SECOND]

Every packet that goes into one device comes out of the other so much later. With a rate, packets of either way follow
each other as the rate has it, and of those that would have to queue too long the last are lost. Both devices are made here; either may
then be moved to another network namespace. netem(8) would do, but not every kernel has it.
"""

import collections
import contextlib
import fcntl
import os
import select
import struct
import sys
import time

# Seconds that a packet may queue where there is a rate.
QUEUE = 0.5

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def tun(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def main() -> None:
    first, second = tun(sys.argv[1]), tun(sys.argv[2])
    delay = int(sys.argv[3]) / 1000
    seconds_per_byte = 8 / int(sys.argv[4]) if len(sys.argv) > 4 else 0.0
    other = {first: second, second: first}
    # The delay is the same for all of a way, so the first to come is the first to go.
    travelling: dict[int, collections.deque[tuple[float, bytes]]] = {
        device: collections.deque() for device in other
    }
    # When the last packet that came in by a device has left it.
    left = dict.fromkeys(other, 0.0)
    print("linked", flush=True)
    while True:
        due = [way[0][0] for way in travelling.values() if way]
        rest = max(0.0, min(due) - time.monotonic()) if due else None
        for device in select.select([first, second], [], [], rest)[0]:
            packet, now = os.read(device, 65536), time.monotonic()
            if left[device] - now <= QUEUE:
                left[device] = max(left[device], now) + len(packet) * seconds_per_byte
                travelling[device].append((left[device] + delay, packet))
        for device, way in travelling.items():
            while way and way[0][0] <= time.monotonic():
                with contextlib.suppress(OSError):  # A device that is not up takes nothing.
                    os.write(other[device], way.popleft()[1])


main()

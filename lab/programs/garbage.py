#!/usr/bin/env python3
"""Sends malformed packets, and prints how many of each kind as one line of JSON.

  garbage.py --device faith0 ...        arbitrary bytes, straight into a TUN, as its reader gets them
  garbage.py --source ADDRESS ...       packets a host can send through a router: a sound IPv6 header
                                        with a malformed payload

The same --seed makes the same packets. Counts are per kind: --count 500 sends 500 of each.
"""

import argparse
import json
import random
import socket
import struct

TCP, UDP, ICMPV6, SCTP = 6, 17, 58, 132
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60
ETH_P_IPV6 = 0x86DD
# The MTU of an ordinary link. A raw socket accepts no larger packet; a TUN may.
LARGEST = 1400


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device")
    parser.add_argument("--source", default="2001:db8:1::2")
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


class Packets:
    """One method per kind of malformed packet; each returns a whole packet."""

    def __init__(self, options):
        self.random = random.Random(options.seed)
        self.source = socket.inet_pton(socket.AF_INET6, options.source)
        self.destination = socket.inet_pton(socket.AF_INET6, options.address)
        self.port = options.port

    def bytes(self, most):
        return self.random.randbytes(self.random.randint(0, most))

    def ipv6(self, next_header, payload, length=None, source=None):
        length = len(payload) if length is None else length
        header = struct.pack("!IHBB", 6 << 28, length & 0xFFFF, next_header, 64)
        return header + (source or self.source) + self.destination + payload

    def checksum(self, next_header, payload):
        data = self.source + self.destination + struct.pack("!II", len(payload), next_header) + payload
        data += b"\0" * (len(data) % 2)
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return ~total & 0xFFFF

    def tcp(self, flags=0x02, offset=5, options=b"", payload=b"", checksum=None):
        ports = struct.pack("!HH", self.random.randint(1024, 65535), self.port)
        numbers = struct.pack("!II", self.random.getrandbits(32), self.random.getrandbits(32))
        head = ports + numbers + bytes([(offset & 15) << 4, flags & 0xFF]) + b"\xff\xff"
        tail = b"\0\0" + options + payload
        if checksum is None:
            checksum = self.checksum(TCP, head + b"\0\0" + tail)
        return head + struct.pack("!H", checksum) + tail

    # Packets that a host can send.

    def host_truncated_tcp(self):
        return self.ipv6(TCP, self.tcp()[: self.random.randint(0, 19)])

    def host_lying_data_offset(self):
        return self.ipv6(TCP, self.tcp(offset=self.random.choice([0, 1, 4, 6, 15])))

    def host_wrong_checksum(self):
        return self.ipv6(TCP, self.tcp(checksum=self.random.getrandbits(16)))

    def host_any_flags(self):
        return self.ipv6(TCP, self.tcp(flags=self.random.getrandbits(8), payload=self.bytes(64)))

    def host_lying_options(self):
        options = self.random.randbytes(4 * self.random.randint(1, 10))
        return self.ipv6(TCP, self.tcp(offset=5 + len(options) // 4, options=options))

    def host_extension_chain(self):
        """A long chain of destination options headers, far beyond any real use."""
        payload, inner = self.tcp(), TCP
        for _ in range(self.random.randint(1, 60)):
            payload, inner = bytes([inner, 0, 1, 4, 0, 0, 0, 0]) + payload, DESTINATION
        return self.ipv6(inner, payload)

    def host_lying_extension(self):
        header = bytes([TCP, self.random.randint(1, 255)]) + self.random.randbytes(6)
        return self.ipv6(self.random.choice([ROUTING, DESTINATION]), header + self.tcp())

    def host_fragment(self):
        offset, more = self.random.randint(0, 8191), self.random.getrandbits(1)
        next_header = self.random.choice([TCP, UDP, ICMPV6, self.random.getrandbits(8)])
        header = struct.pack("!BBHI", next_header, 0, offset << 3 | more, self.random.getrandbits(32))
        return self.ipv6(FRAGMENT, header + self.random.randbytes(8 * self.random.randint(0, 8)))

    def host_first_fragment_without_transport(self):
        header = struct.pack("!BBHI", TCP, 0, 1, self.random.getrandbits(32))
        return self.ipv6(FRAGMENT, header + self.tcp()[:8])

    def host_icmpv6_error_about_nothing(self):
        kind = self.random.choice([1, 2, 3, 4])
        head = bytes([kind, self.random.randint(0, 8)])
        value = struct.pack("!I", self.random.getrandbits(32))
        quoted = self.random.choice([self.bytes(80), self.ipv6(TCP, self.tcp())[: self.random.randint(0, 60)]])
        body = value + quoted
        return self.ipv6(ICMPV6, head + struct.pack("!H", self.checksum(ICMPV6, head + b"\0\0" + body)) + body)

    def host_other_protocol(self):
        return self.ipv6(self.random.choice([UDP, SCTP, ICMPV6, self.random.getrandbits(8)]), self.bytes(200))

    # Packets that only a writer to the device itself can send.

    def device_noise(self):
        return self.random.randbytes(self.random.randint(1, LARGEST))

    def device_truncated_header(self):
        return self.ipv6(TCP, self.tcp())[: self.random.randint(1, 39)]

    def device_lying_length(self):
        return self.ipv6(TCP, self.tcp(), length=self.random.getrandbits(16))

    def device_not_ipv6(self):
        packet = bytearray(self.ipv6(TCP, self.tcp()))
        packet[0] = self.random.choice([0x00, 0x45, 0x50, 0x70, 0xF0])
        return bytes(packet)

    def device_martian_source(self):
        martian = self.random.choice(["::", "::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::1.2.3.4"])
        return self.ipv6(TCP, self.tcp(), source=socket.inet_pton(socket.AF_INET6, martian))

    def device_flipped_bits(self):
        packet = bytearray(self.ipv6(TCP, self.tcp(payload=self.bytes(64))))
        for _ in range(self.random.randint(1, 8)):
            packet[self.random.randrange(len(packet))] ^= 1 << self.random.randrange(8)
        return bytes(packet)


def opened(options):
    """Return a function that sends one packet."""
    if options.device:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw.bind((options.device, ETH_P_IPV6))
        return raw.send
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    return lambda packet: raw.sendto(packet, (options.address, 0))


def main():
    options = arguments()
    packets, send = Packets(options), opened(options)
    kinds = [name for name in dir(packets) if name.startswith("host_") or (options.device and name.startswith("device_"))]
    sent, refused = {}, 0
    for kind in kinds:
        for _ in range(options.count):
            try:
                send(getattr(packets, kind)())
            except OSError:
                # Counts packets that this host's own kernel rejects.
                refused += 1
            else:
                sent[kind] = sent.get(kind, 0) + 1
    print(json.dumps({"sent": sum(sent.values()), "refused": refused, "kinds": sent}))


main()

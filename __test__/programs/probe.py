#!/usr/bin/env python3
"""Sends packets that a program with ordinary sockets cannot, from a host of the lab.

  probe.py echo --source ADDRESS --address ADDRESS         ICMPv6 echo requests, as ping sends them
  probe.py syns ...                                        SYNs of connections that stop after the SYN
  probe.py fragments ...                                   a SYN with data in it, in two fragments
  probe.py options ...                                     a SYN behind a destination options header
  probe.py acks ...                                        ACKs of connections that do not exist
  probe.py optional-acks ...                               the same behind a destination options header
  probe.py short-acks ...                                  the same with TCP headers that claim too few bytes
  probe.py long-acks ...                                   the same with TCP headers that claim too many bytes
  probe.py datagrams ...                                   UDP datagrams, at full speed

It waits for no answer: the receivers' counters show the result.
"""

import argparse
import socket
import struct

SYN, ACK = 0x02, 0x10
TCP, FRAGMENT, DESTINATION_OPTIONS, ICMPV6 = 6, 44, 60, 58


def checksum(source, destination, protocol, payload):
    data = source + destination + struct.pack("!II", len(payload), protocol) + payload
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


class Probe:
    def __init__(self, options):
        self.source = socket.inet_pton(socket.AF_INET6, options.source)
        self.destination = socket.inet_pton(socket.AF_INET6, options.address)
        self.target = (options.address, 0)
        self.port = options.port
        self.raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def send(self, next_header, payload):
        header = struct.pack("!IHBB", 6 << 28, len(payload), next_header, 64)
        self.raw.sendto(header + self.source + self.destination + payload, self.target)

    def syn(self, number, data=b""):
        """A SYN without options, from a source port without a listener."""
        return self.segment(number, SYN, data)

    def segment(self, number, flags, data=b"", words=5):
        head = struct.pack("!HHIIBBH", 20000 + number, self.port, 1, 1, words << 4, flags, 65535)
        sum_ = checksum(self.source, self.destination, TCP, head + b"\0\0\0\0" + data)
        return head + sum_ + b"\0\0" + data

    def echo(self, number):
        head, body = struct.pack("!BB", 128, 0), struct.pack("!HH", 1, number) + b"hello"
        self.send(ICMPV6, head + checksum(self.source, self.destination, ICMPV6, head + b"\0\0" + body) + body)

    def fragments(self, number):
        whole = self.syn(number, b"d" * 28)
        for offset, more in ((0, 1), (24, 0)):
            part = whole[offset : offset + 24]
            self.send(FRAGMENT, struct.pack("!BBHI", TCP, 0, offset | more, number) + part)

    def syns(self, number):
        self.send(TCP, self.syn(number))

    def options(self, number):
        self.send(DESTINATION_OPTIONS, bytes([TCP, 0, 1, 4, 0, 0, 0, 0]) + self.syn(number))

    def acks(self, number):
        self.send(TCP, self.segment(number, ACK))

    def optional_acks(self, number):
        self.send(DESTINATION_OPTIONS, bytes([TCP, 0, 1, 4, 0, 0, 0, 0]) + self.segment(number, ACK))

    def short_acks(self, number):
        self.send(TCP, self.segment(number, ACK, words=4))

    def long_acks(self, number):
        self.send(TCP, self.segment(number, ACK, words=6))

    def datagrams(self, number):
        if number == 1:
            self.udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.udp.sendto(b"hello", (self.target[0], self.port))


def main():
    parser = argparse.ArgumentParser()
    acks = ["acks", "optional-acks", "short-acks", "long-acks"]
    parser.add_argument("kind", choices=["echo", "syns", "fragments", "options", "datagrams", *acks])
    parser.add_argument("--source", required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--count", type=int, default=1)
    options = parser.parse_args()
    probe = Probe(options)
    for number in range(1, options.count + 1):
        getattr(probe, options.kind.replace("-", "_"))(number)


main()

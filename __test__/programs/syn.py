#!/usr/bin/env python3
"""Sends one SYN with the given options and data, which no program with ordinary sockets can.

  syn.py --source ADDRESS --address ADDRESS --port PORT --source-port PORT --options HEX --data HEX --flags N
"""

import argparse
import socket
import struct

TCP = 6


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--source-port", type=int, required=True)
    parser.add_argument("--options", type=bytes.fromhex, required=True)
    parser.add_argument("--data", type=bytes.fromhex, required=True)
    parser.add_argument("--flags", type=lambda text: int(text, 0), required=True)
    given = parser.parse_args()
    source = socket.inet_pton(socket.AF_INET6, given.source)
    destination = socket.inet_pton(socket.AF_INET6, given.address)
    offset = 5 + len(given.options) // 4
    head = struct.pack("!HHIIBBH", given.source_port, given.port, 0x10203040, 0, offset << 4, given.flags, 0x7777)
    rest = given.options + given.data
    length = len(head) + 4 + len(rest)
    pseudo = source + destination + struct.pack("!II", length, TCP)
    segment = head + checksum(pseudo + head + b"\0\0\0\0" + rest) + b"\0\0" + rest
    header = struct.pack("!IHBB", 6 << 28, length, TCP, 64)
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.sendto(header + source + destination + segment, (given.address, 0))


main()

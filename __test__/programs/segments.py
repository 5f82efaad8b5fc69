"""Prints every TCP segment to or from a port as it crosses a device, one line of JSON each.

usage: segments.py DEVICE PORT

  {"at": SECONDS, "way": "in", "flags": "SA", "seq": 1, "ack": 2, "window": 65535, "options": "0204…", "data": "…"}

`at` is CLOCK_MONOTONIC, the same for every process of the machine. It is the time when the kernel saw the segment, not
when this program read it. With nsenter(1) it runs in faithd's private namespace, too.
"""

import json
import socket
import struct
import sys
import time

SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("=qq")
ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD
PACKET_OUTGOING = 4
NAMES = "FSRPAUEC"


def segment_of(protocol: int, packet: bytes) -> bytes:
    if protocol == ETH_P_IP and packet[9] == socket.IPPROTO_TCP:
        return packet[(packet[0] & 0x0F) * 4 : int.from_bytes(packet[2:4], "big")]
    if protocol == ETH_P_IPV6 and packet[6] == socket.IPPROTO_TCP:
        return packet[40 : 40 + int.from_bytes(packet[4:6], "big")]
    return b""


def main() -> None:
    device, port = sys.argv[1], sys.argv[2]
    # Listens for all protocols: only such sockets see outgoing packets.
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    # A flood must not fill the queue while this program prints.
    packets.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    packets.bind((device, ETH_P_ALL))
    packets.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    print("watching", flush=True)
    while True:
        packet, [(_, _, stamp)], _, address = packets.recvmsg(65536, socket.CMSG_SPACE(TIMESPEC.size))
        seconds, nanoseconds = TIMESPEC.unpack(stamp)
        ago = time.time_ns() - (seconds * 10**9 + nanoseconds)
        at = (time.monotonic_ns() - ago) / 1e9
        segment = segment_of(address[1], packet)
        if len(segment) < 20:
            continue
        if int(port) not in (int.from_bytes(segment[0:2], "big"), int.from_bytes(segment[2:4], "big")):
            continue
        header = (segment[12] >> 4) * 4
        seen = {
            "at": at,
            "way": "out" if address[2] == PACKET_OUTGOING else "in",
            "flags": "".join(name for bit, name in enumerate(NAMES) if segment[13] & 1 << bit),
            "seq": int.from_bytes(segment[4:8], "big"),
            "ack": int.from_bytes(segment[8:12], "big"),
            "window": int.from_bytes(segment[14:16], "big"),
            "options": segment[20:header].hex(),
            "data": segment[header:].hex(),
        }
        print(json.dumps(seen), flush=True)


main()

"""Answers NTP clients (RFC 5905, mode 3) with this host's clock, plus a number of seconds.

    python3 ntp-server.py ADDRESS SECONDS
"""

import socket
import struct
import sys
import time

EPOCH = 2_208_988_800

served = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
served.bind((sys.argv[1], 123))
print("ready", flush=True)


def stamp():
    now = time.time() + EPOCH + float(sys.argv[2])
    return struct.pack("!II", int(now), int(now % 1 * (1 << 32)))


while True:
    query, sender = served.recvfrom(1 << 16)
    came = stamp()
    # Leap 0, the client's version, mode 4; stratum 1, poll 6, precision 2^-20; no delay, no dispersion, "GPS".
    head = struct.pack("!BBbb", query[0] & 0x38 | 4, 1, 6, -20) + bytes(8) + b"GPS\0"
    served.sendto(head + came + query[40:48] + came + stamp(), sender)

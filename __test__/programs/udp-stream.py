"""Sends datagrams one by one and checks their echoes: complete, in order, each with its own octets and length.

    python3 udp-stream.py ADDRESS PORT LENGTH [LENGTH ...]

The datagrams have these lengths, in turn, and at most a window of them is under way, so that none is lost for want of
room. Prints the number of echoes, or fails with the first that differs.
"""

import socket
import sys

WINDOW = 64
ROUNDS = 40

to = (sys.argv[1], int(sys.argv[2]))
lengths = list(map(int, sys.argv[3:]))
client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
client.settimeout(20)


def datagram(number):
    """A datagram whose octets tell its number."""
    word = b"echo %d " % number
    return (word * (lengths[number % len(lengths)] // len(word) + 1))[: lengths[number % len(lengths)]]


number = 0
for _ in range(ROUNDS):
    sent = [datagram(number + each) for each in range(WINDOW)]
    for data in sent:
        client.sendto(data, to)
    for data in sent:
        echo = client.recv(1 << 16)
        if echo != data:
            sys.exit(f"datagram {number}: {len(echo)} octets, {echo[:20]}, instead of {len(data)}, {data[:20]}")
        number += 1
print(number)

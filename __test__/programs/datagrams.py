"""Prints each datagram that comes to a UDP port of this host, or to a Unix socket, as a line of hexadecimal digits.

Usage: datagrams.py ADDRESS PORT
       datagrams.py PATH
"""

import socket
import sys

# socket(7); Python has no name for it.
SO_RCVBUFFORCE = 33

if len(sys.argv) == 2:
    family, place = socket.AF_UNIX, sys.argv[1]
else:
    place = (sys.argv[1], int(sys.argv[2]))
    family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
receiver = socket.socket(family, socket.SOCK_DGRAM)
# Has room for a flood: as root beyond net.core.rmem_max.
receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 * 1024 * 1024)
receiver.bind(place)
print("listening", flush=True)
while True:
    sys.stdout.write(receiver.recv(65536).hex() + "\n")
    sys.stdout.flush()

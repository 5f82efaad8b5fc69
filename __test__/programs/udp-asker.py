"""Asks a server again and again from one port, until it is ended, and prints how many answers came.

    python3 udp-asker.py ADDRESS PORT
"""

import socket
import sys

asker = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
asker.connect((sys.argv[1], int(sys.argv[2])))
# A datagram or its answer may be lost.
asker.settimeout(0.02)
answers = asked = 0
while True:
    asked += 1
    try:
        asker.send(f"echo {asked}".encode())
        # A late answer is one of an earlier question.
        answers += asker.recv(100).startswith(b"echo ")
    except (TimeoutError, ConnectionRefusedError):
        continue
    print(f"{answers} answers", flush=True)

"""Answers each query of DNS with texts, 3000 octets in all, over UDP.

    python3 dns-server.py ADDRESS
"""

import socket
import struct
import sys

served = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
served.bind((sys.argv[1], 53))
print("ready", flush=True)

# Texts of TXT records have 255 octets at most.
text = b"".join(bytes([250]) + b"x" * 250 for _ in range(12))
while True:
    query, sender = served.recvfrom(1 << 16)
    end = query.index(b"\0", 12) + 5
    header = query[:2] + struct.pack("!5H", 0x8580, 1, 1, 0, 0)
    answer = struct.pack("!3HIH", 0xC00C, 16, 1, 60, len(text)) + text
    served.sendto(header + query[12:end] + answer, sender)

"""Prints each datagram that a Unix socket gets, as a line of JSON: hear-notify.py PATH

A name that begins with @ is that of an abstract socket, as in NOTIFY_SOCKET of sd_notify(3).
"""

import json
import socket
import sys

name = sys.argv[1]
reader = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
reader.bind("\0" + name[1:] if name.startswith("@") else name)
print("ready", flush=True)
while True:
    print(json.dumps(reader.recv(65536).decode()), flush=True)

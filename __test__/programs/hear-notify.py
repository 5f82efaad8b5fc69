"""Prints each datagram that a Unix socket gets, as a line of JSON: hear-notify.py PATH

A name that begins with @ is that of an abstract socket, as in NOTIFY_SOCKET of sd_notify(3). Every user may send to
another one, as to that of systemd.
"""

import json
import os
import socket
import sys

name = sys.argv[1]
reader = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
reader.bind("\0" + name[1:] if name.startswith("@") else name)
if not name.startswith("@"):
    os.chmod(name, 0o777)
print("ready", flush=True)
while True:
    print(json.dumps(reader.recv(65536).decode()), flush=True)

"""A local service that tells what it was started with, in JSON, and ends."""

import fcntl
import json
import os
import sys

peer = sys.argv[1:]
with open("/proc/self/cmdline", "rb") as file:
    words = file.read().decode().split("\0")[:-1]
print(
    json.dumps(
        {
            "name": words[0],
            "arguments": peer,
            "environment": {name: text for name, text in os.environ.items() if name != "LC_CTYPE"},
            "sockets": len({os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)}),
            "descriptors": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
            "blocks": not fcntl.fcntl(0, fcntl.F_GETFL) & os.O_NONBLOCK,
            "ids": [os.getuid(), os.geteuid(), os.getgid(), os.getegid(), *os.getgroups()],
            "leads": os.getsid(0) == os.getpid() == os.getpgid(0),
            "folder": os.getcwd(),
        }
    )
)

"""Runs a command that may not make sockets of sock_diag(7), as under a seccomp filter or a similar policy.

usage: without-sock-diag.py ERROR COMMAND…

ERROR is a name of errno(3).
"""

import errno
import os
import sys

from seccomp import forbid, number

error, *command = sys.argv[1:]
SOCKET, PROTOCOL, NETLINK_SOCK_DIAG = number(x86_64=41, aarch64=198), 2, 4
forbid(SOCKET, getattr(errno, error), PROTOCOL, equal=NETLINK_SOCK_DIAG)
os.execvp(command[0], command)

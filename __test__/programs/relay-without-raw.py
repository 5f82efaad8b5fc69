"""Runs a command that may not open raw sockets (capabilities(7)), root or not."""

import ctypes
import os
import sys

PR_CAPBSET_DROP = 24
CAP_NET_RAW = 13

libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0) != 0:
    sys.exit(f"cannot drop CAP_NET_RAW: prctl: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])

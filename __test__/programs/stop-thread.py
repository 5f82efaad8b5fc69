"""Stops one thread of a process, and continues it when standard input ends: stop-thread.py THREAD"""

import ctypes
import os
import sys

# ptrace(2)
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
# waitpid(2)
WALL = 0x40000000

ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
ptrace.restype = ctypes.c_long

thread = int(sys.argv[1])
for request in PTRACE_SEIZE, PTRACE_INTERRUPT:
    if ptrace(request, thread, None, None) < 0:
        sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")
os.waitpid(thread, WALL)
print("stopped", flush=True)
# The kernel detaches when this process ends.
sys.stdin.read()

"""Ends one thread of a process by itself, as a fault of the kernel's or of memory may: end-thread.py THREAD

The thread sleeps in a system call. It is interrupted, and made to call exit(2) in its place, which ends it without the
code of its program.
"""

import ctypes
import os
import platform
import struct
import sys

# ptrace(2)
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
PTRACE_GETREGSET, PTRACE_SETREGSET = 0x4204, 0x4205
NT_PRSTATUS = 1
# waitpid(2)
WALL = 0x40000000
# For each machine: the number of registers; the places of the call's number, of its first argument and of the program
# counter; exit's number; the length of the instruction that calls the kernel.
REGISTERS, NUMBER, ARGUMENT, COUNTER, EXIT, LENGTH = {
    "x86_64": (27, 10, 14, 16, 60, 2),
    "aarch64": (34, 8, 0, 32, 93, 4),
}[platform.machine()]
# On x86_64 this register says that the kernel may begin a call again, and -1 that it may not.
ORIGINAL = 15


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


function = ctypes.CDLL(None, use_errno=True).ptrace
function.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
function.restype = ctypes.c_long
thread = int(sys.argv[1])


def ptrace(request: int, address: int | None = None, data: object = None) -> None:
    if function(request, thread, address, data) < 0:
        sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")


ptrace(PTRACE_SEIZE)
ptrace(PTRACE_INTERRUPT)
os.waitpid(thread, WALL)
memory = ctypes.create_string_buffer(8 * REGISTERS)
vector = Vector(ctypes.addressof(memory), len(memory))
ptrace(PTRACE_GETREGSET, NT_PRSTATUS, ctypes.addressof(vector))
values = list(struct.unpack(f"={REGISTERS}Q", memory.raw))
values[NUMBER], values[ARGUMENT] = EXIT, 0
values[COUNTER] -= LENGTH
if platform.machine() == "x86_64":
    values[ORIGINAL] = 2**64 - 1
memory.raw = struct.pack(f"={REGISTERS}Q", *values)
ptrace(PTRACE_SETREGSET, NT_PRSTATUS, ctypes.addressof(vector))
ptrace(PTRACE_DETACH)
print("ended", flush=True)

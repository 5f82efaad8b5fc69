"""Runs a command that may not call bpf(2), root or not.

Containers commonly forbid the call by a seccomp filter, as this does. It is how the specs see faithd do
without sk_lookup on a machine where it could have it.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # of classic BPF, see linux/filter.h
BPF_CALL = {"x86_64": 321, "aarch64": 280}[platform.machine()]

# The number of the system call is the first word of seccomp_data.
program = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in [
        (LOAD, 0, 0, 0),
        (JUMP_IF_EQUAL, 0, 1, BPF_CALL),
        (RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.EPERM),
        (RETURN, 0, 0, SECCOMP_RET_ALLOW),
    ]
)
instructions = ctypes.create_string_buffer(program, len(program))


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


filter_program = Filter(len(program) // 8, ctypes.addressof(instructions))
libc = ctypes.CDLL(None, use_errno=True)
for call in (
    (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
    (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter_program), 0, 0),
):
    if libc.prctl(*call) != 0:
        sys.exit(f"cannot forbid bpf(2): prctl: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])

"""Forbids system calls to this process and the programs it executes, by a seccomp filter, as containers do."""

import ctypes
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000
# Opcodes of classic BPF, see linux/filter.h.
LOAD, JUMP_IF_EQUAL, JUMP_UNLESS_LESS, RETURN = 0x20, 0x15, 0x35, 0x06


def number(x86_64: int, aarch64: int) -> int:
    """The number of a system call on this machine."""
    return {"x86_64": x86_64, "aarch64": aarch64}[platform.machine()]


def forbid(
    call: int, error: int, argument: int | None = None, least: int = 0, equal: int | None = None
) -> None:
    """Makes a system call fail with `error`; with `argument`, only if that is less than `least`, or is `equal`."""
    refused = [
        (RETURN, 0, 0, SECCOMP_RET_ERRNO | error),
        (RETURN, 0, 0, SECCOMP_RET_ALLOW),
    ]
    if argument is not None:
        # The lower half of an argument, which comes first on both machines.
        compare = (JUMP_UNLESS_LESS, 1, 0, least) if equal is None else (JUMP_IF_EQUAL, 0, 1, equal)
        refused = [(LOAD, 0, 0, 16 + 8 * argument), compare] + refused
    # The first word of seccomp_data is the number of the system call.
    program = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, len(refused) - 1, call)] + refused
    encoded = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    instructions = ctypes.create_string_buffer(encoded, len(encoded))

    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]

    filter_program = Filter(len(program), ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter_program), 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            sys.exit(f"cannot forbid system call {call}: prctl: {os.strerror(ctypes.get_errno())}")

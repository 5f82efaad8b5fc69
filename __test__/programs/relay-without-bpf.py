"""Runs a command that may not call bpf(2), root or not.

Containers commonly forbid the call by a seccomp filter, as this does. Specs use it to run faithd without
sk_lookup on a machine that has it.
"""

import errno
import os
import sys

from seccomp import forbid, number

forbid(number(x86_64=321, aarch64=280), errno.EPERM)
os.execvp(sys.argv[1], sys.argv[1:])

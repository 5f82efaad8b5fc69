"""Runs a command whose calls of splice(2) are refused.

usage: relay-without-splice.py all|drain ERROR COMMAND…

ERROR is a name of errno(3). `drain` refuses only calls for less than 512 KiB, the size that faithd asks for when it
fills a pipe: the pipe then holds the first bytes, and splice(2) cannot take them out.
"""

import errno
import os
import sys

from seccomp import forbid, number

which, error, *command = sys.argv[1:]
SPLICE, LENGTH, FILL = number(x86_64=275, aarch64=76), 4, 512 * 1024
if which == "all":
    forbid(SPLICE, getattr(errno, error))
else:
    forbid(SPLICE, getattr(errno, error), LENGTH, FILL)
os.execvp(command[0], command)

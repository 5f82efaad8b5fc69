"""Runs a program as systemd does: its stderr leads to the journal, and JOURNAL_STREAM names that stream."""

import os
import socket
import sys

stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
stream.connect("/run/systemd/journal/stdout")
# Identifier, unit, priority, level prefix, and three places to forward to (sd_journal_stream_fd(3)).
stream.sendall(b"stream\n\n6\n0\n0\n0\n0\n")
os.dup2(stream.fileno(), 2)
state = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{state.st_dev}:{state.st_ino}"
os.execvp(sys.argv[1], sys.argv[1:])

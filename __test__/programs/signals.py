"""Sends SIGUSR1 and SIGUSR2 to a process, as fast as it can, until SIGTERM.

Usage: signals.py PID
"""

import os
import signal
import sys

process = int(sys.argv[1])
stops = False


def stop(*_):
    global stops
    stops = True


signal.signal(signal.SIGTERM, stop)
while not stops:
    os.kill(process, signal.SIGUSR1)
    os.kill(process, signal.SIGUSR2)

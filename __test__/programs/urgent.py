#!/usr/bin/env python3
"""One end of a connection that carries urgent bytes. It reports which received bytes are marked as urgent.

  urgent.py listen PORT
  urgent.py dial ADDRESS PORT

Orders come as lines of standard input: `say TEXT`, `urge BYTE` (as urgent), `bulk COUNT SEED` and `end`.
Standard output reports received data: `heard` and the beginning of the stream as it arrives, `mark` and the
offset of a byte at the mark (sockatmark(3)), and at the end of the stream one line of JSON. With --out-of-band
as the first argument, urgent bytes are left out of the stream and read separately, the default of Linux unless
SO_OOBINLINE is set.
"""

import fcntl
import hashlib
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import threading

SIOCATMARK = 0x8905
KEPT = 64


def tell(line):
    """Uses one write(2), because both threads print."""
    os.write(1, f"{line}\n".encode())


def at_mark(connection):
    return struct.unpack("i", fcntl.ioctl(connection, SIOCATMARK, b"\0\0\0\0"))[0] != 0


def connect(how, where):
    if how == "dial":
        return socket.create_connection((where[0], int(where[1])))
    listener = socket.create_server(("", int(where[0])))
    tell("listening")
    return listener.accept()[0]


def obey(connection):
    sent = hashlib.sha256()
    for line in sys.stdin:
        verb, _, rest = line.rstrip("\n").partition(" ")
        if verb == "end":
            tell(f"sent {sent.hexdigest()}")
            connection.shutdown(socket.SHUT_WR)
            return
        if verb == "bulk":
            count, seed = map(int, rest.split())
            data = random.Random(seed).randbytes(count)
        else:
            data = rest.encode()
        sent.update(data)
        if verb == "urge":
            connection.send(data, socket.MSG_OOB)
        else:
            connection.sendall(data)


class Ear:
    def __init__(self, connection, inline):
        self.connection = connection
        self.inline = inline
        self.bytes = 0
        self.first = b""
        self.hash = hashlib.sha256()
        self.marks = []
        self.signals = 0
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, inline)
        signal.signal(signal.SIGURG, self.signalled)
        fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())

    def signalled(self, *_):
        self.signals += 1

    def listen(self):
        poll = select.poll()
        poll.register(self.connection, select.POLLIN | select.POLLPRI)
        while True:
            events = poll.poll()[0][1]
            if not self.inline and events & select.POLLPRI:
                tell(f"fetched {self.connection.recv(1, socket.MSG_OOB).decode()}")
            if events & ~select.POLLPRI and not self.hear():
                break
        result = {
            "bytes": self.bytes,
            "first": self.first.decode("latin-1"),
            "sha256": self.hash.hexdigest(),
            "marks": self.marks,
            "signals": self.signals,
        }
        tell(json.dumps(result))

    def hear(self):
        # Waits for the byte: before it arrives, sockatmark(3) cannot tell if it will be urgent.
        if not self.connection.recv(1, socket.MSG_PEEK):
            return False
        urgent = self.inline and at_mark(self.connection)
        data = self.connection.recv(1 if urgent else 65536)
        if urgent:
            self.marks.append([self.bytes, data.decode("latin-1")])
            tell(f"mark {self.bytes}")
        self.bytes += len(data)
        self.hash.update(data)
        if len(self.first) < KEPT:
            self.first = (self.first + data)[:KEPT]
            tell(f"heard {json.dumps(self.first.decode('latin-1'))}")
        return True


def main():
    arguments = sys.argv[1:]
    inline = arguments[0] != "--out-of-band"
    how, *where = arguments if inline else arguments[1:]
    connection = connect(how, where)
    ear = Ear(connection, inline)
    tell("ready")
    # Not a daemon: unsent data goes out after the other end has finished.
    threading.Thread(target=obey, args=[connection]).start()
    ear.listen()


main()

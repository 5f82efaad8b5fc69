"""Dials, sends a word, and reads to the end: download.py ADDRESS PORT [half]

Prints the byte count each time it grows, and finally the ending: `end` or the name of an error. With `half` the
client ends its own side first. (Node reports a reset behind a short read as an end: libuv, uv__stream_io.)
"""

import errno
import socket
import sys


def main() -> None:
    client = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    client.sendall(b"hello")
    if "half" in sys.argv:
        client.shutdown(socket.SHUT_WR)
    print("connected", flush=True)
    received, end = 0, "end"
    try:
        while data := client.recv(1 << 16):
            received += len(data)
            print(received, flush=True)
    except OSError as error:
        end = errno.errorcode[error.errno or 0]
    print(end, flush=True)


main()

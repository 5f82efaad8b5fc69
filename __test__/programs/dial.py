"""Dials once and prints the outcome and its times, in seconds of CLOCK_MONOTONIC.

usage: dial.py ADDRESS PORT [DATA]

  {"outcome": "connected", "began": 12.25, "ended": 12.75}      or the name of an error

With DATA the SYN carries it, with or without a cookie; the kernel needs net.ipv4.tcp_fastopen=5.
"""

import errno
import json
import socket
import sys
import time


def dial(address: str, port: int, data: bytes) -> str:
    client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        if data:
            client.sendto(data, socket.MSG_FASTOPEN, (address, port))
        else:
            client.connect((address, port))
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "connected"


def main() -> None:
    data = sys.argv[3].encode() if len(sys.argv) > 3 else b""
    began = time.monotonic()
    outcome = dial(sys.argv[1], int(sys.argv[2]), data)
    print(json.dumps({"outcome": outcome, "began": began, "ended": time.monotonic()}))


main()

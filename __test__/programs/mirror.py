"""Reports the source address of a client as its server sees it.

usage: mirror.py serve PORT
       mirror.py dial ADDRESS PORT

`serve` sends every client its address and port, and keeps the connection until it ends. `dial` reads lines from its
standard input:

  SOURCE COUNT [close]

and connects COUNT times from that address; a local route is enough for that. It prints a line for each connection, and
keeps the connections, or with `close` has the server close each before the next.

  {"from": "2001:db8:f000::1", "seen": "198.51.100.11", "port": 40312}   or   {"from": …, "error": "ECONNREFUSED"}
"""

import errno
import json
import socket
import sys
import threading

IPV6_FREEBIND = 78
kept = []


def linger(connection: socket.socket) -> None:
    while connection.recv(100):
        pass
    connection.close()


def serve(port: int) -> None:
    listening = socket.create_server(("", port), backlog=4096)
    print("serving", flush=True)
    while True:
        connection, (address, from_port) = listening.accept()
        connection.sendall(json.dumps({"seen": address, "port": from_port}).encode() + b"\n")
        threading.Thread(target=linger, args=(connection,), daemon=True).start()


def dial_once(source: str, address: str, port: int, close: bool) -> dict:
    client = socket.socket(socket.AF_INET6)
    client.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    client.bind((source, 0))
    try:
        client.connect((address, port))
        seen = json.loads(client.makefile().readline())
    except OSError as error:
        return {"from": source, "error": errno.errorcode[error.errno or 0]}
    if close:
        client.shutdown(socket.SHUT_WR)
        client.recv(1)
    else:
        kept.append(client)
    return {"from": source, **seen}


def dial(address: str, port: int) -> None:
    for line in sys.stdin:
        source, count, *how = line.split()
        for _ in range(int(count)):
            print(json.dumps(dial_once(source, address, port, how == ["close"])), flush=True)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    dial(sys.argv[2], int(sys.argv[3]))

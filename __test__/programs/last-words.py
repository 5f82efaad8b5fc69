"""Peers that send data and reset the connection, and peers that read to the end.

usage: last-words.py serve PORT                        "listening", then a line of JSON per listening connection
       last-words.py early|abort ADDRESS PORT BYTES    a line of JSON about the data read, if any

The client's first line is an order to the server:

  early BYTES   it sends that many bytes, and closes while the client's upload is unread, so that the kernel resets
  hear          it reads everything the client sends before its abort

A kernel that resets drops undelivered data. So each side waits until its own kernel has delivered everything, which
it mostly has between two directly connected hosts.
"""

import errno
import fcntl
import json
import socket
import struct
import sys
import termios
import threading
import time

SOCKET_LINGER_RESET = struct.pack("ii", 1, 0)


def words(length: int) -> bytes:
    """Bytes that show any loss, duplication or move."""
    return b"".join(b"%9d " % number for number in range(length // 10 + 1))[:length]


def is_delivered(connection: socket.socket) -> bool:
    left = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))[0]
    return left == 0


def deliver(connection: socket.socket) -> None:
    while not is_delivered(connection):
        time.sleep(0.002)


def listen_to_the_end(connection: socket.socket, said: bytes = b"") -> dict[str, object]:
    heard, end = bytearray(said), "end"
    try:
        while part := connection.recv(65536):
            heard += part
    except OSError as error:
        end = errno.errorcode[error.errno or 0]
    return {"heard": len(heard), "unchanged": bytes(heard) == words(len(heard)), "end": end}


def answer(connection: socket.socket) -> None:
    head = b""
    while b"\n" not in head:
        head += connection.recv(100)
    order, rest = head.split(b"\n", 1)
    if order == b"hear":
        print(json.dumps(listen_to_the_end(connection, rest)), flush=True)
        connection.close()
        return
    connection.sendall(words(int(order.split()[1])))
    deliver(connection)
    # Waits for unread bytes, which make the close a reset. They come, because the client goes on.
    connection.recv(1, socket.MSG_PEEK)
    connection.close()


def serve(port: int) -> None:
    listener = socket.create_server(("", port), backlog=256)
    print("listening", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def upload(connection: socket.socket) -> None:
    try:
        while True:
            connection.sendall(b"u" * 65536)
    except OSError:
        pass


def main() -> None:
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    order, address, port, length = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    connection = socket.create_connection((address, port))
    if order == "early":
        connection.sendall(b"early %d\n" % length)
        uploading = threading.Thread(target=upload, args=(connection,))
        uploading.start()
        # Reads on: the upload may notice the reset first, and the received data is still there.
        told = listen_to_the_end(connection)
        uploading.join()
        print(json.dumps(told), flush=True)
    else:
        connection.sendall(b"hear\n" + words(length))
        deliver(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, SOCKET_LINGER_RESET)
    connection.close()


main()

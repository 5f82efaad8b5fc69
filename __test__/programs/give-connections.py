"""Gives each connection to a port to a program as its standard input, as inetd does, and tells the exit code."""

import socket
import subprocess
import sys

listener = socket.socket(socket.AF_INET6)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("::", int(sys.argv[1])))
listener.listen()
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    program = subprocess.Popen(sys.argv[2:], stdin=connection)
    # The program has the only descriptor.
    connection.close()
    print("exit code", program.wait(), flush=True)

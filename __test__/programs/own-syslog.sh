#!/bin/sh
# Runs a command in a mount namespace with a /dev of its own, whose /dev/log prints each message.
set -e
folder=$1
shift
mkdir -p "$folder/upper" "$folder/work"
mount -t tmpfs tmpfs "$folder"
mkdir -p "$folder/upper" "$folder/work"
mount -t overlay overlay -o "lowerdir=/dev,upperdir=$folder/upper,workdir=$folder/work" /dev
python3 -u -c '
import os, socket, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/dev/log")
if os.fork() == 0:
    while True:
        print("syslog:", log.recv(65536).decode().rstrip("\n"))
os.execvp(sys.argv[1], sys.argv[1:])
' "$@"

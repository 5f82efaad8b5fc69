#!/bin/sh
# Runs a journald with a journal of its own. Run it in a mount namespace of its own.
set -e
mkdir -p /run/systemd /run/log
mount -t tmpfs tmpfs /run/systemd
mount -t tmpfs tmpfs /run/log
mkdir -p /run/systemd/journal /run/log/journal
/lib/systemd/systemd-journald &
journald=$!
trap 'kill $journald; wait $journald' TERM INT
until [ -S /run/systemd/journal/socket ]; do sleep 0.1; done
echo running
wait $journald

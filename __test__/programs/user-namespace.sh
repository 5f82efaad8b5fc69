#!/bin/sh
# Makes a network with a server behind a link, in a user namespace, and runs faithd and clients in it: a ping, then the steps of
# udp-client.py. Standard output has what these print.
#
#   unshare -Urnm -pf --mount-proc --kill-child user-namespace.sh SERVER PORT STEPS FAITHD...
set -e
server=$1 port=$2 steps=$3
shift 3
programs=$(dirname "$0")
mount -t tmpfs tmpfs /run
ip link set lo up
ip netns add server
ip link add wan0 type veth peer name eth0 netns server
ip address add 198.51.100.1/24 dev wan0
ip link set wan0 up
ip -n server address add "$server/24" dev eth0
ip -n server link set eth0 up
ip netns exec server python3 "$programs/udp-server.py" "$server" "$port" >/run/server &
"$@" 2>/run/log &
until grep -q ready /run/server && grep -q captures /run/log; do
  kill -0 $! || { cat /run/log >&2; exit 1; }
  sleep 0.1
done
ping -6 -n -c 2 -i 0.2 -W 10 "64:ff9b::$server" || true
python3 "$programs/udp-client.py" "$steps"

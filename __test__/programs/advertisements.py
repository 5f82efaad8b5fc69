"""Hears router advertisements on an interface, and prints each as a line of JSON.

A line on standard input is a command: `solicit` sends a router solicitation, `advertise ADDRESS` an advertisement from an
address that the interface need not have.
"""

import ipaddress
import json
import select
import socket
import struct
import sys

ICMP6_FILTER = 1
IPV6_FREEBIND = 78
LENGTHS = [96, 64, 56, 48, 40, 32]

index = socket.if_nametoindex(sys.argv[1])
raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
raw.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, b"\xff" * 16 + b"\xbf\xff\xff\xff" + b"\xff" * 12)
raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
raw.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)


def pref64(option):
    """Decodes the option as RFC 8781, section 4, has it."""
    (field,) = struct.unpack("!H", option[2:4])
    length = LENGTHS[field & 7]
    address = ipaddress.IPv6Address(option[4:16] + bytes(4))
    return {"prefix": f"{address}/{length}", "lifetime": (field >> 3) * 8}


def hear():
    message, control, _, source = raw.recvmsg(2000, 200)
    facts = {kind: data for level, kind, data in control if level == socket.IPPROTO_IPV6}
    heard = {
        "source": source[0].split("%")[0],
        "destination": str(ipaddress.IPv6Address(facts[socket.IPV6_PKTINFO][:16])),
        "hopLimit": struct.unpack("@i", facts[socket.IPV6_HOPLIMIT])[0],
        "currentHopLimit": message[4],
        "flags": message[5],
        "routerLifetime": struct.unpack("!H", message[6:8])[0],
        "timers": message[8:16].hex(),
        "options": [],
        "prefixes": [],
    }
    rest = message[16:]
    while rest:
        option, rest = rest[: rest[1] * 8], rest[rest[1] * 8 :]
        heard["options"].append(option[0])
        if option[0] == 38:
            heard["prefixes"].append(pref64(option))
    print(json.dumps(heard), flush=True)


def send(message, group, address="::"):
    info = socket.inet_pton(socket.AF_INET6, address) + struct.pack("@I", index)
    control = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info)]
    raw.sendmsg([message], control, 0, (group, 0, 0, index))


def obey(words):
    if words[0] == "solicit":
        send(bytes([133]) + bytes(7), "ff02::2")
    elif words[0] == "advertise":
        send(bytes([134]) + bytes(15), "ff02::1", words[1])


print("ready", flush=True)
while True:
    ready, _, _ = select.select([raw, sys.stdin], [], [])
    if raw in ready:
        hear()
    if sys.stdin in ready:
        line = sys.stdin.readline()
        if not line:
            break
        obey(line.split())

"""Sends datagrams from a few sockets, one after the other, and prints what came back as JSON.

    python3 udp-client.py '{"sockets": 2, "steps": [{"socket": 0, "to": ["64:ff9b::1", 7], "send": "who"}]}'

The sockets have ports of the kernel's choice, or `"ports": [123, 40001]`. Each step sends a datagram and waits for one, unless it says `"wait": 0`; `wait` is in seconds. `fill` appends octets up
to a length, `segment` has the kernel cut the datagram into several (UDP_SEGMENT), `hear` only waits, `collect` waits until that
many octets came and tells how many datagrams they were. `hops` and `tclass` set hop limit and traffic class. With
`forge`, the datagram leaves from the socket's port, but with the checksum `forge` instead of the right one. A step gives
{"from", "data", "length", "same", "hops", "tclass"}, {"error"} or {"silent": true}; `same` tells if it is what was sent.
"""

import errno
import json
import socket
import struct
import sys

UDP_SEGMENT = 103
IPV6_RECVERR = 25

plan = json.loads(sys.argv[1])


def opened(port):
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    # Errors come at the next call, although the socket is not connected.
    made.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
    made.bind(("::", port))
    return made


def forged(source, to, port, data, checksum):
    """A UDP packet with this checksum."""
    udp = struct.pack("!HHHH", port, to[1], 8 + len(data), checksum) + data
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, to[0])
    return struct.pack("!IHBB", 6 << 28, len(udp), socket.IPPROTO_UDP, 64) + ends + udp


def send_forged(to, data, port, checksum):
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.connect((to[0], 9))
        source = probe.getsockname()[0]
    raw.sendto(forged(source, to, port, data, checksum), (to[0], 0))


sockets = [opened(port) for port in plan.get("ports", [0] * plan.get("sockets", 1))]


def step(socket_number=0, to=None, send=None, fill=0, segment=0, wait=20, hear=False, collect=0, hops=0, tclass=0, forge=None):
    used = sockets[socket_number]
    used.settimeout(wait or None)
    sent = None
    try:
        if not hear:
            data = send.encode()
            data += bytes(number % 251 for number in range(len(data), fill))
            sent = data
            if forge is not None:
                send_forged(to, data, used.getsockname()[1], forge)
                return {}
            control = [(socket.IPPROTO_UDP, UDP_SEGMENT, segment.to_bytes(2, sys.byteorder))] if segment else []
            if hops:
                control.append((socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, hops.to_bytes(4, sys.byteorder)))
            if tclass:
                control.append((socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tclass.to_bytes(4, sys.byteorder)))
            used.sendmsg([data], control, 0, (to[0], to[1]))
        if not wait:
            return {}
        data, messages, _, sender = used.recvmsg(1 << 16, 256)
        marks = {kind: int.from_bytes(value[:4], sys.byteorder) for _, kind, value in messages}
        datagrams = 1
        while len(data) < collect:
            data += used.recv(1 << 16)
            datagrams += 1
        text = data.decode() if len(data) < 200 else data[:20].decode(errors="replace")
        sound = all(octet == number % 251 for number, octet in enumerate(data)) if len(data) >= 200 else True
        return {"from": [sender[0], sender[1]], "data": text, "length": len(data), "datagrams": datagrams, "sound": sound,
                "same": data == sent, "hops": marks.get(socket.IPV6_HOPLIMIT), "tclass": marks.get(socket.IPV6_TCLASS)}
    except TimeoutError:
        return {"silent": True}
    except OSError as error:
        return {"error": errno.errorcode.get(error.errno, str(error))}


answers = []
for each in plan["steps"]:
    socket_number = each.pop("socket", 0)
    # A step may use an answer: "$0.port" is the port that answer 0 named.
    to = each.pop("to", None)
    if to and isinstance(to[1], str):
        to = [to[0], int(answers[int(to[1][1:])]["data"].split()[1])]
    answers.append(step(socket_number, to, **each))
print(json.dumps(answers))

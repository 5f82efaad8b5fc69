"""Answers datagrams by their first word, on several addresses and ports.

    python3 udp-server.py ADDRESS PORT [ADDRESS PORT ...]

"who" is answered with the sender's address and port, as this server sees them
"echo" with the datagram itself
"size N" with N octets
"other" with the datagram, from another port of the same address
"elsewhere" with the datagram, from the last address, which the sender has not sent to
"burst N SIZE" with N octets in datagrams of SIZE, which the kernel cuts (UDP_SEGMENT)
"keep" with nothing, until another sender asks to "wake" this one
"marks" with TTL and type of service of the datagram; the answer has TTL 33 and type of service 3 (congestion experienced)
"unsummed" with the datagram, which has no checksum then
"damaged" with the datagram, whose checksum is wrong then
"heard" with the number of datagrams so far that say "forged"
"told" with the errors that this server got: type, code and number, once there is one
"count N" waits until N octets came after this datagram from the same sender, and tells how many datagrams they were
"""

import errno
import select
import selectors
import socket
import struct
import sys

UDP_SEGMENT = 103
IP_MTU_DISCOVER, IP_PMTUDISC_WANT, IP_PMTUDISC_PROBE = 10, 1, 3
IP_RECVERR = 11
IP_RECVTTL = 12

places = list(zip(sys.argv[1::2], map(int, sys.argv[2::2])))
selector = selectors.DefaultSelector()
sockets = []
for place in places:
    served = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    served.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    served.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    served.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
    served.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    served.bind(place)
    served.setblocking(False)
    selector.register(served, selectors.EVENT_READ)
    sockets.append(served)
print("ready", flush=True)

counting = {}
kept = []
# The errors of each socket, and those who wait for some.
errors = {served: [] for served in sockets}
waiting = {served: [] for served in sockets}
heard = 0


def say(by, data, to, control=()):
    """Sends a datagram. Errors of earlier ones, to any receiver, come up once each instead: "told" reads them."""
    for _ in range(100):
        try:
            return by.sendmsg([data], control, 0, to)
        except BlockingIOError:
            select.select([], [by], [])
        except OSError as error:
            # A datagram was too long for its path, or its port is closed.
            if error.errno not in (errno.EMSGSIZE, errno.ECONNREFUSED):
                raise


def take_errors(served):
    """Takes the ICMP errors that are there: a socket with one counts as ready to read."""
    while True:
        try:
            _, messages, _, _ = served.recvmsg(1, 512, socket.MSG_ERRQUEUE)
        except BlockingIOError:
            return
        # struct sock_extended_err: errno, origin, type, code, padding, info, data.
        for _, kind, data in messages:
            if kind == IP_RECVERR:
                kind, code, info = struct.unpack_from("=xxxxxBBxI", data)
                errors[served].append(f"{kind}/{code}={info}")


def tell(served):
    """Answers those who wait for errors, once there are some."""
    while errors[served] and waiting[served]:
        say(served, " ".join(errors[served]).encode(), waiting[served].pop(0))
        errors[served].clear()


def checksum(octets):
    """The sum of the Internet (RFC 1071)."""
    octets += bytes(len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def say_with(chosen, by, data, to):
    """Sends a datagram with the checksum that `chosen` makes of the right one."""
    address, port = by.getsockname()
    length = 8 + len(data)
    udp = struct.pack("!HHHH", port, to[1], length, 0) + data
    ends = socket.inet_aton(address) + socket.inet_aton(to[0])
    right = checksum(ends + struct.pack("!HH", socket.IPPROTO_UDP, length) + udp)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        raw.bind((address, 0))
        raw.sendto(udp[:6] + struct.pack("!H", chosen(right)) + data, (to[0], 0))


def answer(served, data, messages, sender):
    global heard
    if sender in counting:
        wanted, octets, datagrams = counting[sender]
        octets, datagrams = octets + len(data), datagrams + 1
        counting[sender] = wanted, octets, datagrams
        if octets >= wanted:
            del counting[sender]
            say(served, f"{datagrams}".encode(), sender)
        return
    word, _, rest = data.partition(b" ")
    if word == b"who":
        say(served, f"{sender[0]} {sender[1]}".encode(), sender)
    elif word == b"echo":
        say(served, data, sender)
    elif word == b"size":
        say(served, bytes(number % 251 for number in range(int(rest))), sender)
    elif word == b"burst":
        octets, size = map(int, rest.split())
        data = bytes(number % 251 for number in range(octets))
        control = [(socket.IPPROTO_UDP, UDP_SEGMENT, size.to_bytes(2, sys.byteorder))]
        # The kernel refuses to cut datagrams beyond a path MTU that it has learnt, unless the socket ignores those.
        served.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
        say(served, data, sender, control)
        served.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT)
    elif word == b"other":
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind((served.getsockname()[0], 0))
        say(other, data, sender)
    elif word == b"elsewhere":
        say(sockets[-1], data, sender)
    elif word == b"keep":
        kept.append(sender)
    elif word == b"wake":
        say(served, b"late", kept.pop())
        say(served, b"woken", sender)
    elif word == b"marks":
        marks = {kind: value[0] for _, kind, value in messages}
        control = [(socket.IPPROTO_IP, kind, struct.pack("=i", value)) for kind, value in ((socket.IP_TTL, 33), (socket.IP_TOS, 3))]
        say(served, f"{marks[socket.IP_TTL]} {marks[socket.IP_TOS]}".encode(), sender, control)
    elif word == b"unsummed":
        say_with(lambda right: 0, served, data, sender)
    elif word == b"damaged":
        # 0 would mean that there is none.
        say_with(lambda right: right ^ 0x5555 or 0x0001, served, data, sender)
    elif word == b"forged":
        heard += 1
    elif word == b"heard":
        say(served, f"{heard}".encode(), sender)
    elif word == b"told":
        waiting[served].append(sender)
    elif word == b"count":
        counting[sender] = int(rest), 0, 0
        say(served, b"counting", sender)


while True:
    for key, _ in selector.select():
        served = key.fileobj
        take_errors(served)
        try:
            data, messages, _, sender = served.recvmsg(1 << 16, 256)
        except OSError:
            # There is none, or an error of an earlier datagram comes up.
            pass
        else:
            answer(served, data, messages, sender)
        tell(served)

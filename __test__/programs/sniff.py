"""Prints the type of service and the payload's length of every IPv4 packet that arrives for a TCP port.

usage: sniff.py DEVICE PORT

tcpdump insists on changing to another user, which a user namespace may lack.
"""

import socket
import sys

ETH_P_IP = 0x0800
PACKET_OUTGOING = 4


def main() -> None:
    device, port = sys.argv[1], int(sys.argv[2])
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    packets.bind((device, ETH_P_IP))
    print("sniffing", flush=True)
    while True:
        packet, address = packets.recvfrom(65536)
        header = (packet[0] & 0x0F) * 4
        segment = packet[header : int.from_bytes(packet[2:4], "big")]
        if address[2] == PACKET_OUTGOING or packet[9] != socket.IPPROTO_TCP:
            continue
        if int.from_bytes(segment[2:4], "big") != port:
            continue
        payload = len(segment) - (segment[12] >> 4) * 4
        print(f"tos {packet[1]:#x} length {payload}", flush=True)


main()

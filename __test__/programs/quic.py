"""A server and a client of QUIC (RFC 9000) by aioquic: the server sends each stream back when the client has ended it.

    python3 quic.py serve ADDRESS PORT
    python3 quic.py echo ADDRESS PORT STREAMS OCTETS

The client sends that many octets on each of several streams at once, and prints as JSON how many came back, whether they are
the same, and whether the connection changed its local port on the way.
"""

import asyncio
import hashlib
import json
import ssl
import sys
from datetime import datetime, timedelta, timezone

from aioquic.asyncio import connect, serve
from aioquic.quic.configuration import QuicConfiguration
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PROTOCOL = "echo"


def certified():
    """The settings of a server, with a certificate of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    now = datetime.now(timezone.utc)
    certificate = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    certificate = certificate.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    settings = QuicConfiguration(is_client=False, alpn_protocols=[PROTOCOL])
    settings.certificate, settings.private_key = certificate.sign(key, hashes.SHA256()), key
    return settings


async def send_back(reader, writer):
    writer.write(await reader.read())
    writer.write_eof()


async def serve_at(address, port):
    tasks = set()

    def begin(reader, writer):
        task = asyncio.ensure_future(send_back(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    await serve(address, port, configuration=certified(), stream_handler=begin)
    print("ready", flush=True)
    await asyncio.Event().wait()


def octets_of(number, length):
    """Octets that differ from stream to stream, and at every place."""
    return hashlib.shake_256(str(number).encode()).digest(length)


async def exchange(connection, number, length):
    reader, writer = await connection.create_stream()
    sent = octets_of(number, length)
    writer.write(sent)
    writer.write_eof()
    return await reader.read() == sent


async def echo(address, port, streams, length):
    settings = QuicConfiguration(is_client=True, alpn_protocols=[PROTOCOL], verify_mode=ssl.CERT_NONE)
    async with connect(address, port, configuration=settings) as connection:
        first = await asyncio.gather(*(exchange(connection, number, length) for number in range(streams)))
        # A mobile client gets another port. The connection goes on (RFC 9000 section 9).
        before = connection._transport.get_extra_info("sockname")[1]
        loop = asyncio.get_running_loop()
        old = connection._transport
        moved, _ = await loop.create_datagram_endpoint(lambda: Moved(connection), local_addr=("::", 0))
        connection._transport = moved
        second = await exchange(connection, streams, length)
        after = moved.get_extra_info("sockname")[1]
        old.abort()
    print(json.dumps({"same": [*first, second], "moved": before != after}))


class Moved(asyncio.DatagramProtocol):
    """Hands what comes to another port of the client to its connection."""

    def __init__(self, connection):
        self.connection = connection

    def datagram_received(self, data, address):
        self.connection.datagram_received(data, address)


if sys.argv[1] == "serve":
    asyncio.run(serve_at(sys.argv[2], int(sys.argv[3])))
else:
    asyncio.run(echo(sys.argv[2], *map(int, sys.argv[3:])))

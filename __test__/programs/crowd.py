"""Connects many times and leaves again, and prints the number of connections made.

usage: crowd.py ADDRESS PORT COUNT half|silent|reset

half: each client sends a little, ends its side, and waits for the end of the other.
silent: each closes without sending a byte.
reset: each resets as soon as it is connected.
"""

import asyncio
import contextlib
import socket
import struct
import sys


async def visit(address: str, port: int, manner: str, places: asyncio.Semaphore) -> int:
    async with places:
        loop = asyncio.get_running_loop()
        client = socket.socket(socket.AF_INET6)
        client.setblocking(False)
        try:
            await loop.sock_connect(client, (address, port))
        except OSError:
            client.close()
            return 0
        # A server may reset its client.
        with contextlib.suppress(OSError):
            if manner == "half":
                await loop.sock_sendall(client, b"hello\r\n\r\n")
                client.shutdown(socket.SHUT_WR)
                while await loop.sock_recv(client, 65536):
                    pass
            if manner == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        return 1


async def main() -> None:
    address, port, count, manner = sys.argv[1:]
    # Limits concurrent connections to fewer than any queue holds.
    places = asyncio.Semaphore(50)
    visits = [visit(address, int(port), manner, places) for _ in range(int(count))]
    print(sum(await asyncio.gather(*visits)))


asyncio.run(main())

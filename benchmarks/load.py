"""
Asks a server the same thing over and over: ``python -m benchmarks.load PORT CONNECTIONS SECONDS < request``.

It shares the machine with the server, so it does as little as a client can: bytes made once, connections kept open,
answers recognised by their length.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from typing import cast

_ANSWER_BYTES = 65536


class RefusedError(Exception):
    """The server answered with something else than 200."""


def load(port: int, request: bytes, *, connections: int, seconds: float) -> dict[str, float]:
    """
    Return how many requests were answered in about *seconds*, and what answering them took of this process.

    Raises:
        RefusedError: If one was not answered with 200, or at another length than the first.
    """
    opened = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(connections)]
    with selectors.DefaultSelector() as selector:
        # One round by hand: it warms the connections up, and tells how long an answer is.
        length = max(_first_answer(connection, request) for connection in opened)
        received = dict.fromkeys(opened, 0)
        answered = 0
        began, busy = time.perf_counter(), time.process_time()
        for connection in opened:
            selector.register(connection, selectors.EVENT_READ)
            connection.sendall(request)
        while (now := time.perf_counter()) - began < seconds:
            for ready, _ in selector.select(timeout=seconds):
                connection = cast("socket.socket", ready.fileobj)
                data = connection.recv(_ANSWER_BYTES)
                if received[connection] == 0 and not data.startswith(b"HTTP/1.1 200"):
                    raise RefusedError(data[:64])
                received[connection] += len(data)
                if received[connection] > length or not data:
                    raise RefusedError(f"An answer is {received[connection]} bytes long, the first was {length}.")
                if received[connection] == length:
                    answered += 1
                    received[connection] = 0
                    connection.sendall(request)
        busy = time.process_time() - busy
    for connection in opened:
        connection.close()
    return {"requests": answered, "seconds": now - began, "busy_seconds": busy}


def _first_answer(connection: socket.socket, request: bytes) -> int:
    connection.sendall(request)
    data = b""
    # Without a middleware that counts it, a body comes in chunks; the last one is empty.
    while not data.endswith(b"\r\n0\r\n\r\n"):
        more = connection.recv(_ANSWER_BYTES)
        data += more
        if not more or not data.startswith(b"HTTP/1.1 200"):
            raise RefusedError(data)
    return len(data)


def main() -> None:
    """Load the server that the arguments name with the request on standard input."""
    port, connections, seconds = sys.argv[1:]
    # Text that was read keeps no carriage returns.
    request = sys.stdin.buffer.read()
    print(json.dumps(load(int(port), request, connections=int(connections), seconds=float(seconds))))


if __name__ == "__main__":
    main()

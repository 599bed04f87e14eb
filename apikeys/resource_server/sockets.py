"""Sockets whose every step ends in time: one deadline for all of it together, not one for each byte."""

from __future__ import annotations

import io
import select
import socket
import threading
import time
from contextlib import suppress
from ipaddress import ip_address
from typing import Any


def seconds_left(until: float) -> float:
    """
    Return how many seconds there are until *until*, on the clock of ``time.monotonic``.

    Raises:
        TimeoutError: If there are none.
    """
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left


def connect(host: str, port: int, *, until: float) -> socket.socket:
    """
    Return a connection to *host* that was made before *until*.

    Raises:
        OSError: If there is none: a TimeoutError where that took too long.
    """
    addresses = _addresses(host, port, until=until)
    failure: OSError = OSError(f"{host} has no address")
    for index, (family, kind, protocol, _name, address) in enumerate(addresses):
        made = None
        try:
            # Names resolve to families of addresses that this host may lack: then there is not even a socket.
            made = socket.socket(family, kind, protocol)
            # An address that swallows everything must leave time for the next one.
            made.settimeout(seconds_left(until) / (len(addresses) - index))
            made.connect(address)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            if made is not None:
                made.close()
            failure = error
        else:
            return made
    raise failure


def is_quiet(connection: socket.socket) -> bool:
    """
    Whether nothing came in on *connection*, which is idle.

    What did is its end, or something that nobody asked for, which must never pass for the answer to the next request.
    """
    if getattr(connection, "pending", lambda: 0)():
        return False  # TLS has decrypted it already
    if not hasattr(select, "poll"):  # Windows
        return not select.select([connection], [], [], 0)[0]
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)


class TimedReader(io.RawIOBase):
    """
    Reads a socket until *until*, however slowly its bytes come.

    The time-out of a socket begins anew with each byte, so that a server which sends one now and then holds its
    reader for ever. More than *most_bytes* are an OSError, whatever they are said to be.
    """

    def __init__(self, raw: Any, connection: socket.socket, *, until: float, most_bytes: int) -> None:
        super().__init__()
        self._raw = raw
        self._connection = connection
        self._until = until
        self._bytes_left = most_bytes
        #: Whether anything came.
        self.has_received = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._connection.settimeout(seconds_left(self._until))
        count: int | None = self._raw.readinto(buffer)
        self.has_received = self.has_received or bool(count)
        self._bytes_left -= count or 0
        if self._bytes_left < 0:
            raise OSError("too much came")
        return count

    def close(self) -> None:
        # The socket itself stays open until its last reader is closed.
        self._raw.close()
        super().close()


def _addresses(host: str, port: int, *, until: float) -> list[Any]:
    with suppress(ValueError):
        ip_address(host)
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    # The system's resolver has time-outs of its own, longer than anybody waits here, and no way to shorten them.
    # Connections are kept, so that this is rare; a thread that is left behind ends when the resolver gives up.
    found: list[list[Any]] = []
    failures: list[OSError] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=look_up, name="apikeys-resolver", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError("there is no thread to resolve names in") from error
    thread.join(seconds_left(until))
    if failures:
        raise failures[0]
    if not found:
        raise TimeoutError(f"{host} was not resolved in time")
    return found[0]

"""A server that stands in for the authority of an API server, and answers, or fails to, as a test says."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that came."""

    method: str
    #: With its query, below ``PATH``.
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode(), keep_blank_values=True)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    #: Instead of all that: these bytes, and the connection is closed behind them.
    raw: bytes | None = None
    #: Says nothing until the test is over.
    stalls: bool = False
    #: Sends ``raw`` a byte at a time, so far apart.
    drips_every: float = 0
    #: Closes the connection after the answer without saying so before.
    closes: bool = False


Script = Reply | Callable[[Asked], Reply]

#: Where the endpoints of the authority are.
PATH = "/authority/"


def as_json(document: Any, **changes: Any) -> Reply:
    """Return the answer that is *document*."""
    return Reply(body=json.dumps(document).encode(), headers={"Content-Type": "application/json"}, **changes)


class StandIn:
    """The authority of a test. ``answers`` is by path, without query."""

    def __init__(self) -> None:
        self.answers: dict[str, Script] = {}
        self.asked: list[Asked] = []
        self.is_over = threading.Event()
        self.connections: list[socket.socket] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stand_in = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    def asked_for(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if urlsplit(asked.path).path == path]

    def close_connections(self) -> None:
        """Close what clients keep open, as a server does that has waited long enough."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take no more requests: whoever connects is refused."""
        if self.is_over.is_set():
            return
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()
        self.close_connections()
        self._thread.join(timeout=10)
        self._server.join()


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Give an authority that knows nothing yet: what is asked for is not found."""
    authority = StandIn()
    try:
        yield authority
    finally:
        authority.close()


class _Server(ThreadingHTTPServer):
    stand_in: StandIn
    daemon_threads = False
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *args: Any) -> None:
        self.threads: list[threading.Thread] = []
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.stand_in.connections.append(request)
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address))
        self.threads.append(thread)
        thread.start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(timeout=10)
            assert not thread.is_alive()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Header and body in one piece, or each answer waits for the acknowledgement of its first half.
    wbufsize = -1
    server: _Server

    def handle(self) -> None:
        with suppress(OSError):
            super().handle()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.removeprefix(PATH)
        asked = Asked(method=self.command, path=path, headers=dict(self.headers.items()), body=body)
        stand_in = self.server.stand_in
        stand_in.asked.append(asked)
        script = stand_in.answers.get(urlsplit(path).path, Reply(status=404))
        reply = script(asked) if callable(script) else script
        if reply.stalls:
            stand_in.is_over.wait(timeout=30)
            self.close_connection = True
        elif reply.drips_every:
            self._drip(reply, stand_in.is_over)
        elif reply.raw is not None:
            self.wfile.write(reply.raw)
            self.close_connection = True
        else:
            self._write(reply)

    def _write(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)
        self.close_connection = reply.closes

    def _drip(self, reply: Reply, is_over: threading.Event) -> None:
        self.close_connection = True
        for byte in reply.raw or b"":
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if is_over.wait(timeout=reply.drips_every):
                return

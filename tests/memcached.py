"""As much of a Memcached as counting needs, in a thread. It forgets nothing by itself."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Connection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        for line in self.rfile:
            command, *words = line.split()
            block = self.rfile.read(int(words[3]) + 2)[:-2] if command in {b"set", b"add"} else b""
            with server.lock:
                answer = self._answer(server.entries, command, words, block)
            if words[-1] != b"noreply":
                self.wfile.write(answer + b"\r\n")

    @staticmethod
    def _answer(entries: dict[bytes, bytes], command: bytes, words: list[bytes], block: bytes) -> bytes:
        name = words[0]
        if command == b"get":
            known = [(key, entries[key]) for key in words if key in entries]
            return b"".join(b"VALUE %s 0 %d\r\n%s\r\n" % (key, len(kept), kept) for key, kept in known) + b"END"
        if command == b"set" or (command == b"add" and name not in entries):
            entries[name] = block
            return b"STORED"
        if command == b"add":
            return b"NOT_STORED"
        if name not in entries:
            return b"NOT_FOUND"
        if command == b"delete":
            del entries[name]
            return b"DELETED"
        amount = int(words[1])
        entries[name] = b"%d" % max(0, int(entries[name]) + (amount if command == b"incr" else -amount))
        return entries[name]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.entries: dict[bytes, bytes] = {}
        self.lock = threading.Lock()


@contextmanager
def memcached() -> Iterator[str]:
    """Give the address of one."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(timeout=10)

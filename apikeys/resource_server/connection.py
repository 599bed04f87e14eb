"""
Requests to the authority: to its one host, over connections that are kept, and within a deadline.

Nothing that the authority answers leads anywhere else: a redirect is an answer as any other, proxies of the environment
are not asked, cookies are not kept, nothing is unpacked. A request waits ``AUTHORITY_CONNECT_TIMEOUT`` and
``AUTHORITY_READ_TIMEOUT`` at most, together, whatever comes.
"""

from __future__ import annotations

import http.client
import io
import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.views.decorators.debug import sensitive_variables

from ..conf import settings
from ..core.bearer import is_token68
from ..core.forks import after_fork
from ..core.places import Place, place_of
from . import sockets
from .sockets import TimedReader

#: Longer answers are none.
MOST_BYTES = 64 * 1024
#: Firewalls forget idle connections without a word, and a request on such a one would wait in vain.
_LONGEST_IDLE_SECONDS = 30.0
_MOST_IDLE = 32
_MOST_HEADER_BYTES = 64 * 1024
_MOST_DIGITS = 10


class NoAnswerError(Exception):
    """The authority can't be reached, or does not answer in time, or not to the end. The text says how."""


class StalledError(NoAnswerError):
    """It was reached, and did not answer in time."""


class TooLongError(NoAnswerError):
    """It answers with more than anybody reads."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the authority answered, whatever its status."""

    status: int
    body: bytes = field(repr=False)
    #: The seconds of ``Retry-After``; None for none, a date, or more than ten digits.
    retry_after_seconds: int | None = None


@sensitive_variables()
def get(path: str, *, with_key: bool = False, most_bytes: int = MOST_BYTES) -> Answer:
    """
    Return the authority's answer to GET *path*, below ``AUTHORITY_URL``.

    Raises:
        NoAnswerError: If there is none in time, or a longer one than *most_bytes*.
        ImproperlyConfigured: If the settings name no authority that may be asked.
    """
    headers = {
        "Accept": "application/json, application/jwt",
        # Caches between may keep what anybody may keep; what is looked for here may be newer.
        "Cache-Control": "no-cache",
        **(_key_header() if with_key else {}),
    }
    return _ask("GET", path, body=None, headers=headers, most_bytes=most_bytes)


@sensitive_variables()
def post(path: str, *, form: Mapping[str, str], most_bytes: int = MOST_BYTES) -> Answer:
    """
    Return the authority's answer to *form*, posted to *path* with this server's key. It may be posted twice.

    Raises:
        NoAnswerError: If there is none in time, or a longer one than *most_bytes*.
        ImproperlyConfigured: If the settings name no authority that may be asked, or no key.
    """
    form_type = "application/x-www-form-urlencoded"
    headers = {"Accept": "application/json", "Content-Type": form_type, **_key_header()}
    return _ask("POST", path, body=urlencode(form).encode(), headers=headers, most_bytes=most_bytes)


def longest_wait_seconds() -> float:
    """Return how long one request to the authority takes at most."""
    return (settings.AUTHORITY_CONNECT_TIMEOUT + settings.AUTHORITY_READ_TIMEOUT).total_seconds()


class _Connection(http.client.HTTPConnection):
    """A connection to one place. ``connect_until``, ``read_until`` and ``most_bytes`` are set for each request."""

    def __init__(self, place: Place) -> None:
        # Which port the Host field leaves out.
        self.default_port = place.default_port
        super().__init__(place.host, place.port)
        self.place = place
        self.connect_until = self.read_until = 0.0
        self.idle_since = 0.0
        self.most_bytes = MOST_BYTES
        self._reader: TimedReader | None = None

    @property
    def has_received(self) -> bool:
        """Whether anything came back for the latest request."""
        return self._reader is not None and self._reader.has_received

    def connect(self) -> None:
        made = sockets.connect(self.host, self.port, until=self.connect_until)
        if self.place.is_secure:
            try:
                # The handshake as a whole ends in time; the name in the certificate must be that of the host.
                made.settimeout(sockets.seconds_left(self.connect_until))
                made = _tls_context().wrap_socket(made, server_hostname=self.host)
            except OSError:
                made.close()
                raise
        self.sock = made

    def send(self, data: Any) -> None:
        # A time-out of sending is that of all of it.
        self.sock.settimeout(sockets.seconds_left(self.read_until))
        super().send(data)

    def getresponse(self) -> http.client.HTTPResponse:
        self.response_class = partial(_Response, connection=self)  # type: ignore[assignment]  # called with a socket
        return super().getresponse()

    def timed(self, buffered: Any) -> io.BufferedReader:
        """Return what reads *buffered*, until ``read_until``, and not much more than ``most_bytes``."""
        # A body in pieces has a frame around each. Of what these say of their length http.client believes all.
        most_bytes = 2 * self.most_bytes + _MOST_HEADER_BYTES
        self._reader = TimedReader(buffered.detach(), self.sock, until=self.read_until, most_bytes=most_bytes)
        return io.BufferedReader(self._reader)

    def ask(self, method: str, path: str, *, body: bytes | None, headers: Mapping[str, str], most_bytes: int) -> Answer:
        """Return the answer to one request. Afterwards ``sock`` is None unless another one may follow."""
        self._reader = None
        if self.sock is None:
            self.connect()
        self.read_until = min(self.read_until, time.monotonic() + settings.AUTHORITY_READ_TIMEOUT.total_seconds())
        self.request(method, self.place.path + path, body=body, headers=dict(headers))
        self.most_bytes = most_bytes
        with self.getresponse() as response:
            if response.status < HTTPStatus.OK:
                # The real one is still to come, and must never pass for the answer to the next request.
                raise NoAnswerError(f"an interim answer, {response.status}")
            found = response.read(most_bytes + 1)
            if len(found) > most_bytes:
                raise TooLongError("the answer is too long")
            if response.length:
                raise NoAnswerError("the answer is cut off")
            if not response.isclosed():
                self.close()  # there is more of it
        return Answer(
            status=response.status, body=found, retry_after_seconds=_seconds_in(response.headers.get("Retry-After"))
        )


class _Response(http.client.HTTPResponse):
    """Reads its connection until the deadline of that."""

    def __init__(self, sock: Any, *args: Any, connection: _Connection, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = connection.timed(self.fp)


class _IdleConnections:
    """The connections that wait for another request, the latest first. Safe among threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connections: deque[_Connection] = deque()

    def take(self, place: Place) -> _Connection | None:
        """Return one to *place* that is still good, as far as this side can tell; None for none."""
        while True:
            with self._lock:
                if not self._connections:
                    return None
                connection = self._connections.pop()
            is_recent = time.monotonic() - connection.idle_since < _LONGEST_IDLE_SECONDS
            if is_recent and connection.place == place and sockets.is_quiet(connection.sock):
                return connection
            connection.close()

    def keep(self, connection: _Connection) -> None:
        """Keep *connection* for another request; close it where there are enough."""
        connection.idle_since = time.monotonic()
        with self._lock:
            if len(self._connections) < _MOST_IDLE:
                self._connections.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            left, self._connections = self._connections, deque()
        for connection in left:
            connection.close()

    def abandon(self) -> None:
        """Close all of them where nobody else can use them any more, and the lock may be held for ever."""
        for connection in self._connections:
            connection.close()


_idle = _IdleConnections()


@sensitive_variables()
def _ask(method: str, path: str, *, body: bytes | None, headers: Mapping[str, str], most_bytes: int) -> Answer:
    place = _read_place(settings.AUTHORITY_URL, may_be_plain=django_settings.DEBUG)
    ends_at = time.monotonic() + longest_wait_seconds()
    headers = {"User-Agent": "django-apikeys", **headers}
    kept = _idle.take(place)
    for connection in [_Connection(place)] if kept is None else [kept, _Connection(place)]:
        connect_until = time.monotonic() + settings.AUTHORITY_CONNECT_TIMEOUT.total_seconds()
        connection.connect_until, connection.read_until = min(connect_until, ends_at), ends_at
        try:
            answer = connection.ask(method, path, body=body, headers=headers, most_bytes=most_bytes)
        except (OSError, ValueError, http.client.HTTPException) as error:
            # A ValueError is http.client's, of a length that is none.
            is_connected = connection.sock is not None
            connection.close()
            # The authority may close a connection just when it is used again. Nothing came back, so that nothing can
            # be mistaken, and asking again changes nothing there.
            if connection is kept and not connection.has_received and not isinstance(error, TimeoutError):
                continue
            # The text of an OSError is the system's; others quote what came.
            kind = StalledError if is_connected and isinstance(error, TimeoutError) else NoAnswerError
            raise kind(str(error) if isinstance(error, OSError) else type(error).__name__) from error
        except BaseException:
            # What ends a worker must not leave half an answer for the next request.
            connection.close()
            raise
        if connection.sock is not None:
            _idle.keep(connection)
        return answer
    raise AssertionError  # a fresh connection answers or raises


@sensitive_variables()
def _key_header() -> dict[str, str]:
    key = settings.AUTHORITY_KEY
    if not is_token68(key):
        raise ImproperlyConfigured("APIKEYS['AUTHORITY_KEY'] must be the API key of this server.")
    return {"Authorization": f"Bearer {key}"}


@lru_cache(maxsize=4)
def _read_place(address: str, *, may_be_plain: bool) -> Place:
    place = place_of(address)
    if place is None:
        raise ImproperlyConfigured("APIKEYS['AUTHORITY_URL'] must be an address such as 'https://auth.example.com/'.")
    if not (place.is_secure or may_be_plain):
        raise ImproperlyConfigured("APIKEYS['AUTHORITY_URL'] must begin with https:// outside of DEBUG.")
    return place


@lru_cache(maxsize=1)
def _tls_context() -> ssl.SSLContext:
    # Reading the system's certificates takes as long as hundreds of requests.
    return ssl.create_default_context()


def _seconds_in(value: str | None) -> int | None:
    is_number = value is not None and len(value) <= _MOST_DIGITS and value.isascii() and value.isdigit()
    return int(value) if value is not None and is_number else None


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in {"APIKEYS", "DEBUG"}:
        _idle.close()
        _tls_context.cache_clear()


def _start_anew() -> None:
    global _idle  # after a fork another thread may have held its lock
    left, _idle = _idle, _IdleConnections()
    # The parent goes on with these. Closing the child's side of them says nothing to the authority.
    left.abandon()


after_fork(_start_anew)

setting_changed.connect(_forget, dispatch_uid="apikeys.resource_server.connection")

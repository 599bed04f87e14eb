"""One worker of ``hammering``: ``python -m apikeys.testing.worker DESCRIPTOR``, its end of a pipe."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from http.client import HTTPConnection, HTTPSConnection
from io import BytesIO
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import urlsplit

from .rounds import Answer, Failed, Finish, GoOn, Ready, Round, Setup

#: Nobody may be left who tells it to stop.
_LONGEST_ROUND_SECONDS = 600
_HTTP_TIMEOUT_SECONDS = 30

#: Sends one request, waits until all is done that it causes here, and returns status and body.
Send = Callable[[], tuple[int, bytes]]


def main(descriptor: int) -> None:
    """Set Django up as the test's process has it, and do rounds until that process hangs up."""
    # Whoever is interrupted at the keyboard is the test, which then hangs up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel: Connection[Any, Any] = Connection(descriptor)
    try:
        _set_up(channel.recv())
        channel.send(Ready(clock=time.monotonic()))
        _do_rounds(channel)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:  # noqa: BLE001  # whatever it was, the test says it, and fails
        channel.send(Failed(why=f"{type(error).__name__}: {error}"))


def _set_up(setup: Setup) -> None:
    import django  # noqa: PLC0415  # as what is below: the settings are not to be read before they are named

    django.setup()
    from django.core.signals import got_request_exception  # noqa: PLC0415
    from django.db import connections  # noqa: PLC0415
    from django.test.utils import setup_test_environment  # noqa: PLC0415

    # No mail leaves, and "testserver" is a host.
    setup_test_environment()
    got_request_exception.connect(_tell_fault, dispatch_uid=__name__)
    for alias, name in setup.databases.items():
        connections[alias].settings_dict["NAME"] = name


def _tell_fault(**kwargs: object) -> None:
    from django.core.signals import got_request_exception  # noqa: PLC0415

    traceback.print_exc()
    # The others, hundreds a second, are likely the same.
    got_request_exception.disconnect(dispatch_uid=__name__)


def _do_rounds(channel: Connection[Any, Any]) -> None:
    from . import counting_by_hand  # noqa: PLC0415

    # Between two rounds another test has the database, which no thread of this process may write into.
    with counting_by_hand():
        while True:
            _do_round(channel.recv(), channel)


def _do_round(wanted: Round, channel: Connection[Any, Any]) -> None:
    from django.test import override_settings  # noqa: PLC0415

    from .. import tag_secrets, usage  # noqa: PLC0415

    # Between two tests the tables were emptied, which no server lives to see.
    tag_secrets.forget_all()
    with override_settings(**wanted.settings):
        send = _over_http(wanted) if wanted.url.startswith(("http:", "https:")) else _through_wsgi(wanted)
        answers = _hammer(send, channel)
        usage.flush()
        channel.send(answers)


def _hammer(send: Send, channel: Connection[Any, Any]) -> list[Answer]:
    """Tell the first answer at once, and return all of them when the round is over."""
    answers: list[Answer] = []
    heard: Finish | GoOn | None = None
    give_up_at = time.monotonic() + _LONGEST_ROUND_SECONDS
    done = 0
    while time.monotonic() < give_up_at:
        started_at = time.monotonic()
        status, body = send()
        answer = Answer(started_at=started_at, finished_at=time.monotonic(), status=status, code=_code(status, body))
        answers.append(answer)
        if heard is None:
            channel.send(answer)
            # A worker that runs ahead could use up a quota before a slow one has asked once.
            heard = channel.recv()
        elif isinstance(heard, GoOn) and channel.poll():
            heard = channel.recv()
        if isinstance(heard, Finish):
            done += started_at > heard.after
            if done >= heard.requests:
                return answers
    message = f"nobody ended the round in {_LONGEST_ROUND_SECONDS} s"
    raise TimeoutError(message)


def _through_wsgi(wanted: Round) -> Send:
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415

    application: Any = get_wsgi_application()
    address = urlsplit(wanted.url)
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in wanted.headers.items()}

    def send() -> tuple[int, bytes]:
        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": address.path,
            "QUERY_STRING": address.query,
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.url_scheme": "https",
            "wsgi.input": BytesIO(),
            "wsgi.errors": sys.stderr,
            **headers,
        }
        response = application(environ, lambda *_: None)
        try:
            return response.status_code, b"".join(response)
        finally:
            # After this the app notes when the key was used.
            response.close()

    return send


def _over_http(wanted: Round) -> Send:
    address = urlsplit(wanted.url)
    kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
    target = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"

    def send() -> tuple[int, bytes]:
        # A connection for each request, which reaches one of the server's processes after the other.
        connection = kind(address.netloc, timeout=_HTTP_TIMEOUT_SECONDS)
        try:
            connection.request("GET", target, headers=dict(wanted.headers))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    return send


def _code(status: int, body: bytes) -> str:
    if status < 400:
        return ""
    try:
        return str(json.loads(body).get("code", ""))
    except (AttributeError, ValueError):
        return ""


if __name__ == "__main__":
    # What a project prints goes where it can be seen, also while pytest reads standard output.
    os.dup2(2, 1)
    main(int(sys.argv[1]))

"""Requests through Django's own WSGI handler, as a server makes them, without the server."""

from __future__ import annotations

import gc
import io
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

_NOTHING = io.BytesIO()
_TEMPLATE: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/todos/",
    "QUERY_STRING": "",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "443",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "192.0.2.10",
    "HTTP_HOST": "localhost",
    "HTTP_ACCEPT": "application/json",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "https",
    "wsgi.input": _NOTHING,
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class UnexpectedAnswerError(Exception):
    """A contender answered with another status than its case expects, so its times mean nothing."""


class Sender:
    """Sends requests to *application* and times them."""

    def __init__(self, application: Application, *, expects: int, posts_to: str = "") -> None:
        self._application = application
        self._expects = f"{expects} "
        self._posts_to = posts_to

    def send(self, credentials: Sequence[str]) -> float:
        """
        Send one request with each of *credentials*, and return the seconds that all took.

        All of a request counts: the signals before it, its body, and what happens after its response. The garbage
        collector runs before, never meanwhile.

        Raises:
            UnexpectedAnswerError: If one was answered otherwise than expected.
        """
        environs = [self._environ(credential) for credential in credentials]
        statuses: list[str] = []
        application = self._application

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            statuses.append(status)

        gc.collect()
        gc.disable()
        try:
            began = time.perf_counter()
            for environ in environs:
                response: Any = application(environ, start_response)
                for _ in response:
                    pass
                response.close()
            took = time.perf_counter() - began
        finally:
            gc.enable()
        unexpected = {status for status in statuses if not status.startswith(self._expects)}
        if unexpected or len(statuses) != len(environs):
            raise UnexpectedAnswerError(f"Expected {self._expects}, got {sorted(unexpected)}.")
        return took

    def _environ(self, credential: str) -> dict[str, Any]:
        if not self._posts_to:
            return {**_TEMPLATE, "HTTP_AUTHORIZATION": credential}
        authorization, _, form = credential.partition("\n")
        environ = {
            **_TEMPLATE,
            "REQUEST_METHOD": "POST",
            "PATH_INFO": self._posts_to,
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(form)),
            "wsgi.input": io.BytesIO(form.encode()),
        }
        return {**environ, "HTTP_AUTHORIZATION": authorization} if authorization else environ

"""
The project as servers serve it, on the tests' database, with usage counted.

``tests.usage_server:application`` and ``:asgi_application`` for servers; ``python -m tests.usage_server`` is a worker
without one that does what it reads: a number of requests, ``flush``,
``disconnect``, ``fork NUMBER``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import timedelta
from io import BytesIO
from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

#: Database, key and seconds between flushes, as JSON, because all of a server's processes read it.
VARIABLE = "APIKEYS_TEST_USAGE_SERVER"

_SEEN_AT_MOST_SO_LATE = timedelta(hours=1)


def set_up() -> dict[str, Any]:
    given: dict[str, Any] = json.loads(os.environ[VARIABLE])
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    settings.ALLOWED_HOSTS = ["*"]
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = ["apikeys.middleware.UsageMiddleware"]
    settings.APIKEYS = {
        **settings.APIKEYS,
        "MAX_STALENESS": _SEEN_AT_MOST_SO_LATE,
        "REQUIRE_HTTPS": False,
        "USAGE_FLUSH_INTERVAL": timedelta(seconds=given["seconds"]),
    }
    connection.settings_dict["NAME"] = given["database"]
    return given


def verified(request: HttpRequest) -> HttpResponse:
    import apikeys  # noqa: PLC0415  # once there are settings, as below
    from apikeys import limits  # noqa: PLC0415

    principal = apikeys.verify(request)
    if principal is None:
        return HttpResponse(status=401)
    limits.spend(principal)
    return HttpResponse()


urlpatterns = [path("", verified, name="verified")]


def work(given: dict[str, Any]) -> None:
    from apikeys import usage  # noqa: PLC0415

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for line in sys.stdin:
        command, _, number = line.strip().rpartition(" ")
        if number == "flush":
            usage.flush()
        elif number == "disconnect":
            connection.ensure_connection()
            connection.connection.close()
        elif command == "fork":
            # As servers do: two processes must not talk over one connection.
            connection.close()
            child = os.fork()
            if child == 0:
                answer_requests(int(number), key=given["key"])
                sys.exit(0)
            os.waitpid(child, 0)
        else:
            answer_requests(int(number), key=given["key"])
        sys.stdout.write("done\n")
        sys.stdout.flush()


def answer_requests(number: int, *, key: str) -> None:
    from apikeys.middleware import UsageMiddleware  # noqa: PLC0415

    # Without Django's handler, which would be most of the time of 40,000 requests.
    answer: Any = UsageMiddleware(verified)
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"Bearer {key}",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
    }
    for _ in range(number):
        assert answer(WSGIRequest(environ)).status_code == 200


_given = set_up() if VARIABLE in os.environ else {}

if __name__ == "__main__":
    work(_given)
elif _given:
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    from apikeys.asgi import flush_on_shutdown

    application = get_wsgi_application()
    asgi_application = flush_on_shutdown(get_asgi_application())

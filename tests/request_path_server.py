"""Another server process on the tests' database: ``python -m tests.request_path_server NAME``, an environ a line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, StringIO
from typing import Any


class OtherProcess:
    """A process that serves requests one after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def request(self, **environ: str) -> Any:
        """Return ``status``, ``code``, ``is_connected`` after the response, and what was ``logged`` for people."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(environ), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


@contextmanager
def other_process(database_name: str) -> Iterator[OtherProcess]:
    process = subprocess.Popen(  # noqa: S603  # this module, and a name of the tests' own
        [sys.executable, "-m", "tests.request_path_server", database_name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield OtherProcess(process)
        assert process.stdin is not None
        process.stdin.close()


def serve(database_name: str) -> None:
    import logging  # noqa: PLC0415

    import django  # noqa: PLC0415

    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from django.conf import settings  # noqa: PLC0415
    from django.core.handlers.wsgi import WSGIHandler  # noqa: PLC0415
    from django.db import connection  # noqa: PLC0415

    settings.ALLOWED_HOSTS = ["testserver"]
    connection.settings_dict["NAME"] = database_name
    logged = StringIO()
    logging.getLogger("apikeys").addHandler(logging.StreamHandler(logged))
    handler: Any = WSGIHandler()
    for line in sys.stdin:
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/apikeys/whoami/",
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "443",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.url_scheme": "https",
            "wsgi.input": BytesIO(),
            **json.loads(line),
        }
        response = handler(environ, lambda status, headers: None)
        body = json.loads(b"".join(response))
        response.close()
        answer = {
            "status": response.status_code,
            "code": body.get("code"),
            "is_connected": connection.connection is not None,
            "logged": logged.getvalue(),
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve(sys.argv[1])

"""gunicorn on this machine, in front of one contender."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .environment import Environment
from .processes import ROOT, WorkerFailedError

WORKERS = 2
THREADS = 4
_START_SECONDS = 60


@contextmanager
def serving(environment: Environment, *, port: int, certificate: Path | None = None) -> Iterator[None]:
    """
    Have the contender of *environment* answer at *port*; behind TLS where there is a *certificate*, with its key.

    Raises:
        WorkerFailedError: If it does not start.
    """
    words = [
        *(sys.executable, "-m", "gunicorn", "django.core.wsgi:get_wsgi_application()"),
        *("--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--keep-alive", "75"),
        *("--workers", str(WORKERS), "--threads", str(THREADS), "--log-level", "warning"),
    ]
    if certificate is not None:
        words += ["--certfile", str(certificate), "--keyfile", str(certificate)]
    with subprocess.Popen(words, cwd=ROOT, env=environment.for_process()) as process:  # noqa: S603  # our own words
        try:
            _await(process, port)
            yield
        finally:
            process.terminate()


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise WorkerFailedError("gunicorn did not start.") from None
            time.sleep(0.05)
        else:
            return

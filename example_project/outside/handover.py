"""What ``manage.py demo`` hands to a program: one line on its standard input, which then stays open."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from threading import Thread


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What Pied Piper Todo knows one app by."""

    client_id: str
    #: None for an app that can keep no secret.
    client_secret: str | None = field(default=None, repr=False)
    #: Says which app calls, where a token says for whom.
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Handover:
    """
    Where to listen, where Pied Piper Todo is, and the apps of the program by name.

    Neither a file nor the environment, both of which outlive the line and are copied by others, holds the secrets.
    """

    port: int
    #: The address of Pied Piper Todo, without a slash at its end.
    site: str
    apps: dict[str, Registration]

    @classmethod
    def from_line(cls, line: str) -> Handover:
        """
        Return what ``as_line`` made into *line*.

        Raises:
            ValueError: If it is none.
        """
        given = json.loads(line)
        apps = {name: Registration(**registration) for name, registration in given["apps"].items()}
        return cls(port=given["port"], site=given["site"], apps=apps)

    def as_line(self) -> str:
        """Return one line of JSON."""
        # By name: with asdict(), any field that is added later would leave by itself.
        apps = {
            name: {"client_id": app.client_id, "client_secret": app.client_secret, "api_key": app.api_key}
            for name, app in self.apps.items()
        }
        return f"{json.dumps({'port': self.port, 'site': self.site, 'apps': apps})}\n"


def received_line() -> str:
    """Return what was handed to this process, which from now on ends with the one that did so."""
    line = sys.stdin.readline()
    Thread(target=_end_with_standard_input, daemon=True).start()
    return line


def _end_with_standard_input() -> None:
    # The end of the other process closes the pipe, whatever ended it.
    sys.stdin.read()
    os._exit(0)

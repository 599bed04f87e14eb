"""What ``manage.py demo`` hands to an API server: one line on its standard input, which then stays open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ServerHandover:
    """
    Where to listen, and what goes into ``APIKEYS`` of the server.

    Neither a file nor the environment, both of which outlive the line and are copied by others, holds the key.
    """

    port: int
    #: Who gives the keys and the tokens, and as what it names this server.
    issuer: str
    audience: str
    authority_key: str = field(repr=False)
    #: Spans of ``APIKEYS`` that are not to be the default: ``{"REVOCATIONS_POLL_INTERVAL": 1}``.
    seconds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_line(cls, line: str) -> ServerHandover:
        """
        Return what ``as_line`` made into *line*.

        Raises:
            ValueError: If it is no JSON.
            TypeError: If it is JSON of something else.
        """
        return cls(**json.loads(line))

    def as_line(self) -> str:
        """Return one line of JSON."""
        given = {
            "port": self.port,
            "issuer": self.issuer,
            "audience": self.audience,
            "authority_key": self.authority_key,
            "seconds": dict(self.seconds),
        }
        return f"{json.dumps(given)}\n"

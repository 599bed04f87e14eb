"""What the tests of signed tokens at API servers share: an authority to ask, tokens of it, and views that take them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.test import override_settings
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.drf import HasScopes
from apikeys.logging import complaints
from apikeys.resource_server import SignedTokenAuthentication
from apikeys.signed import keys, revocations, tokens

from .api_servers import WithoutDatabase
from .authority_stand_in import Asked, Reply, StandIn, as_json, stand_in

ISSUER = "https://auth.example.com/authority"
AUDIENCE = "https://summaries.example.com"
KEY = keys.generate("ES256")
#: How long entries of the list are told.
WINDOW = timedelta(days=3)

_numbers = itertools.count(1)


class Authority:
    """An authority that publishes ``signing_keys`` and tells ``entries``; ``server`` answers for it."""

    def __init__(self, server: StandIn) -> None:
        self.server = server
        self.signing_keys = [KEY]
        self.entries: list[revocations.Entry] = []
        self.owners: tuple[str, ...] = ()
        self.keys: tuple[str, ...] = ()
        server.answers = {"jwks.json": lambda asked: self.jwks(), "revocations": self.revocations}

    def jwks(self) -> Reply:
        return as_json({"keys": [key.public_jwk() for key in self.signing_keys]})

    def revocations(self, asked: Asked) -> Reply:
        since = int(parse_qs(urlsplit(asked.path).query)["since"][0])
        return Reply(body=self.listed(since=since).encode(), headers={"Content-Type": "application/jwt"})

    def listed(self, *, since: int = 0, signed_by: keys.PrivateKey | None = None, **changes: Any) -> str:
        told = tuple(entry for entry in self.entries if entry.sequence > since)
        members: dict[str, Any] = {
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "issued_at": int(timezone.now().timestamp()),
            "since": since,
            "next": max([since, *(entry.sequence for entry in told)]),
            "window_seconds": int(WINDOW.total_seconds()),
            "entries": told,
            "owners": self.owners,
            "keys": self.keys,
        }
        listed = revocations.RevocationList(**{**members, **changes})
        return revocations.sign_list(listed, key=signed_by or self.signing_keys[0])

    def tell(self, kind: str, subject: str, value: Any = None) -> None:
        """Have the next list say so."""
        at = int(timezone.now().timestamp())
        self.entries.append(revocations.Entry(sequence=next(_numbers), at=at, kind=kind, subject=subject, value=value))

    def fetches(self, path: str = "jwks.json") -> int:
        """How often somebody asked for *path*."""
        return len(self.server.asked_for(path))


@contextmanager
def authority(**changes: Any) -> Iterator[Authority]:
    """Give an authority that this process asks, by the settings *changes*."""
    with stand_in() as server:
        given = {
            "ISSUER": ISSUER,
            "AUDIENCE": AUDIENCE,
            "AUTHORITY_URL": server.url,
            "AUTHORITY_KEY": "the-key-of-this-server",
            "REQUIRE_HTTPS": True,
            # Long enough that the thread asks for nothing while a test looks.
            "REVOCATIONS_POLL_INTERVAL": timedelta(hours=1),
            **changes,
        }
        # Without DEBUG the authority must speak TLS.
        with override_settings(DEBUG=True, APIKEYS={**settings.APIKEYS, **given}):
            complaints.forget()
            yield Authority(server)


def make_token(
    *, signed_by: keys.PrivateKey = KEY, expires_in: timedelta = timedelta(minutes=10), **changes: Any
) -> str:
    """Return a token of the person 7 for ``todo:read``, with *changes*."""
    now = int(timezone.now().timestamp())
    members: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "subject": "user:7",
        "client_id": "todo-app",
        "issued_at": now,
        "expires_at": now + int(expires_in.total_seconds()),
        "jti": f"token-{next(_numbers)}",
        "scopes": ("todo:read",),
        "key_id": "4Qm9ZtR1xVb7",
        "family": "4Qm9ZtR1xVb7",
        "networks": (),
        "claims": {},
    }
    return tokens.sign(tokens.SignedToken(**{**members, **changes}), key=signed_by)


class Summaries(WithoutDatabase):
    """Says who called, to whoever may read to-dos."""

    authentication_classes: Any = [SignedTokenAuthentication]
    permission_classes: Any = [HasScopes("todo:read")]

    def get(self, request: Request) -> Response:
        auth = request.auth
        return Response({"user": request.user.pk, "kind": getattr(auth, "kind", None)})

    post = get

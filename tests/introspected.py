"""What the tests of introspection at API servers share: an authority to ask, its answers, and a view that asks it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.test import override_settings
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.core import keyformat
from apikeys.drf import HasScopes
from apikeys.logging import complaints
from apikeys.resource_server import IntrospectionAuthentication
from apikeys.testing import ApiKeyClient

from .api_servers import WithoutDatabase
from .authority_stand_in import Asked, Reply, StandIn, as_json, stand_in
from .drf_views import ask, derived

ISSUER = "https://auth.example.com/authority"
AUDIENCE = "https://sharing.example.com"
SERVER_KEY = "the-key-of-this-server"
#: What the authority says of a service key.
SERVICE = {
    "active": True,
    "scope": "todo:read",
    "client_id": "todo-app",
    "client_name": "To-dos",
    "sub": "client:todo-app",
    "aud": AUDIENCE,
    "iss": ISSUER,
    "token_type": "Bearer",
    "jti": "4Qm9ZtR1xVb7",
    "kind": "api_key",
    "key_id": "4Qm9ZtR1xVb7",
    "family": "4Qm9ZtR1xVb7",
}
#: And of a person's.
PERSON = {**SERVICE, "sub": "user:7", "username": "richard"}


def told(**changes: Any) -> Reply:
    """Return the answer about a service key, with *changes*; a member of the value None is left out."""
    return as_json({name: value for name, value in {**SERVICE, **changes}.items() if value is not None})


def new_key(*, mode: str = "live") -> str:
    """Return the text of a key that somebody may have issued."""
    return keyformat.generate(prefix="ak", mode=mode).tagged(secrets.token_bytes(32))


class Sharing(WithoutDatabase):
    """Says who called, to whoever may read to-dos."""

    authentication_classes: Any = [IntrospectionAuthentication]
    permission_classes: Any = [HasScopes("todo:read")]

    def get(self, request: Request) -> Response:
        return Response({"user": str(getattr(request.user, "pk", None)), "kind": getattr(request.auth, "kind", None)})

    post = get


def sharing(**attributes: Any) -> Any:
    """Return a class of views like ``Sharing``."""
    return derived(Sharing, **attributes)


@contextmanager
def authority(answer: Any = SERVICE, **changes: Any) -> Iterator[StandIn]:
    """Give an authority that answers introspection with *answer*, asked by the settings *changes*."""
    with stand_in() as server, asking(server.url, **changes):
        server.answers["introspect"] = as_json(answer) if isinstance(answer, dict) else answer
        yield server


@contextmanager
def asking(url: str, *, debug: bool = True, **changes: Any) -> Iterator[None]:
    """Have this process ask the authority at *url*. Without *debug* that must speak TLS."""
    given = {
        "ISSUER": ISSUER,
        "AUDIENCE": AUDIENCE,
        "AUTHORITY_URL": url,
        "AUTHORITY_KEY": SERVER_KEY,
        "REQUIRE_HTTPS": True,
        **changes,
    }
    with override_settings(DEBUG=debug, APIKEYS={**settings.APIKEYS, **given}):
        complaints.forget()
        yield


def get(view: Any = Sharing, *, key: str | None = None, **headers: Any) -> Any:
    """Return the answer of *view* to *key*, a new one where neither that nor *headers* are given."""
    return ask(view, key=key if key is not None or headers else new_key(), **headers)


def send(*, key: str) -> Any:
    """Return the answer of the view that is ``served``, from any thread."""
    return ApiKeyClient(key).get("/")


def bearer(token: str) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Return what *calls* return, in their order, each in a thread of its own, without any database."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result(timeout=30) for future in [threads.submit(call) for call in calls]]


def active(asked: Asked) -> Reply:
    return as_json(SERVICE)


def inactive(asked: Asked) -> Reply:
    return as_json({"active": False})

"""API servers that ask about keys and tokens, and clients that give theirs up."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.utils import timezone

from apikeys import clients, lookup, verification
from apikeys.authority import signing
from apikeys.authority.subjects import subject_of
from apikeys.issuance import IssuedKey
from apikeys.models import Client, EventKind, KeyEvent, KeyRevocation
from apikeys.signed.keys import generate
from apikeys.signed.tokens import SignedToken, sign
from apikeys.testing import ApiKeyClient, make_key

INTROSPECT = "/authority/introspect"
REVOKE = "/authority/revoke"
FORM = "application/x-www-form-urlencoded"
#: What is asked of an API server before it is told of keys that are bound to networks.
ENFORCED = {"networks_enforced": "true"}
ISSUER = "https://testserver/authority"
SCOPES = ("todo:read", "todo:write", "usage:read")
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Server:
    """An API server, and the key that it asks with."""

    resource: str
    key: IssuedKey

    @property
    def client(self) -> Client:
        return self.key.key.client


def set_apikeys(settings: Any, **changed: Any) -> None:
    """Have ``APIKEYS`` of pytest-django's *settings* hold *changed* as well."""
    settings.APIKEYS = {**settings.APIKEYS, **changed}


def set_signing_key(settings: Any, **changed: Any) -> None:
    """Have a new key in the settings sign, and ``APIKEYS`` hold *changed* as well."""
    set_apikeys(settings, SIGNING_KEYS=[generate("ES256").private_jwk()], **changed)


def make_server(name: str = "", **fields: Any) -> Server:
    """Return a new API server that may introspect. *fields* go to its client."""
    number = next(_numbers)
    resource = fields.pop("resource", f"https://{name or f'server{number}'}.example")
    client = clients.create(name=f"Server {number}", allowed_scopes=["apikeys:introspect"], resource=resource, **fields)
    return Server(resource=resource, key=make_key(client=client, owner=None))


def make_app(*servers: Server, **fields: Any) -> Client:
    """Return a new client whose keys and tokens *servers* may know."""
    audiences = [server.resource for server in servers]
    fields = {"allowed_scopes": SCOPES, "name": f"App at {next(_numbers)}", **fields}
    return clients.create(audiences=audiences, **fields)


def post(key: IssuedKey | str | None, path: str, form: Any, **headers: Any) -> Any:
    """Return the answer to *form*, a dict, pairs or text, that is sent to *path* with *key*."""
    body = form if isinstance(form, str | bytes) else urlencode(form)
    headers.setdefault("content_type", FORM)
    return ApiKeyClient(key).post(path, body, **headers)


def introspect(server: Server, token: IssuedKey | str, *, form: Mapping[str, str] = ENFORCED, **headers: Any) -> Any:
    """Return the answer that *server* gets about *token*."""
    return post(server.key, INTROSPECT, {"token": text_of(token), **form}, **headers)


def told(server: Server, token: IssuedKey | str, **options: Any) -> dict[str, Any]:
    """Return what *server* is told of *token*, which is active."""
    response = introspect(server, token, **options)
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    assert answer["active"] is True, answer
    return answer


def is_active(server: Server, token: IssuedKey | str) -> bool:
    answer: bool = introspect(server, token).json()["active"]
    return answer


def revoke(key: IssuedKey | str | None, token: IssuedKey | str, **more: Any) -> Any:
    """Return the answer to a client that gives up *token* with *key*."""
    return post(key, REVOKE, {"token": text_of(token), **more})


def works(issued: IssuedKey) -> bool:
    """Whether requests with the key are let in."""
    return bool(ApiKeyClient(issued).get("/apikeys/whoami/").status_code == 200)


def changes() -> tuple[int, int]:
    """Return what any revocation leaves: how many rows, and how many events."""
    kinds = [EventKind.REVOKED, EventKind.TOKEN_REVOKED]
    return KeyRevocation.objects.count(), KeyEvent.objects.filter(kind__in=kinds).count()


def text_of(token: IssuedKey | str) -> str:
    return token if isinstance(token, str) else token.plaintext


def signed(
    issued: IssuedKey, server: Server, *, scopes: Sequence[str] = ("todo:read",), lifetime: int = 600, **changes: Any
) -> str:
    """Return a signed token of the key for *server*, as the token endpoint makes them; *changes* replace claims."""
    now = timezone.now()
    found = lookup.find(issued.key.key_id, alias="default")
    assert found is not None
    principal = verification.principal_of(found, alias="default", now=now)
    begins = int(now.timestamp())
    fields: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": server.resource,
        "subject": subject_of(principal),
        "client_id": found.client_id,
        "issued_at": begins,
        "expires_at": begins + lifetime,
        "jti": f"token-{next(_numbers)}",
        "scopes": tuple(scopes),
        "key_id": found.key_id,
        "family": found.family,
        "networks": (),
        "claims": {},
    }
    return sign(SignedToken(**{**fields, **changes}), key=signing.signing_key(now=now))

"""Clients that exchange their keys for signed tokens, and API servers that poll the revocation list."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.test import Client as Browser
from django.utils import timezone

from apikeys.authority import signing
from apikeys.authority.models import OutstandingTokens
from apikeys.issuance import IssuedKey
from apikeys.signed.revocations import RevocationList, read_list
from apikeys.signed.tokens import SignedToken, verify
from apikeys.testing import ApiKeyClient, make_key

from .introspection import FORM, ISSUER, Server, make_app, make_server, text_of
from .signing_keys import rotate

TOKEN = "/authority/token"
REVOCATIONS = "/authority/revocations"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
API_KEY = "urn:apikeys:token-type:api-key"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
#: The address of no API server.
NOWHERE = "https://nowhere.example"
LEEWAY = timedelta(seconds=30)
CHALLENGE = 'Basic realm="token", charset="UTF-8"'


def make_signing_key() -> None:
    """Have there be something to sign with."""
    rotate()


def make_holder(*servers: Server, **fields: Any) -> IssuedKey:
    """Return a new key of a client whose keys *servers*, or a new one, may know. *fields* go to the key."""
    return make_key(client=make_app(*(servers or [make_server()])), **{"scopes": ["todo:read", "todo:write"], **fields})


def server_of(key: IssuedKey) -> str:
    """Return the first API server that may know *key*."""
    found: str = key.key.client.audiences[0]
    return found


def exchange(key: IssuedKey | str, *, headers: Any = None, query: Any = "", **changes: Any) -> Any:
    """
    Return the answer to an exchange of *key*.

    *changes* replace parameters: a list repeats one, None leaves it out.
    """
    return post(form_of(key, **changes), headers=headers, query=query)


def form_of(key: IssuedKey | str, **changes: Any) -> dict[str, Any]:
    """Return the form of an exchange of *key*, changed."""
    return {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": text_of(key),
        "subject_token_type": API_KEY,
        "scope": "todo:read",
        "audience": NOWHERE if isinstance(key, str) or not key.key.client.audiences else server_of(key),
        **changes,
    }


def client_credentials(key: IssuedKey, *, headers: Any = None, **changes: Any) -> Any:
    """Return the answer to client credentials with *key* as the secret, in the body."""
    form = {
        "grant_type": "client_credentials",
        "client_id": key.key.client.client_id,
        "client_secret": key.plaintext,
        "scope": "todo:read",
        "audience": server_of(key),
        **changes,
    }
    return post(form, headers=headers)


def post(
    form: Mapping[str, Any] | str,
    *,
    headers: Mapping[str, str] | None = None,
    query: str = "",
    content_type: str = FORM,
    **extra: Any,
) -> Any:
    sent = form if isinstance(form, str) else urlencode({k: v for k, v in form.items() if v is not None}, doseq=True)
    browser = Browser(enforce_csrf_checks=True)
    extra = {"secure": True, **extra}
    return browser.post(f"{TOKEN}{query}", sent, content_type=content_type, headers=dict(headers or {}), **extra)


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{client_id}:{secret}'.encode()).decode()}"}


def token_text(response: Any) -> str:
    """Return the token in *response*, an answer that holds one."""
    assert response.status_code == 200, response.content
    text: str = response.json()["access_token"]
    return text


def read(response: Any, *, audience: str) -> SignedToken:
    """Return the token in *response* as *audience* reads it, against the published keys."""
    now = timezone.now()
    return verify(
        token_text(response),
        keys=signing.published_keys(now=now),
        issuer=ISSUER,
        audience=audience,
        now=now,
        leeway=LEEWAY,
    )


def told_by(response: Any) -> dict[str, Any]:
    """Return all claims of the token in *response*, unverified."""
    payload = token_text(response).split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def refusal(response: Any) -> tuple[int, str, str | None]:
    """Return status, error and code of a refusal, which nobody keeps."""
    assert response["Cache-Control"] == "no-store"
    assert response["Content-Type"] == "application/json"
    body = response.json()
    return response.status_code, body["error"], body.get("code")


def nothing_left() -> bool:
    """Whether no token was given to anybody."""
    return not OutstandingTokens.objects.exists()


def poll_response(server: Server, *, since: int | str | None = None, **headers: Any) -> Any:
    query = "" if since is None else f"?since={since}"
    return ApiKeyClient(server.key).get(f"{REVOCATIONS}{query}", **headers)


def poll(server: Server, *, since: int = 0) -> RevocationList:
    """Return the list that *server* is told, verified as it does that."""
    response = poll_response(server, since=since)
    assert response.status_code == 200, response.content
    keys = signing.published_keys(now=timezone.now())
    return read_list(response.content.decode(), keys=keys, issuer=ISSUER, audience=server.resource)


def entries(listed: RevocationList) -> list[tuple[str, str, Any]]:
    """Return kind, subject and value of each entry."""
    return [(entry.kind, entry.subject, entry.value) for entry in listed.entries]
